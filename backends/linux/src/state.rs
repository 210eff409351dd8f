//! `state`: from the record, the start gate and the process itself.

use std::path::PathBuf;

use nucleus_abi::{ContainerRequest, Result, StateReply, Status};

use crate::fault::OrFail;
use crate::record::Record;
use crate::{cgroups, identity, start};

pub(crate) fn state(request: &ContainerRequest) -> Result<StateReply> {
    let Some(record) = Record::read(&request.directory)? else {
        return Ok(StateReply { status: Status::Stopped, pid: None });
    };
    let alive =
        identity::open(record.process).or_fail("look at the container's first process", &request.id)?;
    match alive {
        None => Ok(StateReply { status: Status::Stopped, pid: None }),
        Some(_) => {
            Ok(StateReply { status: of_living(request, &record.cgroups)?, pid: Some(record.process.pid) })
        }
    }
}

fn of_living(request: &ContainerRequest, groups: &[PathBuf]) -> Result<Status> {
    Ok(match cgroups::is_frozen(groups)? {
        true => Status::Paused,
        false if start::is_awaited(&request.directory)? => Status::Created,
        false => Status::Running,
    })
}
