//! `processes`: lists all processes of the container.

use nucleus_abi::{ContainerRequest, ProcessesReply, Result};

use crate::record::Record;
use crate::{cgroups, members};

pub(crate) fn processes(request: &ContainerRequest) -> Result<ProcessesReply> {
    let Some(record) = Record::read(&request.directory)? else { return Ok(ProcessesReply::default()) };
    let listed = match record.cgroups.as_slice() {
        [] => members::open(&record)?.into_iter().map(|(pid, _)| pid).collect(),
        groups => cgroups::pids(groups)?,
    };
    let mut pids: Vec<u32> =
        listed.into_iter().map(|pid| pid.as_raw_nonzero().get().cast_unsigned()).collect();
    pids.sort_unstable();
    pids.dedup();
    Ok(ProcessesReply { pids })
}
