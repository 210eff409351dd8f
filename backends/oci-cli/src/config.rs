//! `config.json` as the runtime gets it. Pure.
//!
//! What the engine does itself, by descriptors, is taken out, so that the runtime neither undoes it nor refuses a word that
//! it does not know; every path that the core has checked is replaced by a place on the stage.

use std::path::{Path, PathBuf};

use nucleus_abi::Result;
use nucleus_linux::fault::{invalid, unsupported};
use nucleus_sys::mount::{MountAttrFlags, Propagation, Reach};
use serde_json::{Map, Value, json};

use crate::console::{self, Size};
use crate::mapped::{self, Ids};
use crate::record::Hooks;
use crate::runtime::{HostAccess, RootMount, TmpfsMode};
use crate::tmpfs::{self, Tmpfs};

/// What every release of every runtime accepts; crun before 1.9 knows no later one. What is newer in the document is
/// known to a runtime or not, whatever this says.
const OCI_VERSION: &str = "1.0.2";

/// What the runtime gets, and what must be on the stage for it.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub(crate) config: Value,
    /// The directory below which all of it will be attached.
    pub(crate) stage: PathBuf,
    pub(crate) root: Root,
    pub(crate) binds: Vec<Bind>,
    pub(crate) tmpfs: Vec<Tmpfs>,
    pub(crate) terminal: bool,
    /// `process.consoleSize`, if it has a terminal.
    pub(crate) size: Option<Size>,
    /// The first word of `process.args`.
    pub(crate) program: String,
    /// Whether it has a network namespace of its own.
    pub(crate) own_network: bool,
    /// Whether it has a system call filter.
    pub(crate) filtered: bool,
    /// Hooks that the runtime calls when it deletes the container.
    pub(crate) after: Hooks,
    /// What of the host the runtime has to write to for it.
    pub(crate) host: HostAccess,
}

/// The root file system.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// `root.path`; it counts where no descriptor came.
    pub(crate) path: PathBuf,
    /// Attributes of its topmost mount.
    pub(crate) own: MountAttrFlags,
}

/// A bind mount.
#[derive(Debug)]
pub(crate) struct Bind {
    /// Its index among `mounts`.
    pub(crate) index: usize,
    pub(crate) source: PathBuf,
    pub(crate) reach: Reach,
    /// Attributes of all of it.
    pub(crate) tree: MountAttrFlags,
    pub(crate) propagation: Option<Propagation>,
    pub(crate) ids: Option<(Ids, Reach)>,
}

/// The stage where the container has a user namespace: its root, who is nobody on the host, must be able to walk there, and
/// nucleus' own directories are closed to others. Only the runtime's `create` sees it there, in place of the host's. Where the
/// container's directory lies below the one, it is the other: that must stay in reach.
const OPEN_STAGES: [&str; 2] = ["/tmp", "/mnt"];

fn open_stage(stage: &Path) -> &'static Path {
    let [usual, other] = OPEN_STAGES.map(Path::new);
    if stage.starts_with(usual) { other } else { usual }
}

/// Where things will be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) stage: &'a Path,
    /// `linux.cgroupsPath` as it shall be; `None` leaves it.
    pub(crate) cgroup: Option<&'a Path>,
    /// What the runtime does with the root's mount.
    pub(crate) root: RootMount,
    /// Which mode it gives a tmpfs.
    pub(crate) tmpfs: TmpfsMode,
}

impl Rewritten {
    /// Joins namespaces that were opened by their places on the stage, and not by paths that may lead elsewhere by now.
    pub(crate) fn join_on_stage<'a>(&mut self, kinds: impl Iterator<Item = &'a str>) {
        for kind in kinds {
            let list = self.config.pointer_mut("/linux/namespaces").and_then(Value::as_array_mut);
            for entry in list.into_iter().flatten().filter(|entry| entry["type"] == kind) {
                entry["path"] = json!(namespace_on(&self.stage, kind));
            }
        }
    }
}

/// A namespace's place on the stage.
pub(crate) fn namespace_on(stage: &Path, kind: &str) -> PathBuf {
    stage.join(format!("namespace-{kind}"))
}

/// The root's place on the stage.
pub(crate) fn root_on(stage: &Path) -> PathBuf {
    stage.join("root")
}

/// A mount's place on the stage.
pub(crate) fn bind_on(stage: &Path, index: usize) -> PathBuf {
    stage.join(index.to_string())
}

