//! `mounts`: what is mounted where, with which attributes.

use std::path::PathBuf;

use nucleus_abi::Result;
use nucleus_sys::in_root::InRootPath;
use nucleus_sys::mount::{ATIME_MODE, MountAttrFlags, Propagation, Reach};
use nucleus_sys::namespace::Namespace;

use super::{Namespaces, document, host_path, in_root};
use crate::fault::{invalid, unsupported};

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
    /// Propagation; private unless said otherwise, as an engine expects.
    pub propagation: (Propagation, Reach),
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
    },
    /// A new file system.
    New(FileSystem),
    /// The container's own part of the cgroup hierarchies.
    Cgroup,
}

impl Mount {
    /// Whether it shows the kernel's devices, and with them those of the network namespace that it is made in.
    pub fn is_sysfs(&self) -> bool {
        matches!(&self.content, Content::New(file_system) if file_system.kind == "sysfs")
    }
}

/// A new file system.
#[derive(Debug)]
pub struct FileSystem {
    /// Its type, of a closed list.
    pub kind: &'static str,
    /// What mountinfo shows as its source.
    pub source: String,
    /// Options that the file system itself reads.
    pub data: Vec<Datum>,
}

/// An option that a file system reads.
#[derive(Debug, PartialEq, Eq)]
pub enum Datum {
    /// Without a value.
    Flag(String),
    /// `key=value`.
    Value(String, String),
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

