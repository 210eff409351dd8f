//! `start`: lets the workload of a created container go.

use nucleus_abi::{ContainerId, Result, Status};

use super::found::Found;
use super::operation::Operation;
use super::state_root::StateRoot;
use crate::plugins::Registry;

/// Starts a container. `warn` hears of hooks that failed after the start, which is no error by the specification.
///
/// # Errors
/// `container-not-found`; `wrong-state` when it is not waiting for its start; what the backend reports.
pub fn start(id: &ContainerId, root: &StateRoot, registry: &Registry, warn: &dyn Fn(&str)) -> Result<()> {
    const STEP: &str = "start the container";
    let found = Found::open(id, root, registry)?;
    let _alone = Operation::alone(id, root)?;
    let refused = match found.state()?.status {
        Status::Created => None,
        Status::Creating => Some("it is still being made"),
        Status::Running | Status::Paused => Some("cannot start an already running container"),
        Status::Stopped => Some("cannot start a container that has stopped: delete it and create it anew"),
    };
    if let Some(cause) = refused {
        return Err(found.wrong_state(STEP, cause));
    }
    for warning in found.client.start(&found.request())?.warnings {
        warn(&warning);
    }
    Ok(())
}
