//! `exec`: runs another process in the container.

use nucleus_abi::{Descriptors, ExecReply, ExecRequest, Reply, Result};

pub(crate) fn exec(request: &ExecRequest, _descriptors: Descriptors<'_>) -> Result<Reply<ExecReply>> {
    Err(nucleus_abi::backend::not_supported("exec").on(&request.id))
}
