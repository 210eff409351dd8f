//! `pause` and `resume`.

use nucleus_abi::{ContainerId, Result, Status};

use super::found::Found;
use super::operation::Operation;
use super::state_root::StateRoot;
use crate::plugins::Registry;

/// Stops all processes of a container.
///
/// # Errors
/// `container-not-found`; `wrong-state` when it does not run, or is paused already.
pub fn pause(id: &ContainerId, root: &StateRoot, registry: &Registry) -> Result<()> {
    const STEP: &str = "pause the container";
    let found = Found::open(id, root, registry)?;
    let _alone = Operation::alone(id, root)?;
    match found.state()?.status {
        Status::Created | Status::Running => found.client.pause(&found.request()).map(drop),
        Status::Paused => Err(found.wrong_state(STEP, "container not running: it is paused already")),
        Status::Creating | Status::Stopped => Err(found.wrong_state(STEP, "container not running")),
    }
}

/// Lets the processes of a paused container go on.
///
/// # Errors
/// `container-not-found`; `wrong-state` when it is not paused.
pub fn resume(id: &ContainerId, root: &StateRoot, registry: &Registry) -> Result<()> {
    let found = Found::open(id, root, registry)?;
    let _alone = Operation::alone(id, root)?;
    match found.state()?.status {
        Status::Paused => found.client.resume(&found.request()).map(drop),
        Status::Creating | Status::Created | Status::Running | Status::Stopped => {
            Err(found.wrong_state("resume the container", "container not paused"))
        }
    }
}
