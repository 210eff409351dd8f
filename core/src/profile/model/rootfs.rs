//! The root file system.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::either::short_or_map;
use crate::profile::values::{HostPath, PublicKey};

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
    /// Whether the directory is compared with a manifest before each start: `required`, `off`, or a map, which
    /// requires it too. Default: off.
    #[serde(default)]
    pub attestation: Attestation,
}

/// Whether a directory is compared with a manifest before each start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Attestation {
    /// By a word.
    Named(AttestationNamed),
    /// It is, with what is said here.
    Required(RequiredAttestation),
}

short_or_map!(Attestation { Named(AttestationNamed), Required(RequiredAttestation) });

impl Default for Attestation {
    fn default() -> Self {
        Self::Named(AttestationNamed::Off)
    }
}

/// Whether a directory is compared with a manifest, by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum AttestationNamed {
    /// It is, with the manifest that lies beside it.
    Required,
    /// It is not.
    Off,
}

/// How a directory is compared with a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct RequiredAttestation {
    /// The manifest; a relative path is relative to the profile file. Default: `NAME.nucleus-manifest` beside the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<HostPath>,
    /// Who must have signed the manifest: a public key of minisign. The signature is `MANIFEST.minisig`. Default: nobody
    /// must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
}

const fn read_only() -> bool {
    true
}
