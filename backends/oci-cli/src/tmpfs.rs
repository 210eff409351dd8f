//! In-memory file systems that the engine makes in the runtime's place: runc before 1.1.10 gives one the mode of the
//! directory below it, whatever `mode` says.

use std::path::Path;

use nucleus_abi::{Error, Result};
use nucleus_linux::fault::{system, unsupported};
use nucleus_sys::mount::{DetachedMount, FsContext, MountAttrFlags};
use serde_json::{Map, Value, json};

use crate::config::{bind_on, has_user_namespace, options};
use crate::mapped::{self, Ids};

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tmpfs {
    /// Its index among `mounts`.
    pub(crate) index: usize,
    /// Options of the file system itself, such as `size` and `mode`.
    settings: Vec<(String, String)>,
}

/// Words that are attributes of the mount: the runtime sets them on the bind mount that it makes.
const OF_THE_MOUNT: [&str; 9] =
    ["nosuid", "nodev", "noexec", "rw", "suid", "dev", "exec", "relatime", "strictatime"];
/// Values of the file system.
const OF_THE_FILE_SYSTEM: [&str; 6] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"];

/// Takes the mounts that can be made beforehand out of a document. What lies in `/dev` must come after that, with any other word
/// the runtime knows better, and the ids of a user namespace that is joined are not known here.
pub(crate) fn take(config: &mut Map<String, Value>, stage: &Path) -> Vec<Tmpfs> {
    let owners = if has_user_namespace(config) {
        let Ok(ids) = mapped::of(&Map::new(), &config.get("linux").cloned().unwrap_or_default(), 0) else {
            return Vec::new();
        };
        Some(ids)
    } else {
        None
    };
    let Some(Value::Array(mounts)) = config.get_mut("mounts") else { return Vec::new() };
    let mounts =
        mounts.iter_mut().enumerate().filter_map(|(index, mount)| Some((index, mount.as_object_mut()?)));
    mounts.filter_map(|(index, mount)| take_one(index, mount, stage, owners.as_ref())).collect()
}

fn take_one(
    index: usize,
    mount: &mut Map<String, Value>,
    stage: &Path,
    owners: Option<&Ids>,
) -> Option<Tmpfs> {
    let target = Path::new(mount.get("destination")?.as_str()?);
    if mount.get("type")?.as_str()? != "tmpfs" || target.starts_with("/dev") {
        return None;
    }
    let (mut words, mut settings) = (vec!["bind".to_owned()], Vec::new());
    for option in options(mount) {
        match option.split_once('=') {
            Some((key, value)) if OF_THE_FILE_SYSTEM.contains(&key) => {
                settings.push((key.to_owned(), value.to_owned()));
            }
            None if OF_THE_MOUNT.contains(&option.as_str()) => words.push(option),
            _ => return None,
        }
    }
    if let Some(ids) = owners {
        settings = on_the_host(settings, ids)?;
    }
    mount.insert("type".to_owned(), "bind".into());
    mount.insert("source".to_owned(), json!(bind_on(stage, index)));
    mount.insert("options".to_owned(), json!(words));
    Some(Tmpfs { index, settings })
}

/// With the host's ids for the owner, who is root of the user namespace unless another is named. An id that has none is the
/// runtime's to refuse.
fn on_the_host(settings: Vec<(String, String)>, ids: &Ids) -> Option<Vec<(String, String)>> {
    let (owners, mut others): (Vec<_>, Vec<_>) =
        settings.into_iter().partition(|(key, _)| key == "uid" || key == "gid");
    for (key, map) in [("uid", &ids.users), ("gid", &ids.groups)] {
        let named = owners.iter().rev().find(|(name, _)| name == key);
        let id = named.map_or(Some(0), |(_, id)| id.parse().ok())?;
        others.push((key.to_owned(), map.to_host(id)?.to_string()));
    }
    Some(others)
}

impl Tmpfs {
    /// Makes it, mounted nowhere.
    pub(crate) fn make(&self) -> Result<DetachedMount> {
        let step = "make an in-memory file system";
        let subject = || format!("mounts[{}]", self.index);
        let context = FsContext::open("tmpfs").map_err(|error| system(step, &error).on(subject()))?;
        for (key, value) in &self.settings {
            context.set(key, value).map_err(|_| self.refused(&context, key))?;
        }
        context.mount(MountAttrFlags::empty()).map_err(|error| system(step, &error).on(subject()))
    }

    fn refused(&self, context: &FsContext, key: &str) -> Error {
        unsupported(format!("mounts[{}].options: {key}", self.index), context.messages().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(mount: &Value, namespace: &str) -> Map<String, Value> {
        let config = json!({"mounts": [mount], "linux": {"namespaces": [{"type": namespace}]}});
        config.as_object().unwrap().clone()
    }

    #[test]
    fn a_plain_one_becomes_a_bind_mount_of_ours() {
        let mount = json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=1", "mode=1777"]});
        let mut config = config(&mount, "pid");
        let taken = take(&mut config, Path::new("/s"));
        let settings =
            [("size", "1"), ("mode", "1777")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(taken, [Tmpfs { index: 0, settings: settings.into() }]);
        let expected =
            json!({"destination": "/tmp", "type": "bind", "source": "/s/0", "options": ["bind", "nosuid"]});
        assert_eq!(config["mounts"][0], expected);
    }

    #[test]
    fn owners_in_a_user_namespace_are_meant_in_its_ids() {
        let settings = |options: Value, size: u32| {
            let map = json!([{"containerID": 0, "hostID": 1000, "size": size}]);
            let mount = json!({"destination": "/tmp", "type": "tmpfs", "options": options});
            let mut config = config(&mount, "user");
            for key in ["uidMappings", "gidMappings"] {
                config["linux"][key] = map.clone();
            }
            let taken = take(&mut config, Path::new("/s")).pop();
            taken.map(|one| {
                one.settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
            })
        };
        let of_root = settings(json!(["mode=700"]), 10).unwrap();
        assert_eq!(of_root, ["mode=700", "uid=1000", "gid=1000"]);
        let of_another = settings(json!(["uid=7", "gid=8", "mode=700"]), 10).unwrap();
        assert_eq!(of_another, ["mode=700", "uid=1007", "gid=1008"]);
        assert_eq!(settings(json!(["uid=7"]), 5), None, "an id that has none on the host");
    }

    #[test]
    fn others_stay_the_runtimes() {
        let plain = json!({"destination": "/tmp", "type": "tmpfs", "options": ["size=1"]});
        for (mount, namespace) in [
            (json!({"destination": "/dev/shm", "type": "tmpfs", "options": ["size=1"]}), "pid"),
            (json!({"destination": "/tmp", "type": "tmpfs", "options": ["tmpcopyup"]}), "pid"),
            (json!({"destination": "/proc", "type": "proc"}), "pid"),
            (plain, "user"),
        ] {
            let mut config = config(&mount, namespace);
            assert_eq!(take(&mut config, Path::new("/s")), []);
            assert_eq!(config["mounts"][0], mount);
        }
    }
}
