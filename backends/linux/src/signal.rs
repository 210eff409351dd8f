//! `signal`: to the first process or to all.

use std::collections::HashSet;

use nucleus_abi::{Done, Error, ErrorCode, Result, SignalRequest, SignalTarget};
use nucleus_sys::signal::Signal;

use crate::fault::OrFail;
use crate::record::Record;
use crate::{cgroups, identity, members};

pub(crate) fn signal(request: &SignalRequest) -> Result<Done> {
    let signal = Signal::from_number(request.signal).ok_or_else(|| {
        Error::new(ErrorCode::InvalidArgument, "send a signal")
            .on(request.signal)
            .because("there is no such signal")
    })?;
    let record = Record::read(&request.directory)?.ok_or_else(|| ended(request))?;
    match request.target {
        SignalTarget::First => to_first(&record, signal, request)?,
        SignalTarget::All => to_all(&record, signal, request)?,
    }
    if signal == Signal::KILL {
        cgroups::let_die(&record.cgroups)?;
    }
    Ok(Done::default())
}

fn to_first(record: &Record, signal: Signal, request: &SignalRequest) -> Result<()> {
    let first =
        identity::open(record.process).or_fail("look at the container's first process", &request.id)?;
    first.ok_or_else(|| ended(request))?.send_signal(signal).or_fail(format!("send {signal}"), &request.id)
}

/// A fork storm makes processes while it is being signalled; each round reaches all that the last one did not see.
const ROUNDS: usize = 1000;

/// With SIGKILL nobody escapes. For any other signal it is enough that each process that was there gets it once.
fn to_all(record: &Record, signal: Signal, request: &SignalRequest) -> Result<()> {
    if signal == Signal::KILL && cgroups::kill_at_once(&record.cgroups) {
        return Ok(());
    }
    let mut reached = HashSet::new();
    for _ in 0..ROUNDS {
        let mut members = members::open(record)?;
        members.retain(|(pid, _)| !reached.contains(pid));
        for (pid, process) in &members {
            reached.insert(*pid);
            match process.send_signal(signal) {
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                result => result.or_fail(format!("send {signal}"), &request.id)?,
            }
        }
        if members.is_empty() || signal != Signal::KILL {
            break;
        }
    }
    Ok(())
}

fn ended(request: &SignalRequest) -> Error {
    Error::new(ErrorCode::WrongState, "send a signal").on(&request.id).because("its first process has ended")
}
