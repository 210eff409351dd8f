//! `start`: lets the workload go.

use nucleus_abi::{ContainerId, ContainerRequest, Done, Error, ErrorCode, Result};

use crate::call::Call;
use crate::place::Place;
use crate::record::Record;

/// [`nucleus_abi::Backend::start`].
///
/// # Errors
/// `wrong-state` when it is not waiting; the runtime's own reason.
pub fn start(request: &ContainerRequest) -> Result<Done> {
    let place = Place::of(&request.directory);
    let record = Record::read(&place)?.filter(|record| record.process.is_some()).ok_or_else(|| {
        Error::new(ErrorCode::WrongState, "start the workload")
            .on(&request.id)
            .because("it has not been created")
    })?;
    let_go(&record, &place, &request.id)?;
    Ok(Done::default())
}

pub(crate) fn let_go(record: &Record, place: &Place, id: &ContainerId) -> Result<()> {
    Call::new(record, place, "start").words([id.as_str()]).run(id.as_str()).map(drop)
}
