//! `update`: changes the limits of a container that runs.

use nucleus_abi::{Done, Result, UpdateRequest};

use crate::config::document::{self, Resources};
use crate::config::read_change;
use crate::{cgroups, running};

pub(crate) fn update(request: &UpdateRequest) -> Result<Done> {
    let resources: Resources<'_> = document::read(request.resources.get())?;
    let limits = read_change(&resources)?;
    let mut record = running::record(&request.directory, &request.id, "change the container's limits")?;
    cgroups::change(&mut record, &request.directory, &limits)?;
    Ok(Done::default())
}
