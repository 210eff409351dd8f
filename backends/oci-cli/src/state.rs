//! `state`: what the runtime says of a container whose first process lives.

use nucleus_abi::{ContainerId, ContainerRequest, Error, ErrorCode, Process, Result, StateReply, Status};
use nucleus_linux::fault::OrFail;
use nucleus_linux::identity;
use serde::Deserialize;

use crate::call::Call;
use crate::log;
use crate::place::Place;
use crate::record::Record;

/// What counts of the runtime's answer (runtime.md, "State").
#[derive(Deserialize)]
struct Answer {
    status: String,
}

/// [`nucleus_abi::Backend::state`].
///
/// # Errors
/// `record-unreadable`; `protocol` when the runtime's answer cannot be read; the runtime's own reason.
pub fn state(request: &ContainerRequest) -> Result<StateReply> {
    let place = Place::of(&request.directory);
    let Some(record) = Record::read(&place)? else { return Ok(ended()) };
    let Some(first) = record.process else {
        let status = if is_alive(record.stager, &request.id)? { Status::Creating } else { Status::Stopped };
        return Ok(StateReply { status, pid: None });
    };
    if !is_alive(first, &request.id)? {
        return Ok(ended());
    }
    match status(&record, &place, &request.id) {
        Ok(Status::Stopped) => Ok(ended()),
        Ok(status) => Ok(StateReply { status, pid: Some(first.pid) }),
        // It has ended while we asked.
        Err(_) if !is_alive(first, &request.id)? => Ok(ended()),
        Err(error) => Err(error),
    }
}

fn ended() -> StateReply {
    StateReply { status: Status::Stopped, pid: None }
}

pub(crate) fn is_alive(process: Process, id: &ContainerId) -> Result<bool> {
    Ok(identity::open(process).or_fail("look at a process of the container", id)?.is_some())
}

/// The runtime's own word for it.
pub(crate) fn status(record: &Record, place: &Place, id: &ContainerId) -> Result<Status> {
    let answer = Call::new(record, place, "state").words([id.as_str()]).run(id.as_str())?;
    let unreadable = |cause: String| {
        let text = String::from_utf8_lossy(&answer);
        Error::new(ErrorCode::Protocol, format!("read the answer of {} to `state`", record.runtime.name))
            .on(id)
            .because(format!("{cause}; it is `{}`", log::short(&text)))
    };
    let parsed: Answer = serde_json::from_slice(&answer).map_err(|error| unreadable(error.to_string()))?;
    match parsed.status.as_str() {
        "creating" => Ok(Status::Creating),
        "created" => Ok(Status::Created),
        "running" => Ok(Status::Running),
        "paused" => Ok(Status::Paused),
        "stopped" => Ok(Status::Stopped),
        other => Err(unreadable(format!("`{}` is no status", log::short(other)))),
    }
}

/// The record of a container whose first process lives, and that process.
///
/// # Errors
/// `wrong-state` when it has ended, so that `step` cannot be done.
pub(crate) fn living(request: (&ContainerId, &Place), step: &'static str) -> Result<(Record, Process)> {
    let (id, place) = request;
    let ended = || Error::new(ErrorCode::WrongState, step).on(id).because("its first process has ended");
    let record = Record::read(place)?.ok_or_else(ended)?;
    match record.process {
        Some(first) if is_alive(first, id)? => Ok((record, first)),
        _ => Err(ended()),
    }
}
