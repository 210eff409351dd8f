//! `update`: changes the limits of a container that runs.

use nucleus_abi::{Done, Result, UpdateRequest};

use crate::config::document::{self, Resources};
use crate::config::{read_change, read_schemata};
use crate::{cgroups, resctrl, running};

pub(crate) fn update(request: &UpdateRequest) -> Result<Done> {
    let resources: Resources<'_> = document::read(request.resources.get())?;
    let limits = read_change(&resources)?;
    let mut record = running::record(&request.directory, &request.id, "change the container's limits")?;
    let schemata = request.intel_rdt.as_ref().map(|asked| read_schemata(asked.get())).transpose()?;
    let changed =
        schemata.map(|lines| resctrl::Changed::make(record.class.as_deref(), &lines)).transpose()?;
    cgroups::change(&mut record, &request.directory, &limits)
        .map_err(|error| error.and(changed.and_then(|changed| changed.take_back().err())))?;
    Ok(Done::default())
}
