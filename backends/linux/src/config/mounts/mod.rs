//! `mounts`: what is mounted where, with which attributes.

mod options;
mod proc;

use std::fmt;
use std::path::PathBuf;

use nucleus_abi::Result;
use nucleus_sys::in_root::InRootPath;
use nucleus_sys::mount::{MountAttrFlags, Propagation, Reach};

use super::device_rules::{self, DeviceRule};
use super::namespaces::{self, IdMaps};
use super::{Namespaces, document, host_path};
use crate::fault::{invalid, unsupported};
use options::Options;

pub use options::known_options;

/// One mount.
#[derive(Debug)]
pub struct Mount {
    /// Its place in `mounts`, by which the caller may hand over its source.
    pub index: usize,
    /// Where, in the container.
    pub target: InRootPath,
    /// What.
    pub content: Content,
    /// Attributes of the mount itself.
    pub own: Attributes,
    /// Attributes of it and all mounts below it (`rro`, `rnosuid`, …).
    pub tree: Attributes,
    /// Whether what lies on it as a device is one.
    pub devices: Devices,
    /// Propagation, in the order in which it is set; private unless said otherwise, as an engine expects.
    pub propagation: Vec<(Propagation, Reach)>,
}

/// Whether device nodes on a mount are devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Devices {
    /// As the attributes say, or as the source's mount has it.
    AsSaid,
    /// Nothing but the source itself, where that is a node.
    SourceOnly,
    /// Nothing.
    No,
}

impl Devices {
    /// What `nodev` adds to the attributes of the whole tree; `source` is what a bind mount shows.
    pub fn attributes(self, source: Source) -> Attributes {
        match (self, source) {
            (Self::AsSaid, _) | (Self::SourceOnly, Source::Device) => Attributes::NONE,
            _ => Attributes { set: MountAttrFlags::MOUNT_ATTR_NODEV, clear: MountAttrFlags::empty() },
        }
    }
}

/// What a mount shows at its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A device node.
    Device,
    /// Anything else.
    Other,
}

/// What is mounted.
#[derive(Debug)]
pub enum Content {
    /// A file or directory of the host.
    Bind {
        /// Its path; unused when it comes as a descriptor.
        source: PathBuf,
        /// Whether mounts below it come along.
        reach: Reach,
        /// By which ids its owners are shown, and how far down.
        id_mapped: Option<(IdSource, Reach)>,
    },
    /// A new file system.
    New(FileSystem),
    /// The container's own part of the cgroup hierarchies.
    Cgroup,
    /// What is mounted there already gets other attributes, and its file system other options.
    Remount(Vec<Datum>),
}

/// Where the ids of an id-mapped mount come from.
#[derive(Debug)]
pub enum IdSource {
    /// The container's user namespace, made or joined.
    Container,
    /// Maps of the mount's own.
    Maps(IdMaps),
}

impl Mount {
    /// Whether it shows the kernel's devices, and with them those of the network namespace that it is made in.
    pub fn is_sysfs(&self) -> bool {
        matches!(&self.content, Content::New(file_system) if file_system.kind == "sysfs")
    }

    /// Whether it is a new file system that keeps files in memory, and is therefore empty.
    pub fn is_memory(&self) -> bool {
        matches!(&self.content, Content::New(FileSystem { kind, .. }) if matches!(kind.as_str(), "tmpfs" | "ramfs"))
    }

    /// Whether it becomes read-only only when the places for other mounts were made in it.
    pub fn seals(&self) -> bool {
        self.is_memory() && self.tree.then(self.own).set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY)
    }
}

/// A new file system.
#[derive(Debug)]
pub struct FileSystem {
    /// Its type, as /proc/filesystems lists it.
    pub kind: String,
    /// What mountinfo shows as its source; for some types a device or directory of the host.
    pub source: String,
    /// Options that the file system itself reads.
    pub data: Vec<Datum>,
    /// What it holds at first.
    pub filled: Filled,
}

impl FileSystem {
    /// One that starts as it is made.
    pub fn new(kind: &str, source: &str, data: Vec<Datum>) -> Self {
        Self { kind: kind.to_owned(), source: source.to_owned(), data, filled: Filled::AsMade }
    }
}

/// What a new file system holds at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// What the kernel puts there.
    AsMade,
    /// A copy of what it covers (`tmpcopyup`).
    WithCovered,
}

/// An option that a file system reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datum {
    /// Its name.
    pub key: String,
    /// What stands after the first `=`.
    pub value: Option<String>,
    /// The place in the document; `None` for our own.
    pub origin: Option<Origin>,
}

