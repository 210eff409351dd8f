//! A group of cgroup v1 that a container gets later: at its first pause, or for a limit that it did not have before.
//!
//! A container of the operator's has groups only in the hierarchies that its limits need. The ledger names each of the others
//! when it is about to be made, so that it is removed with the rest, and a container that never gets one pays nothing.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_abi::{CgroupPlacement, Effect, Error, ErrorCode, Hierarchies, Ledger, Result};
use nucleus_sys::Pid;
use nucleus_sys::pidfd::PidFd;

use super::layout::{Hierarchy, STANDARD};
use super::{Controller, Group, Version};
use crate::fault::OrFail;
use crate::record::Record;
use crate::{cgroups, members};

/// The hierarchies in which a group may be made later, the freezer last: see [`super::place`].
const LATER: [&str; 6] = ["memory", "cpu", "cpuset", "pids", "blkio", "freezer"];

/// The groups that may be made later. On cgroup v2 there is one group, and it is there from the beginning.
pub(crate) fn possible(placement: Option<&CgroupPlacement>, groups: &[Group]) -> Vec<PathBuf> {
    let Some(placement) = placement else { return Vec::new() };
    if placement.hierarchies == Hierarchies::All || groups.iter().any(Group::is_unified) {
        return Vec::new();
    }
    let directories = LATER.iter().map(|name| directory(name, &placement.path));
    directories.filter(|path| !groups.iter().any(|group| group.directory() == path)).collect()
}

fn directory(hierarchy: &str, place: &Path) -> PathBuf {
    Path::new(STANDARD).join(hierarchy).join(place.strip_prefix("/").unwrap_or(place))
}

/// Makes the container's group in a hierarchy of cgroup v1 and moves all its processes there. `None` where the host has no
/// such hierarchy, or where the container cannot have the group.
///
/// # Errors
/// What the kernel reports. The ledger names the group by then, so that it goes with the container in any case.
pub(crate) fn add(record: &mut Record, state: &Path, hierarchy: &str) -> Result<Option<PathBuf>> {
    let mount = Path::new(STANDARD).join(hierarchy);
    let Some(directory) = record.later.iter().find(|path| path.starts_with(&mount)).cloned() else {
        return Ok(None);
    };
    if !mount.join("cgroup.procs").exists() {
        return Ok(None);
    }
    let place = directory.strip_prefix(&mount).unwrap_or(&directory);
    let controller = Controller::ALL.into_iter().find(|controller| controller.v1_name() == hierarchy);
    let group = Group::new(Hierarchy { version: Version::V1, mount: mount.clone() }, place, controller);
    note(state, &directory)?;
    group.make_or_open()?;
    move_all(record, &directory)?;
    record.later.retain(|path| *path != directory);
    record.cgroups.push(directory.clone());
    record.replace(state)?;
    Ok(Some(directory))
}

/// Writes the group into the container's ledger, which lies beside our own directory.
fn note(state: &Path, directory: &Path) -> Result<()> {
    let path = state.with_file_name("ledger");
    let effect = Effect::Cgroup { directories: vec![directory.to_owned()] };
    let ledger = fs::File::options().append(true).open(&path);
    ledger.and_then(|file| Ledger::new(file).record(&effect)).or_fail("write the ledger", path.display())
}

/// A process that forks while it is moved may leave a child behind; each round moves those that the last one did not see.
const ROUNDS: usize = 1000;

fn move_all(record: &Record, directory: &Path) -> Result<()> {
    for _ in 0..ROUNDS {
        let moved: HashSet<Pid> = cgroups::pids(&[directory.to_owned()])?.into_iter().collect();
        let left: Vec<_> =
            members::open(record)?.into_iter().filter(|(pid, _)| !moved.contains(pid)).collect();
        if left.is_empty() {
            return Ok(());
        }
        left.iter().try_for_each(|(pid, pidfd)| move_one(*pid, pidfd, directory))?;
    }
    Err(Error::new(ErrorCode::SystemCall, "move the container's processes into a cgroup")
        .on(directory.display())
        .because("new ones kept appearing"))
}

/// Moves all threads of a process, if it has not ended: its id may be another's then.
fn move_one(pid: Pid, pidfd: &PidFd, directory: &Path) -> Result<()> {
    let file = directory.join("cgroup.procs");
    let step = "move a process of the container into a cgroup";
    if pidfd.wait_over(Some(Duration::ZERO)).or_fail(step, pid.as_raw_nonzero())? {
        return Ok(());
    }
    match fs::write(&file, pid.as_raw_nonzero().to_string()) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result.or_fail(step, file.display()),
    }
}
