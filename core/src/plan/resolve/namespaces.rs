//! Namespaces that are joined or need more than a flag.

use super::Resolver;
use crate::plan::decided::Decided;
use crate::plan::types::{IdMapping, NamespacesPlan, TimeOffsets, UserNamespacePlan};
use crate::profile::{self, Join, UserNamespace};

impl Resolver<'_> {
    pub(super) fn namespaces(&mut self) -> NamespacesPlan {
        let namespaces = &self.profile.namespaces;
        let named: [(&'static str, Option<&Join>); 6] = [
            ("pid", namespaces.pid.as_ref()),
            ("network", namespaces.network.as_ref()),
            ("ipc", namespaces.ipc.as_ref()),
            ("uts", namespaces.uts.as_ref()),
            ("mount", namespaces.mount.as_ref()),
            ("cgroup", namespaces.cgroup.as_ref()),
        ];
        let mut plan = NamespacesPlan::default();
        for (kind, join) in named {
            if let Some(join) = join {
                let path = join.path.as_path().to_owned();
                plan.joined.insert(kind, self.decided(&format!("/namespaces/{kind}/path"), path));
            }
        }
        match &namespaces.user {
            Some(UserNamespace::Join(join)) => {
                let path = join.path.as_path().to_owned();
                plan.joined.insert("user", self.decided("/namespaces/user/path", path));
            }
            Some(UserNamespace::New(maps)) => plan.user = Some(self.user_namespace(maps)),
            None => {}
        }
        plan.time = namespaces.time.as_ref().map(|time| self.decided("/namespaces/time", offsets(time)));
        plan
    }

    fn user_namespace(&mut self, maps: &profile::UserMappings) -> Decided<UserNamespacePlan> {
        let plan = UserNamespacePlan {
            uid_map: maps.uid_map.iter().map(mapping).collect(),
            gid_map: maps.gid_map.iter().map(mapping).collect(),
        };
        for (pointer, map) in
            [("/namespaces/user/uidMap", &plan.uid_map), ("/namespaces/user/gidMap", &plan.gid_map)]
        {
            if !map.iter().any(covers_root) {
                self.mistake(
                    pointer,
                    "id 0 of the container is not mapped: nobody could build the container",
                    "begin the map with `{container: 0, host: …, size: …}`",
                );
            }
        }
        self.decided("/namespaces/user", plan)
    }
}

fn covers_root(mapping: &IdMapping) -> bool {
    mapping.container == 0
}

fn mapping(mapping: &profile::IdMapping) -> IdMapping {
    IdMapping {
        container: mapping.container.as_u32(),
        host: mapping.host.as_u32(),
        size: u32::try_from(mapping.size.get()).unwrap_or(u32::MAX),
    }
}

fn offsets(time: &profile::TimeOffsets) -> TimeOffsets {
    TimeOffsets {
        monotonic: time.monotonic.map(profile::values::Duration::as_std),
        boottime: time.boottime.map(profile::values::Duration::as_std),
    }
}
