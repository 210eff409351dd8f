//! The root file system.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::either::short_or_map;
use crate::profile::values::{ByteSize, HostPath, PublicKey, UpperLayer};

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Rootfs {
    /// The host's programs and libraries, read-only, on a fresh root.
    HostRuntime(HostRuntime),
    /// Directories of the host.
    Directory(DirectoryRootfs),
}

/// Where the files of a root file system come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootfsSource<'a> {
    /// The host's programs and libraries.
    HostRuntime,
    /// A directory.
    Directory(&'a HostPath),
    /// Directories over each other.
    Overlay(&'a OverlayRootfs),
}

impl Rootfs {
    /// Where its files come from. Of a directory and an overlay, which the profile's own rules refuse, it is the directory.
    pub fn source(&self) -> RootfsSource<'_> {
        match self {
            Self::HostRuntime(_) | Self::Directory(DirectoryRootfs { path: None, overlay: None, .. }) => {
                RootfsSource::HostRuntime
            }
            Self::Directory(DirectoryRootfs { path: Some(path), .. }) => RootfsSource::Directory(path),
            Self::Directory(DirectoryRootfs { overlay: Some(overlay), .. }) => RootfsSource::Overlay(overlay),
        }
    }
}

impl RootfsSource<'_> {
    /// The directories of the host that it is made of, each with its field as a JSON pointer.
    pub fn directories(&self) -> Vec<(String, &HostPath)> {
        match self {
            Self::HostRuntime => Vec::new(),
            Self::Directory(path) => vec![("/rootfs/path".to_owned(), path)],
            Self::Overlay(overlay) => overlay.directories(),
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

/// A directory of the host, or several over each other, that become the container's root.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct DirectoryRootfs {
    /// The directory; a relative path is relative to the profile file. Without it, the root is `host-runtime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HostPath>,
    /// Directories over each other, instead of `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<OverlayRootfs>,
    /// Whether the root cannot be written. Default: true, but for an overlay with an upper layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly: Option<bool>,
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

/// Directories over each other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OverlayRootfs {
    /// The directories that are only read, the topmost first; relative paths are relative to the profile file.
    pub lower: Vec<HostPath>,
    /// What takes what the workload writes: `tmpfs`, which goes with the container, or a directory, which stays.
    /// Default: nothing, and the root is read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<UpperLayer>,
    /// The work directory that an `upper` directory needs, empty and of the same file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<HostPath>,
    /// How much an `upper` of `tmpfs` may hold. Default: 64M.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<ByteSize>,
}

impl OverlayRootfs {
    fn directories(&self) -> Vec<(String, &HostPath)> {
        let lower = self.lower.iter().enumerate();
        let lower = lower.map(|(index, path)| (format!("/rootfs/overlay/lower/{index}"), path));
        let upper = match &self.upper {
            Some(UpperLayer::Directory(path)) => Some(("/rootfs/overlay/upper".to_owned(), path)),
            Some(UpperLayer::Tmpfs) | None => None,
        };
        let work = self.work.as_ref().map(|path| ("/rootfs/overlay/work".to_owned(), path));
        lower.chain(upper).chain(work).collect()
    }
}
