//! `pause` and `resume`: the freezer of the container's group.

use nucleus_abi::{ContainerRequest, Done, Error, ErrorCode, Result};

use crate::cgroups::{self, Freezer};
use crate::running;

pub(crate) fn pause(request: &ContainerRequest) -> Result<Done> {
    let mut record = running::record(&request.directory, &request.id, "pause the container")?;
    if Freezer::of(&record.cgroups).is_none() {
        cgroups::add_late(&mut record, &request.directory, "freezer")?;
    }
    let freezer = Freezer::of(&record.cgroups).ok_or_else(|| no_freezer(request))?;
    freezer.freeze()?;
    Ok(Done::default())
}

pub(crate) fn resume(request: &ContainerRequest) -> Result<Done> {
    let step = "resume the container";
    let record = running::record(&request.directory, &request.id, step)?;
    match Freezer::of(&record.cgroups) {
        Some(freezer) if freezer.is_frozen()? => freezer.thaw().map(|()| Done::default()),
        _ => Err(Error::new(ErrorCode::WrongState, step).on(&request.id).because("it is not paused")),
    }
}

fn no_freezer(request: &ContainerRequest) -> Error {
    Error::new(ErrorCode::HostUnfit, "pause the container")
        .on(&request.id)
        .because("none of its cgroups can be frozen")
        .hint("mount the freezer hierarchy of cgroup v1, or cgroup v2")
}
