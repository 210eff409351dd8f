//! The start gate: a FIFO in the container's directory at which the last stage waits for one byte.
//!
//! The last stage has it open until the workload is executed, and it changes its name with the start: that is how others tell
//! what waits from what runs.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nucleus_abi::{ContainerRequest, Done, Error, ErrorCode, Result, Status};
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::signal::Signal;
use nucleus_sys::{Mode, OFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
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

/// Its name when it has been opened.
pub(crate) fn passed(directory: &Path) -> PathBuf {
    directory.join("started-gate")
}

/// Whether the last stage still waits for its start.
pub(crate) fn is_awaited(directory: &Path) -> Result<bool> {
    reader(&path(directory)).map(|gate| gate.is_some())
}

/// Waits until the last stage of a container that has been started has executed the workload. `false` when that takes longer.
pub(crate) fn until_executed(directory: &Path, patience: Timespec) -> Result<bool> {
    let Some(gate) = reader(&passed(directory))? else { return Ok(true) };
    // POLLERR: no reader is left (poll(2)).
    let over = || poll(&mut [PollFd::new(&gate, PollFlags::empty())], Some(&patience));
    let over = rustix::io::retry_on_intr(over).or_fail("wait for the workload", directory.display())?;
    Ok(over > 0)
}

/// The gate, if somebody has it open for reading: the last stage.
fn reader(path: &Path) -> Result<Option<OwnedFd>> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NXIO | Errno::NOENT) => Ok(None),
        opened => opened.or_fail("look at the start gate", path.display()).map(Some),
    }
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
            Ok(Some(OpenAhead { directory: directory.to_owned() }))
        }
    }
}

/// A start gate that was opened before anybody stood at it.
#[derive(Debug)]
pub(crate) struct OpenAhead {
    directory: PathBuf,
}

impl OpenAhead {
    /// The last stage has passed, or is about to. Who calls `start` meanwhile may have said so.
    pub(crate) fn leave(self) -> Result<()> {
        match leave(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result.or_fail("leave the start gate", self.directory.display()),
        }
    }
}

fn leave(directory: &Path) -> std::io::Result<()> {
    fs::rename(path(directory), passed(directory))
}

/// `start`: one byte, and the gate counts as passed; where hooks come before the workload, when they are over.
pub(crate) fn start(request: &ContainerRequest) -> Result<Done> {
    let path = path(&request.directory);
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let gate =
        rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| not_waiting(request, &errno.into()))?;
    let listener = Listener::open(&request.directory)?;
    rustix::io::write(&gate, b"s").map_err(|errno| not_waiting(request, &errno.into()))?;
    drop(gate);
    let followed = listener.map_or(Ok(()), |listener| follow(request, listener));
    let left = leave(&request.directory).or_fail("leave the start gate", path.display());
    followed.and(left).map(|()| Done::default())
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
        // Before the gate was opened, or between that and the byte.
        Some(libc::ENXIO | libc::EPIPE) => wrong("its process has ended before the start"),
        _ => system("start the workload", error).on(&request.id),
    }
}
