//! `state`: from the record, the start gate and the process itself.

use nucleus_abi::{ContainerRequest, Result, StateReply, Status};

use crate::fault::OrFail;
use crate::record::Record;
use crate::{identity, start};

pub(crate) fn state(request: &ContainerRequest) -> Result<StateReply> {
    let Some(record) = Record::read(&request.directory)? else {
        return Ok(StateReply { status: Status::Stopped, pid: None });
    };
    let alive =
        identity::open(record.process).or_fail("look at the container's first process", &request.id)?;
    Ok(match alive {
        None => StateReply { status: Status::Stopped, pid: None },
        Some(_) => StateReply {
            status: if start::path(&request.directory).exists() { Status::Created } else { Status::Running },
            pid: Some(record.process.pid),
        },
    })
}
