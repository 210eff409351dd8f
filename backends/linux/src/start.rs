//! The start gate: a FIFO in the container's directory at which the last stage waits for one byte.
//!
//! It is there as long as the workload has not been started: that is how `state` tells created from running.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nucleus_abi::{ContainerRequest, Done, Error, ErrorCode, Result, Status};
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::signal::Signal;
use nucleus_sys::{Mode, OFlags};
use rustix::io::Errno;

use crate::config::Point;
use crate::fault::{OrFail, system};
use crate::hooks::Moment;
use crate::hooks::started::{self, Listener};
use crate::identity;
use crate::record::Record;

pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join("start")
}

/// Makes the FIFO and opens it for both directions: so the last stage never sees an end, and needs no path to it.
pub(crate) fn make(directory: &Path) -> Result<OwnedFd> {
    let path = path(directory);
    let step = "make the start gate";
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::from(0o600)).or_fail(step, path.display())?;
    rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).or_fail(step, path.display())
}

/// Opens the gate before anybody stands at it, so that the last stage need not wait. Where hooks follow the start it stays
/// closed: `start` must call them.
pub(crate) fn open_ahead(directory: &Path) -> Result<Option<OpenAhead>> {
    if started::path(directory).exists() {
        return Ok(None);
    }
    let path = path(directory);
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(&path, flags, Mode::empty()) {
        // Nobody will stand at it: the process has ended, and the gate of `create` says why.
        Err(Errno::NXIO) => Ok(None),
        result => {
            let gate = result.or_fail("open the start gate", path.display())?;
            rustix::io::write(&gate, b"s").or_fail("open the start gate", path.display())?;
            Ok(Some(OpenAhead { path }))
        }
    }
}

/// A start gate that was opened before anybody stood at it.
#[derive(Debug)]
pub(crate) struct OpenAhead {
    path: PathBuf,
}

impl OpenAhead {
    /// The FIFO goes: the last stage has passed, or is about to. Who calls `start` meanwhile may have removed it.
    pub(crate) fn remove(self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result.or_fail("remove the start gate", self.path.display()),
        }
    }
}

/// `start`: one byte, and the FIFO goes.
pub(crate) fn start(request: &ContainerRequest) -> Result<Done> {
    let path = path(&request.directory);
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let gate =
        rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| not_waiting(request, &errno.into()))?;
    let listener = Listener::open(&request.directory)?;
    rustix::io::write(&gate, b"s").or_fail("start the workload", &request.id)?;
    fs::remove_file(&path).or_fail("remove the start gate", path.display())?;
    listener.map_or(Ok(()), |listener| follow(request, listener))?;
    Ok(Done::default())
}

/// A startContainer or poststart hook that fails stops the container (runtime.md, "Lifecycle", steps 7 and 9).
fn follow(request: &ContainerRequest, listener: Listener) -> Result<()> {
    let Some(record) = Record::read(&request.directory)? else { return Ok(()) };
    let Some(callbacks) = &record.callbacks else { return Ok(()) };
    let open =
        || identity::open(record.process).or_fail("look at the container's first process", &request.id);
    let called = listener.wait(callbacks, request).and_then(|()| {
        let moment = match open()? {
            Some(_) => Moment { status: Status::Running, pid: Some(record.process.pid) },
            None => Moment { status: Status::Stopped, pid: None },
        };
        callbacks.call(Point::Poststart, moment)
    });
    called.map_err(|error| {
        match open().and_then(|first| first.map_or(Ok(()), |first| stop(&first, request))) {
            Ok(()) => error,
            Err(failure) => error.and([failure]),
        }
    })
}

fn stop(first: &PidFd, request: &ContainerRequest) -> Result<()> {
    match first.send_signal(Signal::KILL) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result.or_fail("stop the container", &request.id),
    }?;
    first.wait_over(None).or_fail("wait for the stopped container", &request.id).map(drop)
}

fn not_waiting(request: &ContainerRequest, error: &std::io::Error) -> Error {
    let wrong =
        |cause: &str| Error::new(ErrorCode::WrongState, "start the workload").on(&request.id).because(cause);
    match error.raw_os_error() {
        Some(libc::ENOENT) => wrong("it has been started already"),
        Some(libc::ENXIO) => wrong("its process has ended before the start"),
        _ => system("start the workload", error).on(&request.id),
    }
}