    fn put(&mut self, option: AttributeOption) {
        match option {
            AttributeOption::Set(flag) => {
                self.set |= flag;
                self.clear -= flag;
            }
            AttributeOption::Clear(flag) => {
                self.clear |= flag;
                self.set -= flag;
            }
            AttributeOption::Atime(mode) => {
                self.clear |= ATIME_MODE;
                self.set = (self.set - ATIME_MODE) | mode;
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum AttributeOption {
    Set(MountAttrFlags),
    Clear(MountAttrFlags),
    Atime(MountAttrFlags),
}

/// What one word among the options means.
enum Meaning {
    Nothing,
    Attribute(AttributeOption),
    TreeAttribute(AttributeOption),
    Propagation(Propagation, Reach),
    Bind(Reach),
    Data(Datum),
}

pub(super) fn read(entries: &[document::Mount<'_>], namespaces: &Namespaces) -> Result<Vec<Mount>> {
    entries.iter().enumerate().map(|(index, entry)| mount(index, entry, namespaces)).collect()
}

fn mount(index: usize, entry: &document::Mount<'_>, namespaces: &Namespaces) -> Result<Mount> {
    let field = |key: &str| format!("mounts[{index}].{key}");
    let options = Options::read(index, entry)?;
    let target = in_root(&field("destination"), &entry.destination)?;
    if target.components().is_empty() {
        return Err(invalid(field("destination"), "the root itself is not a place for a mount"));
    }
    let content = content(index, entry, options.bind, options.data, namespaces)?;
    let mut own = options.own;
    if matches!(content, Content::Bind { .. }) && !own.clear.contains(MountAttrFlags::MOUNT_ATTR_NODEV) {
        // Device rules say "deny all" and are kept by `nodev`: a device needs the option `dev` to be one here.
        own.set |= MountAttrFlags::MOUNT_ATTR_NODEV;
    }
    Ok(Mount { index, target, content, own, tree: options.tree, propagation: options.propagation })
}

fn content(
    index: usize,
    entry: &document::Mount<'_>,
    bind: Option<Reach>,
    data: Vec<Datum>,
    namespaces: &Namespaces,
) -> Result<Content> {
    let field = |key: &str| format!("mounts[{index}].{key}");
    if bind.is_some() || &*entry.kind == "bind" {
        let source = host_path(&field("source"), &entry.source)?;
        return bind_of(index, source, bind.unwrap_or(Reach::Mount), &data);
    }
    let kind = match &*entry.kind {
        "cgroup" | "cgroup2" => return Ok(Content::Cgroup),
        // The kernel mounts sysfs only for who owns the network namespace that it shows (as runc falls back).
        "sysfs" if namespaces.foreign_user() && !namespaces.owns(Namespace::Network) => {
            return Ok(Content::Bind { source: "/sys".into(), reach: Reach::Tree });
        }
        "proc" => "proc",
        "sysfs" => "sysfs",
        "tmpfs" => "tmpfs",
        "devpts" => "devpts",
        "mqueue" => "mqueue",
        other => return Err(unsupported(field("type"), format!("file system `{other}`"))),
    };
    let source = if entry.source.is_empty() { kind } else { &*entry.source }.to_owned();
    Ok(Content::New(FileSystem { kind, source, data }))
}

fn bind_of(index: usize, source: PathBuf, reach: Reach, data: &[Datum]) -> Result<Content> {
    match data.first() {
        None => Ok(Content::Bind { source, reach }),
        Some(Datum::Flag(word) | Datum::Value(word, _)) => {
            Err(unsupported(format!("mounts[{index}].options"), format!("`{word}` on a bind mount")))
        }
    }
}

struct Options {
    own: Attributes,
    tree: Attributes,
    propagation: (Propagation, Reach),
    bind: Option<Reach>,
    data: Vec<Datum>,
}

impl Options {
    fn read(index: usize, entry: &document::Mount<'_>) -> Result<Self> {
        let mut options = Self {
            own: Attributes::NONE,
            tree: Attributes::NONE,
            propagation: (Propagation::Private, Reach::Tree),
            bind: None,
            data: Vec::new(),
        };
        for word in &entry.options {
            match meaning(word) {
                Some(meaning) => options.take(meaning),
                None => {
                    return Err(unsupported(format!("mounts[{index}].options"), format!("option `{word}`")));
                }
            }
        }
        Ok(options)
    }

    fn take(&mut self, meaning: Meaning) {
        match meaning {
            Meaning::Nothing => {}
            Meaning::Attribute(option) => self.own.put(option),
            Meaning::TreeAttribute(option) => self.tree.put(option),
            Meaning::Propagation(propagation, reach) => self.propagation = (propagation, reach),
            Meaning::Bind(reach) => self.bind = Some(reach),
            Meaning::Data(datum) => self.data.push(datum),
        }
    }
}

/// The meaning of a word, by the table of the runtime specification (config.md, "Linux mount options"); `None` for those
/// that this engine does not have.
fn meaning(word: &str) -> Option<Meaning> {
    if let Some(option) = attribute(word) {
        return Some(Meaning::Attribute(option));
    }
    if let Some(option) = word.strip_prefix('r').and_then(attribute) {
        return Some(Meaning::TreeAttribute(option));
    }
    Some(match word {
        "defaults" => Meaning::Nothing,
        "bind" => Meaning::Bind(Reach::Mount),
        "rbind" => Meaning::Bind(Reach::Tree),
        "private" => Meaning::Propagation(Propagation::Private, Reach::Mount),
        "rprivate" => Meaning::Propagation(Propagation::Private, Reach::Tree),
        "slave" => Meaning::Propagation(Propagation::Slave, Reach::Mount),
        "rslave" => Meaning::Propagation(Propagation::Slave, Reach::Tree),
        "shared" => Meaning::Propagation(Propagation::Shared, Reach::Mount),
        "rshared" => Meaning::Propagation(Propagation::Shared, Reach::Tree),
        "unbindable" => Meaning::Propagation(Propagation::Unbindable, Reach::Mount),
        "runbindable" => Meaning::Propagation(Propagation::Unbindable, Reach::Tree),
        "tmpcopyup" | "idmap" | "ridmap" => return None,
        data => Meaning::Data(match data.split_once('=') {
            Some((key, value)) => Datum::Value(key.to_owned(), value.to_owned()),
            None => Datum::Flag(data.to_owned()),
        }),
    })
}

fn attribute(word: &str) -> Option<AttributeOption> {
    use AttributeOption::{Atime, Clear, Set};
    let relative = MountAttrFlags::empty(); // MOUNT_ATTR_RELATIME is 0
    Some(match word {
        "ro" => Set(MountAttrFlags::MOUNT_ATTR_RDONLY),
        "rw" => Clear(MountAttrFlags::MOUNT_ATTR_RDONLY),
        "nosuid" => Set(MountAttrFlags::MOUNT_ATTR_NOSUID),
        "suid" => Clear(MountAttrFlags::MOUNT_ATTR_NOSUID),
        "nodev" => Set(MountAttrFlags::MOUNT_ATTR_NODEV),
        "dev" => Clear(MountAttrFlags::MOUNT_ATTR_NODEV),
        "noexec" => Set(MountAttrFlags::MOUNT_ATTR_NOEXEC),
        "exec" => Clear(MountAttrFlags::MOUNT_ATTR_NOEXEC),
        "nodiratime" => Set(MountAttrFlags::MOUNT_ATTR_NODIRATIME),
        "diratime" => Clear(MountAttrFlags::MOUNT_ATTR_NODIRATIME),
        "nosymfollow" => Set(MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
        "symfollow" => Clear(MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
        "noatime" => Atime(MountAttrFlags::MOUNT_ATTR_NOATIME),
        "strictatime" | "norelatime" => Atime(MountAttrFlags::MOUNT_ATTR_STRICTATIME),
        "relatime" | "atime" | "nostrictatime" => Atime(relative),
        _ => return None,
    })
}
