//! What is mounted into the root file system.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::either::short_or_map;
use super::namespaces::UserMappings;
use crate::profile::values::{
    AbsolutePath, Bounded, ByteSize, FileMode, FileSystemName, HostPath, Id, PathPattern,
};

/// What is mounted into the root file system; everything is nosuid and nodev.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mounts {
    /// Files and directories of the host. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Fresh file systems in memory. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<Tmpfs>,
    /// The size of `/dev/shm`. Default: chosen by the backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm: Option<ByteSize>,
    /// How much room all secrets have together, in memory. Default: 16M.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<ByteSize>,
    /// What may be mounted at all, whoever asks for it. Default: everything but what is always forbidden.
    #[serde(default, skip_serializing_if = "MountPolicy::is_default")]
    pub policy: MountPolicy,
}

/// What may be mounted: of this profile, of the command line, and of an engine's `config.json`.
///
/// Patterns are absolute paths in which `*` stands for any part of a name and `**` for any number of names. They are
/// compared with where a source really lies: links are resolved first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MountPolicy {
    /// Sources that may be mounted, with all below them. Default: every one that is not forbidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<PathPattern>>,
    /// Sources that may not be mounted, with all below them and every directory that holds one; stronger than all else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<PathPattern>,
    /// Where in the container something may be mounted, with all below. Default: everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_targets: Option<Vec<PathPattern>>,
    /// Types of file systems that may not be mounted; `bind` stands for the host's files. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbid_types: Vec<FileSystemName>,
    /// Of the sources that are always forbidden, those that may be mounted after all. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dangerous: Vec<PathPattern>,
}

impl MountPolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A file or directory of the host, mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// The path on the host; a relative one is relative to the profile file.
    pub source: HostPath,
    /// The absolute path inside the container.
    pub target: AbsolutePath,
    /// `ro` or `rw`. Default: ro.
    #[serde(default)]
    pub mode: Access,
    /// Whether programs on it may be executed. Default: false.
    #[serde(default)]
    pub exec: bool,
    /// Whether what is mounted below the source comes along. Default: false.
    #[serde(default)]
    pub recursive: bool,
    /// Whether its owners are shown by other ids: `true` as the container's user namespace maps them, or maps of its own.
    /// Default: false.
    #[serde(default)]
    pub idmap: IdMap,
}

/// By which ids the owners of a volume's files are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum IdMap {
    /// `true`: as the container's user namespace maps them. `false`: by their own.
    Container(bool),
    /// By maps of the volume's own: `container` is an id on the file system, `host` the host's id that is shown for it.
    Maps(UserMappings),
}

short_or_map!(IdMap { Container(bool), Maps(UserMappings) });

impl Default for IdMap {
    fn default() -> Self {
        Self::Container(false)
    }
}

/// Whether a mount can be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Access {
    /// Read only.
    #[default]
    #[serde(rename = "ro")]
    ReadOnly,
    /// Read and write.
    #[serde(rename = "rw")]
    ReadWrite,
}

/// A fresh file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tmpfs {
    /// The absolute path inside the container.
    pub target: AbsolutePath,
    /// How much it may hold. Default: chosen by the backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<ByteSize>,
    /// The permission bits of its root, octal, in quotes. Default: "1777".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
    /// The user who owns its root, an id in the container. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Id>,
    /// The group that owns its root, an id in the container. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<Id>,
    /// How many files, directories and links it may hold. Default: the kernel's, half of the memory's pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes: Option<Bounded<1, 4_294_967_295>>,
    /// Whether programs on it may be executed. Default: false.
    #[serde(default)]
    pub exec: bool,
}
