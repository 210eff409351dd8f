//! What is mounted into the root file system.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::values::{AbsolutePath, ByteSize, FileMode, HostPath};

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
    /// Whether programs on it may be executed. Default: false.
    #[serde(default)]
    pub exec: bool,
}
