//! What is to run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Keyed;
use crate::profile::values::{
    AbsolutePath, Bounded, EnvName, FileMode, HostName, Id, Rlimit, RlimitName, UserSpec,
};

/// What is to run, and as whom.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// The program and its arguments; no shell reads them. A command on the command line replaces it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The user inside the container: `uid[:gid]` or `name[:group]`. Default: 0:0.
    pub user: UserSpec,
    /// Further numeric groups of the process. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_groups: Vec<Id>,
    /// The file mode creation mask, octal, in quotes. Default: "0022".
    pub umask: FileMode,
    /// The host name inside the container. Default: chosen by nucleus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<HostName>,
    /// The NIS domain name inside the container. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<HostName>,
    /// Environment variables with their values. Default: PATH alone; nothing leaks from the host.
    #[serde(default)]
    #[schemars(with = "Keyed<EnvName, String>")]
    pub env: BTreeMap<EnvName, String>,
    /// Names of variables whose values are taken from nucleus' own environment. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvName>,
    /// The working directory, absolute, inside the container. Default: /.
    pub cwd: AbsolutePath,
    /// Whether the workload gets a terminal of its own. Default: auto.
    pub terminal: Terminal,
    /// Whether a small init of nucleus is process 1: it forwards signals and reaps zombies. Default: false.
    pub init: bool,
    /// Resource limits of setrlimit(2): a value for both, or a map with `soft` and `hard`. Default: the host's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Keyed<RlimitName, Rlimit>")]
    pub rlimits: BTreeMap<RlimitName, Rlimit>,
    /// The kernel's preference for killing the process when memory runs out, -1000 to 1000. Default: nucleus' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<Bounded<-1000, 1000>>,
}

/// Whether the workload gets a terminal of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Terminal {
    /// A terminal if standard input is one.
    Auto,
    /// Always a terminal.
    Always,
    /// Never a terminal.
    Never,
}
