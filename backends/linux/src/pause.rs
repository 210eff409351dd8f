//! `pause`: `pause` and `resume`: the freezer of the container's group.

use nucleus_abi::{ContainerRequest, Done, Result};

pub(crate) fn pause(request: &ContainerRequest) -> Result<Done> {
    Err(nucleus_abi::backend::not_supported("pause").on(&request.id))
}

pub(crate) fn resume(request: &ContainerRequest) -> Result<Done> {
    Err(nucleus_abi::backend::not_supported("resume").on(&request.id))
}
