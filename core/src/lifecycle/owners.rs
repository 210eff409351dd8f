//! Who works on which container, readable from names alone: `gc` and every start find what a dead process left without
//! opening a single container.
//!
//! Two kinds of names stand beside the containers, and no container's id begins with a dot:
//! `.new-PID-START` is a directory that is not a container yet, or no more; `.owner-PID-START-ID` is a link to the container ID.

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

/// The name of a directory that is no container yet, or no more; a process makes or removes one at a time.
pub(super) fn unfinished(root: &StateRoot, owner: Process) -> PathBuf {
    root.path().join(format!("{NEW}{}-{}", owner.pid, owner.start_time))
}

/// Notes down who owns a container, before the container appears.
pub(super) fn note(root: &StateRoot, owner: Process, id: &ContainerId) -> io::Result<()> {
    symlink(id.as_str(), link(root, owner, id))
}

/// Whether a container is still its maker's: a container that was left to an engine is not.
pub(super) fn has_note(root: &StateRoot, owner: Process, id: &ContainerId) -> bool {
    link(root, owner, id).is_symlink()
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

/// Removes what dead owners left, as far as a name and one cheap system call can tell, and as far as nobody holds a lock.
/// It never fails and never waits: what it cannot remove, `gc` reports.
pub(super) fn sweep(root: &StateRoot, registry: &Registry) {
    for (trace, path) in traces(root).unwrap_or_default() {
        if !is_gone(trace.owner().pid) {
            continue;
        }
        if let Trace::Owner(_, id) = &trace
            && root.container(id).exists()
            && gc::is_abandoned(root, id)
            && !matches!(gc::remove_unless_locked(root, registry, id), Ok(Some(())))
        {
            continue;
        }
        if let Err(error) = remove(root, &trace, &path) {
            tracing::debug!(%error, "the sweep left something behind");
        }
    }
}

/// Removes the traces of dead owners, comparing start times too, so that a reused process id hides nothing. Their
/// containers have been collected before. Goes on after an error and returns all of them.
pub(super) fn collect(root: &StateRoot) -> Vec<Error> {
    let traces = match traces(root) {
        Ok(traces) => traces,
        Err(error) => return vec![stays(root.path(), &error)],
    };
    let dead = traces.into_iter().filter(|(trace, _)| !is_alive(trace.owner()));
    dead.filter_map(|(trace, path)| remove(root, &trace, &path).err()).collect()
}

fn is_gone(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

fn traces(root: &StateRoot) -> io::Result<Vec<(Trace, PathBuf)>> {
    let entries = match fs::read_dir(root.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let trace = |entry: fs::DirEntry| Some((Trace::of(entry.file_name().to_str()?)?, entry.path()));
    Ok(entries.flatten().filter_map(trace).collect())
}

/// Removes a trace. The note of a container's owner stays as long as the container does.
fn remove(root: &StateRoot, trace: &Trace, path: &Path) -> Result<()> {
    let removed = match trace {
        Trace::Unfinished(_) => fs::remove_dir_all(path),
        Trace::Owner(_, id) if root.container(id).exists() => return Ok(()),
        Trace::Owner(..) => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(stays(path, &error)),
        _ => Ok(()),
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
        assert_eq!(collect(&root), []);
        assert!(unfinished(&root, this).exists() && link(&root, this, &id).is_symlink());
        assert!(!unfinished(&root, dead).exists() && !link(&root, dead, &id).is_symlink());
        fs::remove_dir_all(root.path()).unwrap();
    }
}
