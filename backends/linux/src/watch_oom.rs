//! `watch-oom`: a descriptor that tells of the out-of-memory killer.

use nucleus_abi::{ContainerRequest, Error, ErrorCode, Reply, Result, WatchOomReply};

use crate::{cgroups, running};

pub(crate) fn watch_oom(request: &ContainerRequest) -> Result<Reply<WatchOomReply>> {
    let step = "watch for the out-of-memory killer";
    let record = running::record(&request.directory, &request.id, step)?;
    let watch = cgroups::watch_memory(&record.cgroups)?.ok_or_else(|| {
        Error::new(ErrorCode::HostUnfit, step)
            .on(&request.id)
            .because("none of its cgroups counts memory")
            .hint("give the container a limit of memory")
    })?;
    Ok(Reply { document: WatchOomReply { watch: 0 }, descriptors: vec![watch] })
}
