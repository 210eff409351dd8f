//! All processes of a container.

use std::fs;
use std::path::PathBuf;

use nucleus_abi::Result;
use nucleus_sys::Pid;
use nucleus_sys::namespace::Namespace;
use nucleus_sys::pidfd::PidFd;

use crate::cgroups;
use crate::fault::OrFail;
use crate::record::Record;

/// Opens each process that belongs to the container: those in its groups, or, where it has none, those in its pid
/// namespace.
pub(crate) fn open(record: &Record, first: Option<PidFd>) -> Result<Vec<PidFd>> {
    if !record.cgroups.is_empty() {
        return Ok(cgroups::open_members(&record.cgroups)?.into_iter().map(|(_, pidfd)| pidfd).collect());
    }
    match (first, record.own_pid_namespace) {
        (Some(first), true) => in_pid_namespace(record, &first),
        (first, _) => Ok(first.into_iter().collect()),
    }
}

fn in_pid_namespace(record: &Record, first: &PidFd) -> Result<Vec<PidFd>> {
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/{}", Namespace::Pid.proc_name())).ok();
    let wanted: Option<PathBuf> = namespace(record.process.pid);
    // Asked while the first process lives: its namespace is not yet another one's.
    let alive =
        !first.wait_over(Some(std::time::Duration::ZERO)).or_fail("look at a process", record.process.pid)?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").or_fail("list processes", "/proc")? {
        let name = entry.or_fail("list processes", "/proc")?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Some(opened) =
            i32::try_from(pid).ok().and_then(Pid::from_raw).and_then(|pid| PidFd::open(pid).ok())
        else {
            continue;
        };
        // Compared after it was opened, as everywhere.
        if alive && wanted.is_some() && namespace(pid) == wanted {
            found.push(opened);
        }
    }
    Ok(found)
}
