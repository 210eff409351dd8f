//! Finding and removing what crashes left behind.

use nucleus_abi::{ContainerId, ContainerRequest, Effect, Error, ErrorCode, Process, Result, SCHEMA};
use serde::Serialize;

use super::container::{ContainerDirectory, effects_at};
use super::owners;
use super::process;
use super::record::{Record, Supervision};
use super::state_root::StateRoot;
use super::undo::undo;
use crate::plugins::Registry;

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
/// `system-call` when the state root cannot be listed. What cannot be removed is in the answer.
pub fn collect(root: &StateRoot, registry: &Registry) -> Result<Collected> {
    let mut collected = Collected::default();
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
    collected.failed.extend(owners::collect(root, registry).err());
    Ok(collected)
}

/// Removes a container with all that it left, whatever state it is in.
///
/// # Errors
/// `container-not-found`; `teardown` with everything that could not be undone.
pub fn remove(root: &StateRoot, registry: &Registry, id: &ContainerId) -> Result<()> {
    let directory = ContainerDirectory::lock(root, id)?;
    // The backend goes first, so that it can end its processes in order; the ledger is undone whatever it says, since
    // it knows of everything that could outlive a backend that fails.
    let record = Record::read(directory.path()).ok().flatten();
    let backend = record.as_ref().map(|record| record.backend.as_str());
    let farewell = backend.map_or(Ok(()), |name| say_delete(registry, name, &directory));
    undo(directory, root, registry, backend)?;
    farewell
}

fn say_delete(registry: &Registry, backend: &str, directory: &ContainerDirectory) -> Result<()> {
    let request =
        ContainerRequest { schema: SCHEMA, id: directory.id().clone(), directory: directory.backend() };
    registry.backend(backend)?.delete(&request).map(|_| ())
}

/// Whether the container was being made or watched by a process that is gone.
pub(super) fn is_abandoned(root: &StateRoot, id: &ContainerId) -> bool {
    let path = root.container(id);
    let owner = match effects_at(&path) {
        Ok(effects) => owner_of(&effects),
        // An unreadable ledger is no reason to leave the rest of it: removing it reports why.
        Err(_) => None,
    };
    if owner.is_some_and(process::is_alive) {
        return false;
    }
    match Record::read(&path) {
        Ok(Some(record)) => record.supervision == Supervision::Owner,
        // No record: it died while it was being made. An unreadable one: nobody can use the container any more.
        Ok(None) | Err(_) => true,
    }
}

fn owner_of(effects: &[Effect]) -> Option<Process> {
    effects.iter().find_map(|effect| match effect {
        Effect::Container { owner, .. } => Some(*owner),
        _ => None,
    })
}
