//! Who works on which container, readable from names alone: `gc` and every start find what a dead process left without
//! opening a single container.
//!
//! Two kinds of names stand beside the containers, and no container's id begins with a dot:
//! `.new-PID-START` is a directory that is not a container yet; `.owner-PID-START-ID` is a link to the container ID.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nucleus_abi::{ContainerId, Error, ErrorCode, Process, Result};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::gc;
use super::process::is_alive;
use super::state_root::StateRoot;
use crate::plugins::Registry;

const NEW: &str = ".new-";
const OWNER: &str = ".owner-";

/// The directory that a process makes a container's in; a process makes one at a time.
pub(super) fn unfinished(root: &StateRoot, owner: Process) -> PathBuf {
    root.path().join(format!("{NEW}{}-{}", owner.pid, owner.start_time))
}

/// Notes down who owns a container, before the container appears.
pub(super) fn note(root: &StateRoot, owner: Process, id: &ContainerId) -> io::Result<()> {
    symlink(id.as_str(), link(root, owner, id))
}

/// Forgets an owner, after its container has gone.
pub(super) fn forget(root: &StateRoot, owner: Process, id: &ContainerId) {
    // One that stays is swept by the next start.
    let _ = fs::remove_file(link(root, owner, id));
}

fn link(root: &StateRoot, owner: Process, id: &ContainerId) -> PathBuf {
    root.path().join(format!("{OWNER}{}-{}-{id}", owner.pid, owner.start_time))
}

/// What a name says.
#[derive(Debug, PartialEq, Eq)]
enum Trace {
    Unfinished(Process),
    Owner(Process, ContainerId),
}

impl Trace {
    fn of(name: &str) -> Option<Self> {
        if let Some(rest) = name.strip_prefix(NEW) {
            let (pid, start_time) = rest.split_once('-')?;
            return Some(Self::Unfinished(process(pid, start_time)?));
        }
        let mut parts = name.strip_prefix(OWNER)?.splitn(3, '-');
        let owner = process(parts.next()?, parts.next()?)?;
        Some(Self::Owner(owner, parts.next()?.parse().ok()?))
    }

    fn owner(&self) -> Process {
        match self {
            Self::Unfinished(owner) | Self::Owner(owner, _) => *owner,
        }
    }
}

fn process(pid: &str, start_time: &str) -> Option<Process> {
    Some(Process { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
}

/// Removes what dead owners left, as far as a name and one cheap system call can tell. It never fails: what it cannot
/// remove, `gc` reports.
pub(super) fn sweep(root: &StateRoot, registry: &Registry) {
    let gone = |owner: Process| is_gone(owner.pid);
    if let Err(error) = remove_traces(root, registry, gone) {
        tracing::debug!(%error, "the sweep left something behind");
    }
}

/// Removes what dead owners left, comparing start times too, so that a reused process id hides nothing.
///
/// # Errors
/// `teardown` for the first trace that cannot be removed.
pub(super) fn collect(root: &StateRoot, registry: &Registry) -> Result<()> {
    remove_traces(root, registry, |owner| !is_alive(owner))
}

fn is_gone(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

fn remove_traces(root: &StateRoot, registry: &Registry, gone: impl Fn(Process) -> bool) -> Result<()> {
    let entries = match fs::read_dir(root.path()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(stays(root.path(), &error)),
    };
    for entry in entries.flatten() {
        let trace = entry.file_name().to_str().and_then(Trace::of);
        if let Some(trace) = trace.filter(|trace| gone(trace.owner())) {
            remove(root, registry, &trace, &entry.path())?;
        }
    }
    Ok(())
}

fn remove(root: &StateRoot, registry: &Registry, trace: &Trace, path: &Path) -> Result<()> {
    let removed = match trace {
        Trace::Unfinished(_) => fs::remove_dir_all(path),
        Trace::Owner(_, id) => {
            remove_container(root, registry, id)?;
            fs::remove_file(path)
        }
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(stays(path, &error)),
        _ => Ok(()),
    }
}

fn remove_container(root: &StateRoot, registry: &Registry, id: &ContainerId) -> Result<()> {
    if !root.container(id).exists() || !gc::is_abandoned(root, id) {
        return Ok(());
    }
    match gc::remove(root, registry, id) {
        // Somebody else was quicker.
        Err(error) if error.code == ErrorCode::ContainerNotFound => Ok(()),
        result => result,
    }
}

fn stays(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::Teardown, "remove what a dead process left").on(path.display()).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOMEBODY: Process = Process { pid: 7, start_time: 99 };

    #[test]
    fn a_name_says_whose_it_is() {
        let root = StateRoot::at("/run/nucleus");
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(Trace::of(&name(unfinished(&root, SOMEBODY))), Some(Trace::Unfinished(SOMEBODY)));
        let id: ContainerId = "web-1.2".parse().unwrap();
        assert_eq!(Trace::of(&name(link(&root, SOMEBODY, &id))), Some(Trace::Owner(SOMEBODY, id)));
        for other in ["web", ".new-", ".new-7", ".owner-a-b-c", ".owner-7-99-", "new-7-99", ".other-7-99"] {
            assert_eq!(Trace::of(other), None, "{other}");
        }
    }

    #[test]
    fn what_a_dead_process_left_goes_and_what_a_living_one_makes_stays() {
        let root = StateRoot::at(std::env::temp_dir().join(format!("nucleus-owners-{}", std::process::id())));
        root.ensure().unwrap();
        let this = crate::lifecycle::process::this().unwrap();
        let dead = Process { start_time: this.start_time + 1, ..this };
        let id: ContainerId = "web".parse().unwrap();
        for owner in [this, dead] {
            fs::create_dir(unfinished(&root, owner)).unwrap();
            note(&root, owner, &id).unwrap();
        }
        collect(&root, &Registry::of(vec![]).unwrap()).unwrap();
        assert!(unfinished(&root, this).exists() && link(&root, this, &id).is_symlink());
        assert!(!unfinished(&root, dead).exists() && !link(&root, dead, &id).is_symlink());
        fs::remove_dir_all(root.path()).unwrap();
    }
}
