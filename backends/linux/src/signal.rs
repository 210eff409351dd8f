//! `signal`: to the first process or to all.

use nucleus_abi::{Done, Error, ErrorCode, Result, SignalRequest, SignalTarget};
use nucleus_sys::signal::Signal;

use crate::fault::OrFail;
use crate::record::Record;
use crate::{identity, members};

pub(crate) fn signal(request: &SignalRequest) -> Result<Done> {
    let signal = Signal::from_number(request.signal).ok_or_else(|| {
        Error::new(ErrorCode::InvalidArgument, "send a signal")
            .on(request.signal)
            .because("there is no such signal")
    })?;
    let record = Record::read(&request.directory)?.ok_or_else(|| ended(request))?;
    let first =
        identity::open(record.process).or_fail("look at the container's first process", &request.id)?;
    match request.target {
        SignalTarget::First => {
            let first = first.ok_or_else(|| ended(request))?;
            first.send_signal(signal).or_fail(format!("send {signal}"), &request.id)?;
        }
        SignalTarget::All => {
            for process in members::open(&record, first)? {
                match process.send_signal(signal) {
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    result => result.or_fail(format!("send {signal}"), &request.id)?,
                }
            }
        }
    }
    Ok(Done::default())
}

fn ended(request: &SignalRequest) -> Error {
    Error::new(ErrorCode::WrongState, "send a signal").on(&request.id).because("its first process has ended")
}
