//! The context: a tree of the host that the workload may read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::values::{AbsolutePath, ByteSize, HostPath};

/// A tree of the host that the workload may read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Context {
    /// The directory; a relative path is relative to the profile file.
    pub source: HostPath,
    /// The absolute path inside the container. Default: /context.
    #[serde(default = "usual_place")]
    pub target: AbsolutePath,
    /// Whether the workload sees a copy, or the directory itself. Default: copy.
    #[serde(default)]
    pub mode: ContextMode,
    /// Whether the copy is proved to be what was there, by digests taken before. Default: false.
    #[serde(default)]
    pub verify: bool,
    /// Names that are not copied, as patterns in gitignore's syntax, beside `.git`, `target/` and those of the source's
    /// `.nucleusignore`; the last pattern that matches decides. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How much the copied files may hold together. Default: 1G.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<ByteSize>,
    /// Whose the copied files are. Default: source.
    #[serde(default)]
    pub owner: ContextOwner,
    /// Whether programs in it may be executed. Default: false.
    #[serde(default)]
    pub exec: bool,
}

fn usual_place() -> AbsolutePath {
    "/context".parse().expect("an absolute path")
}

/// Whether the workload sees a copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum ContextMode {
    /// A copy, which is the container's own.
    #[default]
    Copy,
    /// The directory itself, read-only.
    Bind,
}

/// Whose the files of a copy are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum ContextOwner {
    /// Those whose the source's files are.
    #[default]
    Source,
    /// The workload's user and group.
    Workload,
}
