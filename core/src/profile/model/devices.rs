//! Devices beyond the standard ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::values::{AbsolutePath, DeviceAccess, FileMode, Id};

/// A device of the host that the container gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// The device on the host, such as `/dev/fuse`; no link.
    pub path: AbsolutePath,
    /// Where it is in the container, below `/dev`. Default: at the same path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<AbsolutePath>,
    /// What may be done with it, letters of `rwm`. Default: rw.
    #[serde(default)]
    pub access: DeviceAccess,
    /// The permission bits of its node, octal, in quotes. Default: those on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
    /// The user who owns its node, an id in the container. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Id>,
    /// The group that owns its node, an id in the container. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<Id>,
    /// Whether the container starts without it where the host has none. Default: false.
    #[serde(default)]
    pub optional: bool,
    /// Consent to a device through which the host can be reached: disks, memory, loop control, consoles. Default: false.
    #[serde(default)]
    pub dangerous: bool,
}

impl Device {
    /// Where it is in the container.
    pub fn target(&self) -> &AbsolutePath {
        self.target.as_ref().unwrap_or(&self.path)
    }
}
