//! `kill`: a signal for a container's first process, or for all of them.

use nucleus_abi::{ContainerId, Error, ErrorCode, Result, SCHEMA, SignalRequest, SignalTarget};
use nucleus_sys::signal::Signal;

use super::found::Found;
use super::state_root::StateRoot;
use crate::plugins::Registry;

/// Sends a signal by its name (`TERM`, `SIGTERM`, `RTMIN+1`) or number.
///
/// It takes no lock: a signal is one system call, and one that had to wait could not end what it waits for.
///
/// # Errors
/// `invalid-argument` for what is no signal; `container-not-found`; `wrong-state` when there is nothing to send it to.
pub fn kill(
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    signal: &str,
    target: SignalTarget,
) -> Result<()> {
    let signal: Signal = signal
        .parse()
        .map_err(|error| Error::new(ErrorCode::InvalidArgument, "send a signal").because(error))?;
    send(&Found::open(id, root, registry)?, signal, target)
}

/// As [`kill`], to a container that was found.
pub(super) fn send(found: &Found<'_>, signal: Signal, target: SignalTarget) -> Result<()> {
    let request = SignalRequest {
        schema: SCHEMA,
        id: found.record.id.clone(),
        directory: found.backend_directory(),
        signal: signal.number(),
        target,
    };
    found.client.signal(&request).map(drop).map_err(not_running)
}

/// Engines take a container for ended when they read these very words.
fn not_running(error: Error) -> Error {
    match (error.code, &error.cause) {
        (ErrorCode::WrongState, Some(cause)) => {
            let cause = format!("container not running: {cause}");
            error.because(cause)
        }
        _ => error,
    }
}
