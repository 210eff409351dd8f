//! `delete`: removes a container that an engine made, or any other.

use std::time::Duration;

use nucleus_abi::{ContainerId, Error, ErrorCode, Result, SignalTarget, Status};
use nucleus_sys::signal::Signal;

use super::container::{ContainerDirectory, not_found};
use super::found::{Found, name};
use super::gc::dismantle;
use super::kill::send;
use super::operation::Operation;
use super::owners;
use super::state_root::StateRoot;
use crate::plugins::Registry;

const STEP: &str = "delete the container";

/// What may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Only what does not run.
    Ended,
    /// Whatever is there; what runs is killed, and what is not there is no error.
    Force,
}

/// How often a container's locks are tried, and how long we rest in between. Whoever holds them makes the container, starts
/// it, or runs it in the foreground and takes it apart when it has ended. A hook that hangs must not make us hang too.
const TRIES: u32 = 6000;
const REST: Duration = Duration::from_millis(5);

/// Removes a container with all that was made for it. `warn` hears of hooks that failed, which is no error by the
/// specification.
///
/// # Errors
/// `container-not-found`, `wrong-state` and `record-unreadable`, unless by force; `teardown` with everything that could
/// not be removed.
pub fn delete(
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    deletion: Deletion,
    warn: &dyn Fn(&str),
) -> Result<()> {
    let deleted = if root.check_existing()? {
        delete_existing(id, root, registry, deletion, warn)
    } else {
        Err(not_found(root, id))
    };
    owners::sweep(root, registry);
    match deleted {
        Err(error) if error.code == ErrorCode::ContainerNotFound && deletion == Deletion::Force => Ok(()),
        deleted => deleted,
    }
}

fn delete_existing(
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    deletion: Deletion,
    warn: &dyn Fn(&str),
) -> Result<()> {
    for _ in 0..TRIES {
        if let Some(directory) = ContainerDirectory::lock(root, id)?
            && let Some(_alone) = Operation::alone_at_once(id, root)?
        {
            allow(id, root, registry, deletion)?;
            for warning in dismantle(directory, root, registry)? {
                warn(&warning);
            }
            return Ok(());
        }
        allow(id, root, registry, deletion)?;
        if deletion == Deletion::Force {
            end(id, root, registry);
        }
        std::thread::sleep(REST);
    }
    Err(Error::new(ErrorCode::WrongState, STEP)
        .on(id)
        .because("whoever works on it does not let go of it: a hook of its start may hang")
        .hint("end the other nucleus, and delete it again"))
}

/// Whether the container may be deleted as it is now.
fn allow(id: &ContainerId, root: &StateRoot, registry: &Registry, deletion: Deletion) -> Result<()> {
    if deletion == Deletion::Force {
        return Ok(());
    }
    let found = Found::open(id, root, registry).map_err(|error| match error.code {
        ErrorCode::RecordUnreadable => error.hint("`nucleus delete --force` removes it all the same"),
        _ => error,
    })?;
    match found.state()?.status {
        // The specification wants it stopped; runc deletes one that was never started too, and engines rely on it.
        Status::Stopped | Status::Created => Ok(()),
        status => Err(found
            .wrong_state(STEP, &format!("the container is {}, not stopped", name(status)))
            .hint(format!("`nucleus delete --force {id}` kills it first"))),
    }
}

/// Kills what somebody else runs, who then removes it.
fn end(id: &ContainerId, root: &StateRoot, registry: &Registry) {
    let killed =
        Found::open(id, root, registry).and_then(|found| send(&found, Signal::KILL, SignalTarget::First));
    if let Err(error) = killed {
        tracing::debug!(%error, "the container was not killed; its owner may be ending it");
    }
}