impl Datum {
    /// An option of our own.
    pub fn new(key: &str, value: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: Some(value.into()), origin: None }
    }

    fn read(word: &str, origin: Origin) -> Self {
        let (key, value) = word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
        Self { key: key.to_owned(), value: value.map(str::to_owned), origin: Some(origin) }
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

/// The place of an option in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Index in `mounts`.
    pub mount: usize,
    /// Index in its `options`.
    pub option: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mounts[{}].options[{}]", self.mount, self.option)
    }
}

/// A change of mount attributes. What is set is never also cleared, except the access time mode: it is a value, which
/// is cleared as a whole before it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// To set.
    pub set: MountAttrFlags,
    /// To clear.
    pub clear: MountAttrFlags,
}

impl Attributes {
    /// No change.
    pub const NONE: Self = Self { set: MountAttrFlags::empty(), clear: MountAttrFlags::empty() };

    /// Whether nothing changes.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// This change and then `next`, as one.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        Self { set: (self.set - next.clear) | next.set, clear: (self.clear - next.set) | next.clear }
    }
}

/// What the rest of the document says that concerns every mount.
pub(super) struct Surroundings<'a> {
    pub(super) namespaces: &'a Namespaces,
    /// `linux.mountLabel`.
    pub(super) label: Option<&'a str>,
    /// `linux.resources.devices`.
    pub(super) device_rules: &'a [DeviceRule],
}

impl Surroundings<'_> {
    /// Device rules are kept by the cgroup, and by `nodev` on every mount as long as they grant nothing but what all
    /// containers have: there is then no use for a node anywhere but in our `/dev`. Where they grant more, the workload may
    /// make the nodes for it where it likes, as with other runtimes.
    fn devices(&self, options: &Options, target: &InRootPath, content: &Content) -> Devices {
        let (own, tree) = (options.own, options.tree);
        let said = (own.set | own.clear | tree.set | tree.clear).contains(MountAttrFlags::MOUNT_ATTR_NODEV);
        let has_rules = !self.device_rules.is_empty();
        let hosts_dev = target.to_string() == "/dev" && matches!(content, Content::Bind { .. });
        match content {
            _ if said || device_rules::grant(self.device_rules) || (has_rules && hosts_dev) => {
                Devices::AsSaid
            }
            Content::Bind { .. } if has_rules => Devices::SourceOnly,
            // Its nodes are the container's own terminals, and no others can be made there.
            Content::New(file_system) if file_system.kind == "devpts" => Devices::AsSaid,
            Content::Bind { .. } | Content::New(_) => Devices::No,
            Content::Cgroup | Content::Remount(_) => Devices::AsSaid,
        }
    }

    /// `SELinux` labels a whole new file system by its option `context`; those of the kernel's own that have labels for each
    /// file keep them.
    fn label(&self, kind: &str) -> Option<Datum> {
        let can_be = !matches!(kind, "proc" | "sysfs" | "mqueue");
        self.label.filter(|_| can_be).map(|label| Datum::new("context", label))
    }
}

