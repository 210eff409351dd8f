//! Undoing what the ledger holds: newest first, going on after an error, reporting all of them.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nucleus_abi::{
    Client, ContainerId, Effect, Error, ErrorCode, Inode, Process, Result, SCHEMA, UndoRequest,
};
use nucleus_sys::calls;

use super::cgroup;
use super::cgroup_path;
use super::container::ContainerDirectory;
use super::mount_points::{self, MountPoint};
use super::owners;
use super::process;
use super::state_root::StateRoot;
use crate::network;

/// Undoes every effect of the container's ledger and removes its directory.
///
/// The directory stays when something could not be undone, so that a later `gc` can try again.
///
/// # Errors
/// `teardown`, with every failure in `also`.
pub(super) fn undo(directory: ContainerDirectory, root: &StateRoot, backend: Option<&Client>) -> Result<()> {
    let effects = directory.effects()?;
    let past_boot = is_of_another_boot(&effects);
    let places: Vec<&Path> = effects.iter().filter_map(place).collect();
    let has_mount_points = effects.iter().any(|effect| matches!(effect, Effect::MountPoint { .. }));
    // Held until all of them are removed, so that nobody begins to need one meanwhile.
    let others = has_mount_points.then(|| mount_points::of_others(root, directory.id())).transpose()?;
    let shared = others.as_ref().map_or(&[][..], |(made, _)| made);
    if !past_boot {
        kill_all(&effects);
    }
    let mut failures: Vec<Error> = effects
        .iter()
        .rev()
        .filter(|_| !past_boot)
        .filter_map(|effect| undo_one(effect, (&places, shared), &directory, (root, backend)).err())
        .collect();
    if failures.is_empty() {
        let id = directory.id().clone();
        directory.remove(root)?;
        if let Some(Effect::Container { owner, .. }) = effects.first() {
            owners::forget(root, *owner, &id);
        }
        return Ok(());
    }
    if failures.len() == 1 {
        return Err(failures.remove(0));
    }
    Err(Error::new(ErrorCode::Teardown, "remove everything that was made for the container")
        .on(directory.id())
        .because(format!("{} parts of it could not be undone", failures.len()))
        .hint("mend the causes below, then run `nucleus gc`")
        .and(failures))
}

// After another boot no process, cgroup or mount of the ledger can exist, and its numbers mean others.
pub(super) fn is_of_another_boot(effects: &[Effect]) -> bool {
    match (effects.first(), process::boot_id()) {
        (Some(Effect::Container { boot, .. }), Ok(now)) => boot != now,
        _ => false,
    }
}

fn place(effect: &Effect) -> Option<&Path> {
    match effect {
        Effect::CgroupPlace { path } => Some(path),
        _ => None,
    }
}

fn undo_one(
    effect: &Effect,
    (places, shared): (&[&Path], &[Inode]),
    directory: &ContainerDirectory,
    (root, backend): (&StateRoot, Option<&Client>),
) -> Result<()> {
    match effect {
        Effect::Process(process) => end(*process),
        Effect::Network { name } => network::leave(root.path(), name, directory.id()),
        Effect::Link { name, namespace } => network::remove_link(name, *namespace),
        Effect::Rules { family, table, namespace } => network::remove_rules(family, table, *namespace),
        Effect::Cgroup { directories } => remove_cgroups(directories, directory.id(), places),
        Effect::MountPoint { directory, within, name, made } => {
            MountPoint { directory, within: *within, name, made: *made }.remove(shared)
        }
        Effect::Plugin { document } => {
            let backend = backend.ok_or_else(|| {
                Error::new(ErrorCode::Teardown, "undo an effect of the backend")
                    .on(directory.id())
                    .because("the backend that made it is not known, or cannot be called")
            })?;
            backend.undo(&UndoRequest {
                schema: SCHEMA,
                id: directory.id().clone(),
                directory: directory.backend(),
                document: document.clone(),
            })?;
            Ok(())
        }
        // `Container` is undone by removing the directory, last of all. An effect of a later release cannot be read,
        // so it never gets here.
        _ => Ok(()),
    }
}

/// Several that are there at once may wait for one another: the first of a pid namespace ends after all others of it have been
/// reaped, those too that somebody outside traces, as criu does while it restores them.
fn kill_all(effects: &[Effect]) {
    let processes = effects.iter().filter_map(|effect| match effect {
        Effect::Process(process) => Some(*process),
        _ => None,
    });
    if processes.clone().count() > 1 {
        // What goes wrong is told when each is waited for.
        processes.for_each(|process| drop(kill(process)));
    }
}

/// Ends a process, if it is still the one that was meant, and waits until it has ended.
fn end(process: Process) -> Result<()> {
    let fail = |error: io::Error| {
        let failed = Error::new(ErrorCode::Teardown, "end the container's process").on(process.pid);
        calls::behind(&error)
            .map_or_else(|| failed.clone().because(error), |call| failed.clone().because(call))
    };
    match kill(process).map_err(fail)? {
        Some(pidfd) => cgroup::until_ended(&pidfd).map_err(fail),
        None => Ok(()),
    }
}

/// Kills a process; `None` where it is no longer there.
fn kill(process: Process) -> io::Result<Option<OwnedFd>> {
    // The descriptor is opened first and the identity compared afterwards: from then on it cannot mean another process.
    let Some(pid) = i32::try_from(process.pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return Ok(None);
    };
    let pidfd = match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        // ESRCH, or EINVAL on older kernels (6.1): the id belongs to no process, only to a thread or to a group that outlives
        // its leader.
        Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    if !process::is_alive(process) {
        return Ok(None);
    }
    match rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(Some(pidfd)),
        Err(errno) => Err(errno.into()),
    }
}

/// Children before parents, and every hierarchy, whatever happens in one of them.
fn remove_cgroups(directories: &[PathBuf], id: &ContainerId, places: &[&Path]) -> Result<()> {
    let failures: Vec<Error> =
        directories.iter().rev().filter_map(|path| remove_cgroup(path, id, places).err()).collect();
    match failures.into_iter().reduce(|first, next| first.and([next])) {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

fn remove_cgroup(path: &Path, id: &ContainerId, places: &[&Path]) -> Result<()> {
    if !cgroup_path::is_of(path, id, places) {
        return Err(Error::new(ErrorCode::Teardown, "remove the cgroup")
            .on(path.display())
            .because(format!("the ledger of `{id}` names it, and it is none of that container"))
            .hint("somebody has written to the state directory: look at it before you remove it"));
    }
    cgroup::remove(path).map_err(|error| cgroup_stays(path, &error))
}

fn cgroup_stays(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::Teardown, "remove the cgroup").on(path.display()).because(error)
}
