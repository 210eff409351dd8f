//! All processes of a container.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nucleus_abi::Result;
use nucleus_sys::Pid;
use nucleus_sys::namespace;
use nucleus_sys::pidfd::PidFd;

use crate::fault::OrFail;
use crate::record::Record;
use crate::{cgroups, identity};

/// Opens each process that belongs to the container: those in its groups, or, where it has none, those in its pid
/// namespace and in the namespaces below it.
///
/// # Errors
/// What the host refuses to tell.
pub(crate) fn open(record: &Record) -> Result<Vec<(Pid, PidFd)>> {
    if !record.cgroups.is_empty() {
        return cgroups::open_members(&record.cgroups);
    }
    let Some(first) = identity::open(record.process).or_fail(FIRST, record.process.pid)? else {
        return Ok(Vec::new());
    };
    match Pid::from_raw(record.process.pid.cast_signed()) {
        Some(_) if record.own_pid_namespace => in_pid_namespace(record, &first),
        Some(pid) => Ok(vec![(pid, first)]),
        None => Ok(Vec::new()),
    }
}

const FIRST: &str = "look at the container's first process";

fn in_pid_namespace(record: &Record, first: &PidFd) -> Result<Vec<(Pid, PidFd)>> {
    let wanted = id_of(&format!("/proc/{}/ns/pid", record.process.pid));
    let own = id_of("/proc/self/ns/pid");
    // Asked while the first process lives: its namespace is not yet another one's.
    let over = first.wait_over(Some(std::time::Duration::ZERO)).or_fail(FIRST, record.process.pid)?;
    let (Some(wanted), false) = (wanted, over) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").or_fail("list processes", "/proc")? {
        let name = entry.or_fail("list processes", "/proc")?.file_name();
        let Some(pid) = name.to_str().and_then(|name| Pid::from_raw(name.parse().ok()?)) else { continue };
        let Ok(opened) = PidFd::open(pid) else { continue };
        // Compared after it was opened, as everywhere.
        let path = format!("/proc/{}/ns/pid", pid.as_raw_nonzero());
        if id_of(&path).is_some_and(|id| id == wanted || (Some(id) != own && is_below(&path, wanted))) {
            found.push((pid, opened));
        }
    }
    Ok(found)
}

/// A namespace's device and inode: what the link in `/proc` shows.
type Id = (u64, u64);

fn id_of(path: &str) -> Option<Id> {
    let stat = rustix::fs::stat(path).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// Whether the pid namespace was made in the wanted one, or in one below that: the workload may make some.
fn is_below(path: &str, wanted: Id) -> bool {
    let Ok(mut above) = File::open(Path::new(path)).map(OwnedFd::from) else { return false };
    loop {
        // Above our own nothing can be seen: EPERM.
        let Ok(parent) = namespace::parent(above.as_fd()) else { return false };
        match rustix::fs::fstat(&parent) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == wanted => return true,
            Ok(_) => above = parent,
            Err(_) => return false,
        }
    }
}
