//! `process` (config.md, "Process"); also what `exec --process` takes.

use serde::Deserialize;

use super::{Text, nullable};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process<'a> {
    #[serde(default, deserialize_with = "nullable")]
    pub terminal: bool,
    pub console_size: Option<ConsoleSize>,
    #[serde(borrow)]
    pub cwd: Text<'a>,
    #[serde(default, deserialize_with = "nullable")]
    pub env: Vec<Text<'a>>,
    #[serde(default, deserialize_with = "nullable")]
    pub args: Vec<Text<'a>>,
    #[serde(default, deserialize_with = "nullable")]
    pub user: User,
    #[serde(default, deserialize_with = "nullable")]
    pub rlimits: Vec<Rlimit<'a>>,
    pub apparmor_profile: Option<Text<'a>>,
    pub selinux_label: Option<Text<'a>>,
    pub capabilities: Option<Capabilities<'a>>,
    #[serde(default, deserialize_with = "nullable")]
    pub no_new_privileges: bool,
    pub oom_score_adj: Option<i32>,
    pub scheduler: Option<Scheduler<'a>>,
    pub io_priority: Option<IoPriority<'a>>,
    #[serde(rename = "execCPUAffinity")]
    pub exec_cpu_affinity: Option<CpuAffinity<'a>>,
}

/// Cells of characters.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ConsoleSize {
    pub height: u64,
    pub width: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct User {
    #[serde(deserialize_with = "nullable")]
    pub uid: u32,
    #[serde(deserialize_with = "nullable")]
    pub gid: u32,
    pub umask: Option<u32>,
    #[serde(deserialize_with = "nullable")]
    pub additional_gids: Vec<u32>,
}

/// In the unit of getrlimit(2); `u64::MAX` for no limit.
#[derive(Debug, Deserialize)]
pub struct Rlimit<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    pub soft: u64,
    pub hard: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Capabilities<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub bounding: Vec<Text<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub effective: Vec<Text<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub inheritable: Vec<Text<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub permitted: Vec<Text<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub ambient: Vec<Text<'a>>,
}

/// `sched_setattr(2)`.
#[derive(Debug, Deserialize)]
pub struct Scheduler<'a> {
    #[serde(borrow)]
    pub policy: Text<'a>,
    pub nice: Option<i32>,
    pub priority: Option<i32>,
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<Text<'a>>,
    /// Nanoseconds.
    pub runtime: Option<u64>,
    /// Nanoseconds.
    pub deadline: Option<u64>,
    /// Nanoseconds.
    pub period: Option<u64>,
}

/// `ioprio_set(2)`.
#[derive(Debug, Deserialize)]
pub struct IoPriority<'a> {
    #[serde(borrow)]
    pub class: Text<'a>,
    #[serde(default, deserialize_with = "nullable")]
    pub priority: i64,
}

/// Lists of processors such as `0-3,7`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CpuAffinity<'a> {
    #[serde(borrow)]
    pub initial: Option<Text<'a>>,
    #[serde(rename = "final")]
    pub last: Option<Text<'a>>,
}
