//! A runtime, and what every call of it needs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A runtime's program and the ways in which it differs from others. It is remembered with the container: every verb calls
/// the same one in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// Its name and version, for messages: `crun 1.8.1`.
    pub name: String,
    /// The program's absolute path. Whoever names it has checked that nobody else can write there.
    pub program: PathBuf,
    /// Arguments before each verb.
    pub arguments: Vec<String>,
    /// The directory in which each container's bundle is made, which is root's alone; `None` is the engine's own of the container.
    #[serde(default)]
    pub bundles: Option<PathBuf>,
    /// How long a call may take, in seconds, before it and all that it started is killed.
    pub patience: u64,
    /// Mounts that it must not see, since it would refuse this host because of them.
    pub hidden: Vec<PathBuf>,
    /// What it does with the root file system's mount.
    pub root: RootMount,
    /// Which mode a tmpfs gets from it.
    pub tmpfs: TmpfsMode,
    /// What keeps the container from writing to the program.
    #[serde(default)]
    pub seal: Seal,
    /// What it is known to forget, or not known to do.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// What of the host it may write to in `create`.
    #[serde(default)]
    pub host: HostAccess,
    /// What tells how the workload ended.
    #[serde(default)]
    pub exits: ExitSource,
    /// Verbs and options of the runtime specification's command line that it has not.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// What a runtime forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It leaves the loopback interface of a new network namespace down (youki 0.7). So the engine brings it up.
    LoopbackDown,
    /// Its `exec` applies no system call filter (youki 0.7). So the engine executes nothing in a container that has one.
    ExecUnfiltered,
}

/// What keeps a container from writing to the program of its runtime, which it reaches as `/proc/PID/exe` while the runtime
/// works inside of it (CVE-2019-5736).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seal {
    /// The runtime: it executes a copy of itself that nobody can write to.
    #[default]
    Own,
    /// The engine: it executes the program from a read-only mount.
    Mount,
}

/// What of the host a runtime may write to while it makes a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostAccess {
    /// All that its user may.
    #[default]
    Writable,
    /// Its own directory of the container, cgroups and processes; all else where the document has it run hooks, or copy what a
    /// directory holds.
    ReadOnly,
}

/// What tells how the workload ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitSource {
    /// The kernel: the process that the runtime names is the workload's own.
    #[default]
    Process,
    /// The process is the runtime's monitor. It says 128+n of a workload that signal n ended, and of one that exited so; what
    /// it was stands in the monitor's own log.
    Monitor,
}

/// Which mode a runtime gives a tmpfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TmpfsMode {
    /// The one that the option `mode` asks for.
    Asked,
    /// That of the directory below it: so the engine makes it.
    OfDirectory,
}

/// What a runtime does with the attributes of the mount that is to be the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootMount {
    /// It keeps them, unless it is asked for a read-only root: that remounts, and forgets `nodev` (runc 1.1). So the engine
    /// makes the mount read-only, and does not ask.
    Kept,
    /// It remounts the root in any case, and forgets them (crun 1.8), or that is not known. So it must be asked; and devices
    /// of the image are out of reach by the rules of the device cgroup alone.
    Remounted,
}

impl Runtime {
    pub(crate) fn has_fault(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// The program, where the engine has to seal it.
    pub(crate) fn to_seal(&self) -> Option<&Path> {
        (self.seal == Seal::Mount).then_some(&self.program)
    }

    /// Whether it has a verb or an option.
    pub(crate) fn has(&self, word: &str) -> bool {
        !self.lacks.iter().any(|lacking| lacking == word)
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}
