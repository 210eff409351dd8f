//! `update`: changes the limits of a container that runs.

use nucleus_abi::{Done, Result, UpdateRequest};

pub(crate) fn update(request: &UpdateRequest) -> Result<Done> {
    Err(nucleus_abi::backend::not_supported("update").on(&request.id))
}
