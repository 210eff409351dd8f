//! Finding and removing what crashes left behind.

use std::cell::RefCell;

use nucleus_abi::{Client, ContainerId, Effect, Error, ErrorCode, Process, Result};
use serde::Serialize;

use super::container::{ContainerDirectory, effects_at};
use super::hooks::Telling;
use super::making::request;
use super::owners;
use super::process;
use super::record::{Record, Supervision};
use super::state_root::StateRoot;
use super::undo::undo;
use crate::network;
use crate::plugins::{Registry, open_kept};

/// What `gc` did.
#[derive(Debug, Default, Serialize)]
pub struct Collected {
    /// The containers that were removed.
    pub removed: Vec<ContainerId>,
    /// The containers that could not be removed, each with its reason.
    pub failed: Vec<Error>,
}

/// Removes every container whose owner is gone and whom nobody else will delete.
///
/// # Errors
/// `host-unfit` for a state root that others can write to; `system-call` when it cannot be listed. What cannot be removed
/// is in the answer.
pub fn collect(root: &StateRoot, registry: &Registry) -> Result<Collected> {
    let mut collected = Collected::default();
    if !root.check_existing()? {
        return Ok(collected);
    }
    for id in root.ids()? {
        if !is_abandoned(root, &id) {
            continue;
        }
        match remove(root, registry, &id) {
            Ok(()) => collected.removed.push(id),
            // Somebody else was quicker.
            Err(error) if error.code == ErrorCode::ContainerNotFound => {}
            Err(error) => collected.failed.push(error),
        }
    }
    collected.failed.extend(owners::collect(root));
    if let Ok(boot) = process::boot_id() {
        collected.failed.extend(network::collect(root.path(), boot));
    }
    Ok(collected)
}

/// How often an abandoned container's lock is tried: the process that was to become the workload can hold it for a moment
/// after its nucleus has died.
const TRIES: usize = 200;

/// Removes an abandoned container with all that it left.
///
/// # Errors
/// `container-not-found`; `wrong-state` when somebody works on it after all; `teardown` with everything that could not be
/// undone.
pub(super) fn remove(root: &StateRoot, registry: &Registry, id: &ContainerId) -> Result<()> {
    for _ in 0..TRIES {
        if remove_unless_locked(root, registry, id)?.is_some() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(Error::new(ErrorCode::WrongState, "remove the container").on(id).because("somebody works on it"))
}

/// As [`remove`], but passes by what is locked.
pub(super) fn remove_unless_locked(
    root: &StateRoot,
    registry: &Registry,
    id: &ContainerId,
) -> Result<Option<()>> {
    let Some(directory) = ContainerDirectory::lock(root, id)? else { return Ok(None) };
    // It may have changed hands before we got the lock.
    if !is_abandoned(root, id) {
        return Ok(None);
    }
    dismantle(directory, root, registry).map(|_| Some(()))
}

/// Removes a container with all that was made for it, and returns what its backend warns of.
///
/// The backend goes first, so that it can end its processes in order; the ledger is undone whatever it says, since it knows
/// of everything that could outlive a backend that fails.
///
/// # Errors
/// `teardown`, with everything that could not be undone.
pub(super) fn dismantle(
    directory: ContainerDirectory,
    root: &StateRoot,
    registry: &Registry,
) -> Result<Vec<String>> {
    let backend = backend_of(&directory, registry).transpose();
    let telling = Telling::at(directory.path()).ok().flatten();
    let path = directory.path().to_owned();
    let heard = RefCell::new(Vec::new());
    let warn = |warning: &str| heard.borrow_mut().push(warning.to_owned());
    let farewell = match &backend {
        None => Ok(Vec::new()),
        Some(Ok(client)) => client.delete(&request(&directory)).map(|done| done.warnings),
        Some(Err(error)) => Err(error.clone()),
    };
    let telling = telling.map(|mut telling| {
        telling.stopped_once(&path, None, &warn);
        telling
    });
    undo(directory, root, backend.and_then(Result::ok).as_ref())?;
    if let Some(telling) = telling {
        telling.deleted(&warn);
    }
    farewell.map(|warnings| [warnings, heard.into_inner()].concat())
}

/// The backend that made it. A container that has no record yet can have the copy of its plugin already.
fn backend_of(directory: &ContainerDirectory, registry: &Registry) -> Result<Option<Client>> {
    match Record::read(directory.path()).ok().flatten() {
        Some(record) => record.client(directory.path(), registry).map(Some),
        None => open_kept(directory.path()),
    }
}

/// Whether the container was being made or watched by a process that is gone.
pub(super) fn is_abandoned(root: &StateRoot, id: &ContainerId) -> bool {
    let path = root.container(id);
    // An unreadable ledger is no reason to leave the rest of it: removing it reports why.
    match effects_at(&path).ok().as_deref().and_then(owner_of) {
        // Asked in this order: one that is dead cannot leave its container to anybody any more.
        Some(owner) => !process::is_alive(owner) && owners::has_note(root, owner, id),
        None => match Record::read(&path) {
            Ok(Some(record)) => record.supervision == Supervision::Owner,
            // Without ledger and record nobody can use it any more.
            Ok(None) | Err(_) => true,
        },
    }
}

fn owner_of(effects: &[Effect]) -> Option<Process> {
    effects.iter().find_map(|effect| match effect {
        Effect::Container { owner, .. } => Some(*owner),
        _ => None,
    })
}
