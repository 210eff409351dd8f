//! `start`: lets the workload go.

use nucleus_abi::{ContainerId, ContainerRequest, Done, Error, ErrorCode, Result};

use crate::call::{Call, Streams, failed};
use crate::place::Place;
use crate::reason;
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
    let outcome = Call::new(record, place, "start").words([id.as_str()]).end(&Streams::Captured)?;
    let Some(cause) = outcome.failure(record.runtime.patience) else { return Ok(()) };
    // runsc looks at the program only here.
    Err(match reason::class(&cause) {
        code @ (ErrorCode::CommandNotFound | ErrorCode::CommandNotExecutable) => {
            Error::new(code, "execute the program").on(&record.program).because(cause)
        }
        code => failed(&record.runtime, "start", code).on(id).because(cause),
    })
}