pub(super) fn read(
    entries: &[document::Mount<'_>],
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Mount>> {
    entries.iter().enumerate().map(|(index, entry)| mount(index, entry, surroundings, warnings)).collect()
}

fn mount(
    index: usize,
    entry: &document::Mount<'_>,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Mount> {
    let mut options = Options::read(index, entry.options.iter().map(|word| &**word));
    let target = target(index, &entry.destination, warnings)?;
    if options.propagation.is_empty() {
        options.propagation.push((Propagation::Private, Reach::Tree));
    }
    let content = content(index, entry, &options, surroundings, warnings)?;
    proc::check(index, &target, &content)?;
    let devices = surroundings.devices(&options, &target, &content);
    let Options { own, tree, propagation, .. } = options;
    Ok(Mount { index, target, content, own, tree, devices, propagation })
}

/// "It MAY be a relative path, in which case it MUST be interpreted as relative to `/`" (config.md, "Mounts"). What is
/// checked of it is its text, and so it has no `..` (CVE-2019-16884).
fn target(index: usize, text: &str, warnings: &mut Vec<String>) -> Result<InRootPath> {
    let field = format!("mounts[{index}].destination");
    let target = InRootPath::new(text).map_err(|error| invalid(&field, error))?.cleaned();
    if !text.starts_with('/') {
        warnings.push(format!("config.json: {field}: `{text}` is not absolute: it is taken as `{target}`"));
    }
    match target.components() {
        [] => Err(invalid(field, "the root itself is not a place for a mount")),
        _ => Ok(target),
    }
}

fn content(
    index: usize,
    entry: &document::Mount<'_>,
    options: &Options,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Content> {
    let is_bind = options.bind.is_some() || &*entry.kind == "bind";
    let maps = id_maps(index, entry)?;
    if is_bind {
        return bind(index, entry, options, maps, surroundings, warnings);
    }
    if maps.is_some() || options.id_mapped.is_some() {
        return Err(unsupported(format!("mounts[{index}]"), "only bind mounts are id-mapped"));
    }
    let data = || options.superblock.iter().chain(&options.data).cloned();
    match (&*entry.kind, options.remount) {
        (_, Some(_)) => Ok(Content::Remount(data().collect())),
        ("cgroup" | "cgroup2", None) => match options.data.first() {
            None => Ok(Content::Cgroup),
            Some(datum) => Err(unsupported(
                datum.origin.map_or_else(String::new, |origin| origin.to_string()),
                format!("`{datum}` would be for the hierarchies of the whole host"),
            )),
        },
        ("" | "none", None) => Err(invalid(
            format!("mounts[{index}].type"),
            "without a type a mount needs one of the options `bind`, `rbind` and `remount`",
        )),
        (kind, None) => {
            let data = data().chain(surroundings.label(kind)).collect();
            file_system(kind, &entry.source, options, data).map(Content::New)
        }
    }
}

fn file_system(kind: &str, source: &str, options: &Options, mut data: Vec<Datum>) -> Result<FileSystem> {
    let filled = match options.copy_up {
        None => Filled::AsMade,
        Some(_) if kind == "tmpfs" => Filled::WithCovered,
        Some(origin) => return Err(invalid(origin, format!("only a tmpfs is filled, and this is `{kind}`"))),
    };
    // What lies on a device must not be written even by the file system itself, its journal for instance.
    if options.own.set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY) && !is_kernels_own(kind) {
        data.push(Datum { key: "ro".to_owned(), value: None, origin: None });
    }
    let source = if source.is_empty() { kind } else { source };
    Ok(FileSystem { filled, ..FileSystem::new(kind, source, data) })
}

/// File systems that keep nothing anywhere but in the kernel.
fn is_kernels_own(kind: &str) -> bool {
    matches!(
        kind,
        "proc" | "sysfs" | "tmpfs" | "ramfs" | "devpts" | "mqueue" | "securityfs" | "debugfs" | "tracefs"
    )
}

fn bind(
    index: usize,
    entry: &document::Mount<'_>,
    options: &Options,
    maps: Option<IdMaps>,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Content> {
    let source = host_path(&format!("mounts[{index}].source"), &entry.source)?;
    if let Some(datum) = options.data.first() {
        let field = datum.origin.map_or_else(String::new, |origin| origin.to_string());
        let cause = format!(
            "`{datum}` is no option of a bind mount, which shows a file system that is mounted already"
        );
        return Err(unsupported(field, cause));
    }
    if let Some(origin) = options.copy_up {
        return Err(invalid(origin, "only a tmpfs is filled, and this is a bind mount"));
    }
    let ignored = options.superblock.iter().filter(|datum| !is_default(&datum.key));
    warnings.extend(ignored.filter_map(|datum| {
        let origin = datum.origin?;
        Some(format!(
            "config.json: {origin}: `{datum}` is left out: a bind mount can't change its file system"
        ))
    }));
    let id_mapped = match (maps, options.id_mapped) {
        (None, None) => None,
        (Some(maps), asked) => Some((IdSource::Maps(maps), asked.map_or(Reach::Mount, |(reach, _)| reach))),
        (None, Some((reach, _))) if surroundings.namespaces.foreign_user() => {
            Some((IdSource::Container, reach))
        }
        (None, Some((_, origin))) => {
            return Err(invalid(origin, "there is no user namespace whose ids could be used")
                .hint(format!("give mounts[{index}] its own `uidMappings` and `gidMappings`")));
        }
    };
    Ok(Content::Bind { source, reach: options.bind.unwrap_or(Reach::Mount), id_mapped })
}

/// Words for what a file system does anyway.
fn is_default(superblock_option: &str) -> bool {
    matches!(superblock_option, "async" | "nomand" | "nolazytime")
}

/// "If specified, the `gidMappings` property MUST also be specified" (config.md, "Mounts").
fn id_maps(index: usize, entry: &document::Mount<'_>) -> Result<Option<IdMaps>> {
    let field = |key: &str| format!("mounts[{index}].{key}");
    let (users, groups) = (&entry.uid_mappings, &entry.gid_mappings);
    if users.is_empty() && groups.is_empty() {
        return Ok(None);
    }
    let map = |key: &str, entries| namespaces::id_map(&field(key), entries);
    Ok(Some(IdMaps { users: map("uidMappings", users)?, groups: map("gidMappings", groups)? }))
}
