//! Namespaces that are joined or need more than a flag.

use super::Resolver;
use crate::plan::decided::Decided;
use crate::plan::types::{IdMapping, NamespacesPlan, TimeOffsets, UserNamespacePlan};
use crate::profile::{self, UserNamespace};

impl Resolver<'_> {
    pub(super) fn namespaces(&mut self) -> NamespacesPlan {
        let namespaces = &self.profile.namespaces;
        let mut plan = NamespacesPlan::default();
        for (kind, path) in namespaces.joined() {
            let pointer = format!("/namespaces/{kind}/path");
            self.refuse_own(kind, &pointer);
            plan.joined.insert(kind, self.decided(&pointer, path.to_owned()));
        }
        if let Some(UserNamespace::New(maps)) = &namespaces.user {
            plan.user = Some(self.user_namespace(maps));
        }
        let offsets = namespaces.time.as_ref().filter(|time| time.path.is_none());
        plan.time = offsets.map(|time| self.decided("/namespaces/time", offsets_of(time)));
        self.refuse_mounts_in_joined();
        plan
    }

    /// A path that leads to our own namespace would give the workload the host's, without the profile's word.
    fn refuse_own(&mut self, kind: &str, pointer: &str) {
        if !self.facts.own_namespaces.contains(kind) {
            return;
        }
        let hint = match kind {
            "network" => "for the host's network say `network: {mode: host, allowHost: true}`",
            _ => "name a namespace of another container",
        };
        self.mistake(
            pointer,
            format!("it is the {kind} namespace of nucleus itself, which is the host's"),
            hint,
        );
    }

    /// A joined mount namespace has its root file system and its mounts: nothing of ours can be put into it.
    fn refuse_mounts_in_joined(&mut self) {
        if self.profile.namespaces.mount.is_none() {
            return;
        }
        let security = &self.profile.security;
        let mounts = &self.profile.mounts;
        let terminal = self.profile.workload.terminal == profile::Terminal::Always;
        for (pointer, given) in [
            ("/context", self.profile.context.is_some()),
            ("/mounts/volumes", !mounts.volumes.is_empty()),
            ("/mounts/tmpfs", !mounts.tmpfs.is_empty()),
            ("/devices", self.profile.devices.as_ref().is_some_and(|devices| !devices.is_empty())),
            (
                "/secrets",
                self.profile.secrets.iter().any(|secret| secret.target.is_some() || secret.env.is_none()),
            ),
            ("/security/maskedPaths", security.masked_paths.as_ref().is_some_and(|paths| !paths.is_empty())),
            (
                "/security/readonlyPaths",
                security.readonly_paths.as_ref().is_some_and(|paths| !paths.is_empty()),
            ),
            ("/workload/terminal", terminal),
        ] {
            if given {
                self.mistake(
                    pointer,
                    "the mount namespace is joined, and brings its own mounts",
                    "remove it, or `namespaces.mount`",
                );
            }
        }
    }

    fn user_namespace(&mut self, maps: &profile::UserMappings) -> Decided<UserNamespacePlan> {
        let plan = maps_of(maps);
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

pub(super) fn maps_of(maps: &profile::UserMappings) -> UserNamespacePlan {
    UserNamespacePlan {
        uid_map: maps.uid_map.iter().map(mapping).collect(),
        gid_map: maps.gid_map.iter().map(mapping).collect(),
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

fn offsets_of(time: &profile::TimeOffsets) -> TimeOffsets {
    TimeOffsets {
        monotonic: time.monotonic.map(profile::values::Duration::as_std),
        boottime: time.boottime.map(profile::values::Duration::as_std),
    }
}
