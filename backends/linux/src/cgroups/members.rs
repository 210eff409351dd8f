//! The processes in a container's groups.

use std::fs;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::Pid;
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::signal::Signal;

use crate::fault::{OrFail, explain};

/// Everything that runs in a container's groups, children of groups included: a workload may make some.
fn of_directories(directories: &[PathBuf]) -> Result<Vec<Pid>> {
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
    let listed = of_directories(directories)?.into_iter();
    let mut opened: Vec<_> = listed.filter_map(|pid| Some((pid, PidFd::open(pid).ok()?))).collect();
    let still = of_directories(directories)?;
    opened.retain(|(pid, _)| still.contains(pid));
    Ok(opened)
}

fn collect(directory: &Path, found: &mut Vec<Pid>) -> Result<()> {
    let step = "list the container's processes";
    let file = directory.join("cgroup.procs");
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        result => result.or_fail(step, file.display())?,
    };
    found.extend(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)));
    for entry in fs::read_dir(directory).or_fail(step, directory.display())? {
        let entry = entry.or_fail(step, directory.display())?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// A fork storm makes processes while they are being killed; each round kills all that the last one saw.
const ROUNDS: usize = 1000;

/// Kills everything in the groups and waits until it is over.
///
/// # Errors
/// `teardown` when processes keep coming.
pub(crate) fn kill_all(directories: &[PathBuf]) -> Result<()> {
    for directory in directories {
        // cgroup v2 since Linux 5.14: one write, and no fork escapes it.
        let _ = fs::write(directory.join("cgroup.kill"), "1");
    }
    for _ in 0..ROUNDS {
        let members = open_members(directories)?;
        if members.is_empty() {
            return Ok(());
        }
        members.iter().try_for_each(|(pid, pidfd)| kill(*pid, pidfd))?;
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
        _ => pidfd.wait_over(None).or_fail("wait for a killed process", process.as_raw_nonzero()).map(drop),
    }
}
