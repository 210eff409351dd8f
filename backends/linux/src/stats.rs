//! `stats`: what the container uses, as its groups count it.

use nucleus_abi::{ContainerRequest, Result, Stats};

pub(crate) fn stats(request: &ContainerRequest) -> Result<Stats> {
    Err(nucleus_abi::backend::not_supported("stats").on(&request.id))
}