/// Rewrites the document.
///
/// # Errors
/// `config-invalid` and `not-supported`, naming the field.
pub(crate) fn rewrite(text: &str, places: Places<'_>) -> Result<Rewritten> {
    let document = serde_json::from_str(text).map_err(|error| invalid("(document)", error))?;
    let Value::Object(mut config) = document else { return Err(invalid("(document)", "it is no object")) };
    config.insert("ociVersion".to_owned(), OCI_VERSION.into());
    let places = if has_user_namespace(&config) {
        Places { stage: open_stage(places.stage), ..places }
    } else {
        places
    };
    let root = root(&mut config, places)?;
    let binds = binds(&mut config, places.stage)?;
    let tmpfs = match places.tmpfs {
        TmpfsMode::Asked => Vec::new(),
        TmpfsMode::OfDirectory => tmpfs::take(&mut config, places.stage),
    };
    name_domain(&mut config);
    let linux = object(&mut config, "linux");
    deny_devices(linux);
    if let Some(cgroup) = places.cgroup {
        linux.insert("cgroupsPath".to_owned(), json!(cgroup));
    }
    let filtered = linux.get("seccomp").is_some_and(Value::is_object);
    let process = config.get("process");
    let flag = |name: &str| process.and_then(|process| process.get(name)?.as_bool());
    let program = process.and_then(|process| process.pointer("/args/0")?.as_str());
    let terminal = flag("terminal").unwrap_or_default();
    Ok(Rewritten {
        size: process.filter(|_| terminal).and_then(console::size),
        terminal,
        program: program.unwrap_or_default().to_owned(),
        own_network: has_own_network(&config),
        filtered,
        after: hooks_after(&config),
        host: needed_of_the_host(&config),
        config: Value::Object(config),
        stage: places.stage.to_owned(),
        root,
        binds,
        tmpfs,
    })
}

/// Whether the container has one, new or joined.
pub(crate) fn has_user_namespace(config: &Map<String, Value>) -> bool {
    let namespaces = config.get("linux").and_then(|linux| linux.get("namespaces")?.as_array());
    namespaces.into_iter().flatten().any(|one| one["type"] == "user")
}

fn hooks_after(config: &Map<String, Value>) -> Hooks {
    let hooks = config.get("hooks").and_then(|hooks| hooks.get("poststop")?.as_array());
    if hooks.is_none_or(Vec::is_empty) { Hooks::None } else { Hooks::Some }
}

/// Hooks may write anywhere; for `tmpcopyup` runc needs a temporary directory.
fn needed_of_the_host(config: &Map<String, Value>) -> HostAccess {
    let hooks = config.get("hooks").and_then(Value::as_object);
    let has_hooks = hooks
        .is_some_and(|kinds| kinds.values().any(|kind| kind.as_array().is_some_and(|all| !all.is_empty())));
    let mounts = config.get("mounts").and_then(Value::as_array).into_iter().flatten();
    let copies = mounts.filter_map(Value::as_object).flat_map(options).any(|option| option == "tmpcopyup");
    if has_hooks || copies { HostAccess::Writable } else { HostAccess::ReadOnly }
}

fn has_own_network(config: &Map<String, Value>) -> bool {
    let namespaces = config.get("linux").and_then(|linux| linux.get("namespaces")?.as_array());
    namespaces.into_iter().flatten().any(|one| one["type"] == "network" && !one["path"].is_string())
}

fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made one")
}

fn root(config: &mut Map<String, Value>, places: Places<'_>) -> Result<Root> {
    let Some(Value::Object(root)) = config.get_mut("root") else {
        return Err(unsupported(
            "root",
            "a joined mount namespace in place of a root is more than an OCI runtime can",
        ));
    };
    let path = root.get("path").and_then(Value::as_str).map(PathBuf::from);
    let path = path.ok_or_else(|| invalid("root.path", "it is missing"))?;
    let readonly = root.get("readonly").and_then(Value::as_bool).unwrap_or_default();
    root.insert("path".to_owned(), json!(root_on(places.stage)));
    if places.root == RootMount::Kept {
        root.insert("readonly".to_owned(), Value::Bool(false));
    }
    let own = if readonly { MountAttrFlags::MOUNT_ATTR_RDONLY } else { MountAttrFlags::empty() };
    Ok(Root { path, own })
}

