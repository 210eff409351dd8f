//! How much memory nucleus itself takes while a container runs.

use std::fs;
use std::io;
use std::path::Path;

use crate::crowd::Sleeper;

/// Memory of one nucleus process, in KiB; the workload's own memory is not in it.
#[derive(Debug)]
pub(crate) struct Memory {
    /// `VmHWM` of `proc_pid_status(5)`: the most that was resident at once since exec, shared pages of libraries and
    /// the program file included.
    pub(crate) peak: u64,
    /// `Pss` of `proc_pid_smaps(5)` while the workload runs: shared pages count by their share.
    pub(crate) share: u64,
}

/// Starts a container that waits, and looks at the nucleus process that holds it.
pub(crate) fn measure(scratch: &Path) -> io::Result<Memory> {
    let sleeper = Sleeper::start(scratch)?;
    let process = format!("/proc/{}", sleeper.pid());
    let memory = Memory {
        peak: field(&format!("{process}/status"), "VmHWM:")?,
        share: field(&format!("{process}/smaps_rollup"), "Pss:")?,
    };
    sleeper.end()?;
    Ok(memory)
}

fn field(file: &str, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")).and_then(|number| number.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("{file} has no {name}")))
}
