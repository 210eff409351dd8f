//! `processes`: lists all processes of the container.

use nucleus_abi::{ContainerRequest, ProcessesReply, Result};

pub(crate) fn processes(request: &ContainerRequest) -> Result<ProcessesReply> {
    Err(nucleus_abi::backend::not_supported("processes").on(&request.id))
}
