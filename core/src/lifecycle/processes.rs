//! `ps`: the processes of a container.

use nucleus_abi::{ContainerId, Result, Status};

use super::found::Found;
use super::state_root::StateRoot;
use crate::plugins::Registry;

/// The ids of a container's processes in our own pid namespace, ascending. One that has ended has none.
///
/// # Errors
/// `container-not-found`; what the backend reports.
pub fn processes(id: &ContainerId, root: &StateRoot, registry: &Registry) -> Result<Vec<u32>> {
    let found = Found::open(id, root, registry)?;
    match (found.client.processes(&found.request()), found.state()?.status) {
        (Ok(reply), _) => Ok(reply.pids),
        // Nothing is left that could be asked.
        (Err(_), Status::Stopped) => Ok(Vec::new()),
        (Err(error), _) => Err(error),
    }
}
