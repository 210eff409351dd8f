//! The processes in a container's groups.

use std::fs;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::Pid;
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::signal::Signal;

use super::freezer;
use crate::fault::{OrFail, explain};

/// Everything that runs in a container's groups, groups below them included: a workload may make some. Groups that are gone
/// hold nothing.
///
/// # Errors
/// What reading `cgroup.procs` reports.
pub(crate) fn pids(directories: &[PathBuf]) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    // Each process stands in every hierarchy; the first directory has them all.
    if let Some(first) = directories.first() {
        collect(first, &mut found)?;
    }
    Ok(found)
}

/// Opens each of them. An id may be reused before it is opened: only those that still stand in the group afterwards are
/// returned, so that none of them is a stranger.
pub(crate) fn open_members(directories: &[PathBuf]) -> Result<Vec<(Pid, PidFd)>> {
    let listed = pids(directories)?.into_iter();
    let mut opened: Vec<_> = listed.filter_map(|pid| Some((pid, PidFd::open(pid).ok()?))).collect();
    let still = pids(directories)?;
    opened.retain(|(pid, _)| still.contains(pid));
    Ok(opened)
}

fn collect(directory: &Path, found: &mut Vec<Pid>) -> Result<()> {
    let step = "list the container's processes";
    let file = directory.join("cgroup.procs");
    let text = match fs::read_to_string(&file) {
        // The processes of a threaded group are listed by the group above it (cgroup-v2.rst, "Threads").
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => String::new(),
        // ENODEV: it went after it was opened.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => return Ok(()),
        result => result.or_fail(step, file.display())?,
    };
    found.extend(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)));
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// A fork storm makes processes while they are being killed; each round kills all that the last one saw.
const ROUNDS: usize = 1000;

/// Kills everything in the groups with one write that no fork escapes: cgroup v2 since Linux 5.14. `false` where there is
/// no such group.
pub(crate) fn kill_at_once(directories: &[PathBuf]) -> bool {
    directories.iter().any(|directory| fs::write(directory.join("cgroup.kill"), "1").is_ok())
}

/// Kills everything in the groups and waits until it is over.
///
/// # Errors
/// `teardown` when processes keep coming.
pub(crate) fn kill_all(directories: &[PathBuf]) -> Result<()> {
    kill_at_once(directories);
    for _ in 0..ROUNDS {
        let members = open_members(directories)?;
        if members.is_empty() {
            return Ok(());
        }
        members.iter().try_for_each(|(pid, pidfd)| kill(*pid, pidfd))?;
        freezer::let_die(directories)?;
        members.iter().try_for_each(|(pid, pidfd)| until_over(*pid, pidfd))?;
    }
    Err(Error::new(ErrorCode::Teardown, "kill the container's processes")
        .on(directories.first().map_or_else(String::new, |path| path.display().to_string()))
        .because("new ones kept appearing"))
}

fn kill(process: Pid, pidfd: &PidFd) -> Result<()> {
    match pidfd.send_signal(Signal::KILL) {
        Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
            Err(Error::new(ErrorCode::Teardown, "kill a process of the container")
                .on(process.as_raw_nonzero())
                .because(explain(&error)))
        }
        _ => Ok(()),
    }
}

fn until_over(process: Pid, pidfd: &PidFd) -> Result<()> {
    pidfd.wait_over(None).or_fail("wait for a killed process", process.as_raw_nonzero()).map(drop)
}
