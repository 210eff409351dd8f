//! `start`: lets the workload of a created container go.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use nucleus_abi::{ContainerId, Error, ErrorCode, HookPoint, Result, SignalTarget, Status};
use nucleus_sys::signal::Signal;

use super::found::Found;
use super::hooks::Telling;
use super::kill::send;
use super::notify::Messenger;
use super::operation::Operation;
use super::record::Supervision;
use super::state_root::StateRoot;
use crate::plugins::Registry;

/// Starts a container. `warn` hears of what went wrong and is no error by the specification. With a service manager's
/// socket (`notify`), a container that was made for one is waited for until it is ready or has ended.
///
/// # Errors
/// `container-not-found`; `wrong-state` when it is not waiting for its start; what the backend reports.
pub fn start(
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    notify: Option<&OsStr>,
    warn: &dyn Fn(&str),
) -> Result<()> {
    const STEP: &str = "start the container";
    let found = Found::open(id, root, registry)?;
    let alone = Operation::alone(id, root)?;
    let refused = match found.state()?.status {
        Status::Created if found.record.supervision == Supervision::Owner => {
            Some("it is being run in the foreground, and whoever runs it starts it")
        }
        Status::Created => None,
        Status::Creating => Some("it is still being made"),
        Status::Running | Status::Paused => Some("cannot start an already running container"),
        Status::Stopped => Some("cannot start a container that has stopped: delete it and create it anew"),
    };
    if let Some(cause) = refused {
        return Err(found.wrong_state(STEP, cause));
    }
    let messenger = Messenger::open(&root.container(id), notify)?;
    let first = messenger.as_ref().map(|_| found.first_process()).transpose()?;
    for warning in found.client.start(&found.request())?.warnings {
        warn(&warning);
    }
    if let Some(telling) = Telling::of(&found.record) {
        telling.ask(HookPoint::Started, warn).map_err(|error| ended(error, &found))?;
    }
    drop(alone);
    let (Some(messenger), Some((first, _)), Some(process)) = (messenger, first, found.record.process) else {
        return Ok(());
    };
    messenger.until_ready(process.pid, first.as_fd()).map_err(|error| {
        Error::new(ErrorCode::SystemCall, "tell the service manager that the container is ready")
            .on(id)
            .because(error)
    })
}

/// What a hook refuses does not go on.
fn ended(error: Error, found: &Found<'_>) -> Error {
    match send(found, Signal::KILL, SignalTarget::All) {
        Ok(()) => error,
        Err(more) => error.and([more]),
    }
}
