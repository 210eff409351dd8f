//! The root file system.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::either::short_or_map;
use crate::profile::values::HostPath;

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Rootfs {
    /// The host's programs and libraries, read-only, on a fresh root.
    HostRuntime(HostRuntime),
    /// A directory of the host.
    Directory(DirectoryRootfs),
}

impl Rootfs {
    /// The directory, unless the root is `host-runtime`.
    pub fn directory(&self) -> Option<&HostPath> {
        match self {
            Self::HostRuntime(_) => None,
            Self::Directory(directory) => directory.path.as_ref(),
        }
    }
}

short_or_map!(Rootfs { HostRuntime(HostRuntime), Directory(DirectoryRootfs) });

/// The word `host-runtime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum HostRuntime {
    /// The host's `/usr`, `/bin`, `/lib`…, read-only, on a fresh tmpfs root with a minimal `/etc`.
    #[serde(rename = "host-runtime")]
    HostRuntime,
}

/// A directory of the host that becomes the container's root.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct DirectoryRootfs {
    /// The directory; a relative path is relative to the profile file. Without it, the root is `host-runtime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HostPath>,
    /// Whether the root cannot be written. Default: true.
    #[serde(default = "read_only")]
    pub readonly: bool,
}

const fn read_only() -> bool {
    true
}
