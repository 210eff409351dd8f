//! `stats`: what the container uses, as its groups count it.

use nucleus_abi::{ContainerRequest, Result, Stats};

use crate::{cgroups, running};

pub(crate) fn stats(request: &ContainerRequest) -> Result<Stats> {
    let record = running::record(&request.directory, &request.id, "tell what the container uses")?;
    Ok(cgroups::stats(&record.cgroups))
}
