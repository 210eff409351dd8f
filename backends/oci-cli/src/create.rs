//! `create`: lets the staging process become the runtime's `create`, and takes over what it made.

use std::fs;
use std::os::fd::OwnedFd;

use nucleus_abi::{CreateReply, CreateRequest, Descriptors, Error, ErrorCode, Process, Reply, Result, Then};
use nucleus_linux::fault::OrFail;
use nucleus_linux::identity;
use nucleus_sys::Pid;
use nucleus_sys::pidfd::PidFd;

use crate::call::{Ended, Outcome, failed, within};
use crate::console::{self, Console, OF_CREATE};
use crate::place::Place;
use crate::record::Record;
use crate::runtime::{ExitSource, Fault};
use crate::{gate, log, loopback, reason, start};

/// [`nucleus_abi::Backend::create`].
///
/// # Errors
/// The runtime's own reason; `command-not-found` and `command-not-executable` where it tells of the program; `protocol`
/// when it says that all went well and its pid file or terminal are missing.
pub fn create(request: &CreateRequest, descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>> {
    let place = Place::of(&request.directory);
    let mut record = Record::read(&place)?.ok_or_else(|| no_record(request))?;
    let gate = descriptors.get(request.gate)?;
    // Opened before it goes on: it cannot be mistaken while it waits.
    let stager = identity::open(record.stager).or_fail("find the staging process", &request.id)?;
    let console = record.terminal.then(|| Console::listen(&place, OF_CREATE)).transpose()?;
    let log = match record.runtime.exits {
        ExitSource::Process => None,
        ExitSource::Monitor => Some(gate::take_left(gate)?),
    };
    gate::go(gate)?;
    gate::listen(gate)?;
    let outcome = outcome(&record, stager, &place)?;
    if let Some(cause) = outcome.failure(record.runtime.patience) {
        return Err(cannot_create(&record, request, &cause));
    }
    let (process, first) = first_process(&place, &record, request)?;
    record.process = Some(process);
    record.write(&place)?;
    let console = console.map(|console| console.receive(request.id.as_str())).transpose()?;
    if let Some(console) = &console {
        console::resize(console, record.size, request.id.as_str())?;
    }
    if record.own_network && record.runtime.has_fault(Fault::LoopbackDown) {
        loopback::bring_up(&first, &request.id)?;
    }
    let started = request.then == Then::Start;
    if started {
        start::let_go(&record, &place, &request.id)?;
    }
    let logs = usize::from(log.is_some());
    let document = CreateReply {
        pid: Some(process.pid),
        wait: 0,
        failure: log.as_ref().map(|_| 1),
        console: console.as_ref().map(|_| 1 + logs),
        warnings: Vec::new(),
        started,
    };
    Ok(Reply {
        document,
        descriptors: [OwnedFd::from(first)].into_iter().chain(log).chain(console).collect(),
    })
}

fn no_record(request: &CreateRequest) -> Error {
    Error::new(ErrorCode::WrongState, "create the container").on(&request.id).because("it has no sandbox")
}

/// How the runtime's `create` ended, with what it wrote.
fn outcome(record: &Record, stager: Option<PidFd>, place: &Place) -> Result<Outcome> {
    let pid = i32::try_from(record.stager.pid).ok().and_then(Pid::from_raw);
    let ended = match stager.zip(pid) {
        Some((stager, pid)) => within(&stager, pid, record.runtime.patience())?,
        None => Ended::Unseen,
    };
    let text =
        |path: std::path::PathBuf| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Outcome {
        ended,
        stdout: Vec::new(),
        stderr: text(place.stderr()).unwrap_or_default(),
        log: text(place.log()).unwrap_or_default(),
    })
}

fn cannot_create(record: &Record, request: &CreateRequest, cause: &str) -> Error {
    match reason::class(cause) {
        code @ (ErrorCode::CommandNotFound | ErrorCode::CommandNotExecutable) => {
            Error::new(code, "execute the program").on(&record.program).because(cause)
        }
        code => failed(&record.runtime, "create", code).on(&request.id).because(cause),
    }
}

/// The container's first process, by the pid file.
fn first_process(place: &Place, record: &Record, request: &CreateRequest) -> Result<(Process, PidFd)> {
    let path = place.pid_file();
    let unreadable = |cause: String| {
        Error::new(ErrorCode::Protocol, format!("read what {} created", record.runtime.name))
            .on(&request.id)
            .because(cause)
    };
    let text = fs::read_to_string(&path)
        .map_err(|error| unreadable(format!("it reported success and wrote no pid file: {error}")))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| unreadable(format!("its pid file holds `{}`", log::short(&text))))?;
    let opened = PidFd::open(pid).and_then(|opened| Ok((identity::of(pid)?, opened)));
    opened.map_err(|error| {
        let process = pid.as_raw_nonzero();
        unreadable(format!("the process {process} that it made has ended before its start: {error}"))
    })
}
