//! `watch-oom`: a descriptor that tells of the out-of-memory killer.

use nucleus_abi::{ContainerRequest, Reply, Result, WatchOomReply};

pub(crate) fn watch_oom(request: &ContainerRequest) -> Result<Reply<WatchOomReply>> {
    Err(nucleus_abi::backend::not_supported("watch-oom").on(&request.id))
}