/// Words of `mounts[].options` for the whole tree, what they set, and the word of old that says it of the topmost mount.
const OF_THE_TREE: [(&str, MountAttrFlags, &str); 5] = [
    ("rro", MountAttrFlags::MOUNT_ATTR_RDONLY, "ro"),
    ("rnosuid", MountAttrFlags::MOUNT_ATTR_NOSUID, "nosuid"),
    ("rnodev", MountAttrFlags::MOUNT_ATTR_NODEV, "nodev"),
    ("rnoexec", MountAttrFlags::MOUNT_ATTR_NOEXEC, "noexec"),
    ("rnosymfollow", MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"),
];

fn binds(config: &mut Map<String, Value>, stage: &Path) -> Result<Vec<Bind>> {
    let container = config.get("linux").cloned().unwrap_or_default();
    let Some(Value::Array(mounts)) = config.get_mut("mounts") else { return Ok(Vec::new()) };
    let mounts =
        mounts.iter_mut().enumerate().filter_map(|(index, mount)| Some((index, mount.as_object_mut()?)));
    mounts
        .filter(|(_, mount)| is_bind(mount))
        .map(|(index, mount)| bind(index, mount, &container, stage))
        .collect()
}

/// The words of a mount's `options`.
pub(crate) fn options(mount: &Map<String, Value>) -> Vec<String> {
    let options = mount.get("options").and_then(Value::as_array).into_iter().flatten();
    options.filter_map(|option| Some(option.as_str()?.to_owned())).collect()
}

fn is_bind(mount: &Map<String, Value>) -> bool {
    mount.get("type").and_then(Value::as_str) == Some("bind")
        || options(mount).iter().any(|option| option == "bind" || option == "rbind")
}

fn bind(index: usize, mount: &mut Map<String, Value>, container: &Value, stage: &Path) -> Result<Bind> {
    let source = mount.get("source").and_then(Value::as_str).map(PathBuf::from);
    let source = source.ok_or_else(|| invalid(format!("mounts[{index}].source"), "it is missing"))?;
    let mut words = options(mount);
    let has = |word: &str| words.iter().any(|one| one == word);
    let reach = if has("rbind") { Reach::Tree } else { Reach::Mount };
    let shared = has("shared") || has("rshared");
    let mapped = has("idmap") || has("ridmap") || mount.contains_key("uidMappings");
    let ids = if mapped {
        let reach = if has("ridmap") { Reach::Tree } else { Reach::Mount };
        Some((mapped::of(mount, container, index)?, reach))
    } else {
        None
    };
    words.retain(|word| word != "idmap" && word != "ridmap");
    let mut tree = MountAttrFlags::empty();
    for word in &mut words {
        if let Some((_, flag, own)) = OF_THE_TREE.iter().find(|(name, ..)| name == word) {
            tree |= *flag;
            (*own).clone_into(word);
        }
    }
    mount.insert("source".to_owned(), json!(bind_on(stage, index)));
    mount.insert("options".to_owned(), json!(words));
    mount.remove("uidMappings");
    mount.remove("gidMappings");
    // Unless the container is to be a peer of the host, nothing that is mounted on the stage may show there.
    let propagation = (!shared).then_some(Propagation::Slave);
    Ok(Bind { index, source, reach, tree, propagation, ids })
}

/// As a kernel parameter, which every runtime sets; `domainname` is newer than many.
fn name_domain(config: &mut Map<String, Value>) {
    let Some(Value::String(name)) = config.remove("domainname") else { return };
    let linux = object(config, "linux");
    object(linux, "sysctl").insert("kernel.domainname".to_owned(), Value::String(name));
}

/// Without a list of devices some runtimes allow all of them; the devices that every container has are allowed by each
/// (config-linux.md, "Default Devices").
fn deny_devices(linux: &mut Map<String, Value>) {
    let resources = object(linux, "resources");
    if resources.get("devices").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        resources.insert("devices".to_owned(), json!([{"allow": false, "access": "rwm"}]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places<'static> {
        let cgroup = Some(Path::new("/nucleus/x"));
        Places { stage: Path::new("/s"), cgroup, root: RootMount::Kept, tmpfs: TmpfsMode::Asked }
    }

    fn rewritten(document: &Value) -> Rewritten {
        rewrite(&document.to_string(), places()).unwrap()
    }

    fn document() -> Value {
        json!({
            "ociVersion": "1.2.0",
            "process": {"args": ["/bin/true"], "terminal": true},
            "root": {"path": "rootfs", "readonly": true},
            "domainname": "example",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
                {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "rro", "rnodev"]},
                {"destination": "/data", "source": "/srv", "options": ["bind", "rw", "idmap"],
                 "uidMappings": [{"containerID": 0, "hostID": 5, "size": 1}],
                 "gidMappings": [{"containerID": 0, "hostID": 6, "size": 1}]}
            ]
        })
    }

    #[test]
    fn every_checked_path_becomes_a_place_on_the_stage() {
        let rewritten = rewritten(&document());
        assert_eq!(rewritten.config["root"], json!({"path": "/s/root", "readonly": false}));
        assert_eq!(rewritten.config["mounts"][0], document()["mounts"][0]);
        assert_eq!(rewritten.config["mounts"][1]["source"], "/s/1");
        assert_eq!(rewritten.config["linux"]["cgroupsPath"], "/nucleus/x");
        assert_eq!(rewritten.root.own, MountAttrFlags::MOUNT_ATTR_RDONLY);
        assert_eq!((rewritten.program.as_str(), rewritten.terminal), ("/bin/true", true));
    }

    #[test]
    fn a_runtime_that_remounts_the_root_is_asked_to_make_it_read_only() {
        let places = Places { root: RootMount::Remounted, ..places() };
        let rewritten = rewrite(&document().to_string(), places).unwrap();
        assert_eq!(rewritten.config["root"]["readonly"], true);
        assert_eq!(rewritten.root.own, MountAttrFlags::MOUNT_ATTR_RDONLY);
    }

    #[test]
    fn what_holds_for_the_tree_is_the_engines_and_the_runtime_hears_the_old_words() {
        let rewritten = rewritten(&document());
        assert_eq!(rewritten.config["mounts"][1]["options"], json!(["rbind", "ro", "nodev"]));
        assert_eq!(rewritten.config["mounts"][2]["options"], json!(["bind", "rw"]));
        assert!(rewritten.config["mounts"][2].get("uidMappings").is_none());
        let [usr, data] = rewritten.binds.as_slice() else { panic!("{:?}", rewritten.binds) };
        assert_eq!((usr.index, usr.reach, &usr.source), (1, Reach::Tree, &PathBuf::from("/usr")));
        assert_eq!(usr.tree, MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV);
        assert!(usr.ids.is_none() && data.ids.is_some());
        assert_eq!(usr.propagation, Some(Propagation::Slave));
    }

    #[test]
    fn the_root_of_a_user_namespace_can_walk_to_the_stage() {
        let mut document = document();
        assert_eq!(rewritten(&document).stage, Path::new("/s"));
        document["linux"] = json!({"namespaces": [{"type": "user"}]});
        let rewritten = rewritten(&document);
        assert_eq!(rewritten.stage, Path::new("/tmp"));
        assert_eq!(rewritten.config["root"]["path"], "/tmp/root");
        let below = Places { stage: Path::new("/tmp/state/oci/stage"), ..places() };
        let rewritten = rewrite(&document.to_string(), below).unwrap();
        assert_eq!(rewritten.stage, Path::new("/mnt"), "the container's directory stays in reach");
    }

    #[test]
    fn hooks_and_copies_into_memory_need_the_host() {
        let writes = |key: &str, value: Value| {
            let mut document = document();
            document[key] = value;
            rewritten(&document).host == HostAccess::Writable
        };
        assert!(!writes("hooks", json!({"prestart": [], "poststop": null})));
        assert!(writes("hooks", json!({"createRuntime": [{"path": "/bin/true"}]})));
        let tmpfs =
            |option: &str| json!([{"destination": "/run", "type": "tmpfs", "options": ["mode=755", option]}]);
        assert!(!writes("mounts", tmpfs("nosuid")));
        assert!(writes("mounts", tmpfs("tmpcopyup")));
    }

    #[test]
    fn old_runtimes_understand_it() {
        let rewritten = rewritten(&document());
        assert_eq!(rewritten.config["ociVersion"], OCI_VERSION);
        assert_eq!(rewritten.config["linux"]["sysctl"]["kernel.domainname"], "example");
        assert!(rewritten.config.get("domainname").is_none());
    }

    #[test]
    fn devices_are_denied_unless_the_document_speaks_of_them() {
        let mut document = document();
        let denied = json!([{"allow": false, "access": "rwm"}]);
        assert_eq!(rewritten(&document).config["linux"]["resources"]["devices"], denied);
        document["linux"] = json!({"resources": {"devices": [{"allow": true}]}});
        assert_eq!(rewritten(&document).config["linux"]["resources"]["devices"], json!([{"allow": true}]));
    }

    #[test]
    fn a_document_without_a_root_is_refused_by_its_field() {
        let mut document = document();
        document["root"] = Value::Null;
        let error = rewrite(&document.to_string(), places()).unwrap_err();
        assert!(error.to_string().contains("config.json: root"), "{error}");
    }
}
