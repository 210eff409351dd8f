//! What the workload may ask of the kernel.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Keyed;
use super::either::short_or_map;
use crate::profile::values::{AbsolutePath, CapabilityName, HostPath, SysctlName, SysctlValue};

/// What the workload may ask of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Security {
    /// A list of capabilities, or a map of the sets; names with or without `CAP_`. Default: none.
    pub capabilities: Capabilities,
    /// The filter of system calls: `default`, `unconfined`, or a map with the `file` of a profile. Default: default.
    pub seccomp: Seccomp,
    /// Landlock rules: `default`, `off`, or a map of paths. Default: default.
    pub landlock: Landlock,
    /// Whether no exec can gain privileges. Default: true.
    pub no_new_privileges: bool,
    /// Paths that cannot be read; replaces the default list. Default: nucleus' list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_paths: Option<Vec<AbsolutePath>>,
    /// Paths that cannot be written; replaces the default list. Default: nucleus' list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly_paths: Option<Vec<AbsolutePath>>,
    /// Kernel parameters of the container's own namespaces. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Keyed<SysctlName, SysctlValue>")]
    pub sysctls: BTreeMap<SysctlName, SysctlValue>,
}

/// Capabilities of the workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Capabilities {
    /// One list for the bounding, permitted and effective sets; ambient too where the user is not root.
    List(Vec<CapabilityName>),
    /// Each set by itself; one that is left out is empty.
    Sets(CapabilitySets),
}

short_or_map!(Capabilities { List(Vec<CapabilityName>), Sets(CapabilitySets) });

/// The capability sets of capabilities(7); one that is left out is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct CapabilitySets {
    /// What can ever be had.
    #[serde(default)]
    pub bounding: Vec<CapabilityName>,
    /// What is in force.
    #[serde(default)]
    pub effective: Vec<CapabilityName>,
    /// What can be put in force.
    #[serde(default)]
    pub permitted: Vec<CapabilityName>,
    /// Must stay empty: programs of the image could regain what was dropped (CVE-2022-24769).
    #[serde(default)]
    pub inheritable: Vec<CapabilityName>,
    /// What a program keeps through exec without being root.
    #[serde(default)]
    pub ambient: Vec<CapabilityName>,
}

/// The filter of system calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Seccomp {
    /// A filter that nucleus knows by name.
    Named(SeccompNamed),
    /// A filter from a file.
    File(SeccompFile),
}

short_or_map!(Seccomp { Named(SeccompNamed), File(SeccompFile) });

/// A filter that nucleus knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum SeccompNamed {
    /// What the default profile of Docker and containers-common allows.
    Default,
    /// No filter.
    Unconfined,
}

/// A filter from a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct SeccompFile {
    /// An OCI seccomp profile (JSON); a relative path is relative to the profile file.
    pub file: HostPath,
}

/// Landlock rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Landlock {
    /// A rule set by name.
    Named(LandlockDefault),
    /// Rules of the profile.
    Paths(LandlockPaths),
}

short_or_map!(Landlock { Named(LandlockDefault), Paths(LandlockPaths) });

/// A Landlock rule set by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum LandlockDefault {
    /// Rules that follow from the root file system and the mounts.
    Default,
    /// No rules.
    Off,
}

/// What Landlock allows beneath which paths of the container; everything else is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct LandlockPaths {
    /// May be read, not executed.
    #[serde(default)]
    pub read_only: Vec<AbsolutePath>,
    /// May be read and written, not executed.
    #[serde(default)]
    pub read_write: Vec<AbsolutePath>,
    /// May be read and executed.
    #[serde(default)]
    pub execute: Vec<AbsolutePath>,
}
