//! The lock of operations that are brief, on a container that somebody may run in the foreground at the same time.
//!
//! Whoever makes a container or runs it in the foreground holds the lock of its directory for as long as that takes. `start`,
//! `delete` and all that changes a container for a moment take this one, which is a flock(2) on its ledger: it is there from
//! the beginning, and goes with the container. Who takes both takes the directory's first.

use std::fs::File;

use nucleus_abi::{ContainerId, Error, ErrorCode, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::container::{is_removed, not_found, open_for_operation};
use super::state_root::StateRoot;

/// Held for the length of one operation.
#[derive(Debug)]
#[must_use = "the operation is over when this is dropped"]
pub(super) struct Operation {
    _lock: File,
}

impl Operation {
    /// Waits until no other operation is under way, and keeps others out.
    ///
    /// # Errors
    /// `container-not-found`, also when it goes meanwhile; `system-call`.
    pub(super) fn alone(id: &ContainerId, root: &StateRoot) -> Result<Self> {
        Self::take(id, root, FlockOperation::LockExclusive)
    }

    /// Waits until nobody works on the container alone, and keeps them out; others of this kind may come beside.
    ///
    /// # Errors
    /// As for [`Operation::alone`].
    pub(super) fn beside_others(id: &ContainerId, root: &StateRoot) -> Result<Self> {
        Self::take(id, root, FlockOperation::LockShared)
    }

    fn take(id: &ContainerId, root: &StateRoot, how: FlockOperation) -> Result<Self> {
        let lock = open_for_operation(root, id)?;
        rustix::io::retry_on_intr(|| flock(&lock, how)).map_err(|errno| failed(id, errno))?;
        Self::of(lock, id, root)
    }

    /// As [`Operation::alone`], but waits for nobody: `None` while another operation is under way.
    ///
    /// # Errors
    /// As for [`Operation::alone`].
    pub(super) fn alone_at_once(id: &ContainerId, root: &StateRoot) -> Result<Option<Self>> {
        let lock = open_for_operation(root, id)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Self::of(lock, id, root).map(Some),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed(id, errno)),
        }
    }

    /// Whoever held the lock before us may have removed the container.
    fn of(lock: File, id: &ContainerId, root: &StateRoot) -> Result<Self> {
        if is_removed(&lock) { Err(not_found(root, id)) } else { Ok(Self { _lock: lock }) }
    }
}

fn failed(id: &ContainerId, errno: Errno) -> Error {
    Error::new(ErrorCode::SystemCall, "wait for another operation on the container")
        .on(id)
        .because(std::io::Error::from(errno))
}
