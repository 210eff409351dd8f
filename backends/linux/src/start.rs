//! The start gate: a FIFO in the container's directory at which the last stage waits for one byte.
//!
//! It is there as long as the workload has not been started: that is how `state` tells created from running.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nucleus_abi::{ContainerRequest, Done, Error, ErrorCode, Result};
use nucleus_sys::{Mode, OFlags};

use crate::fault::{OrFail, system};

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

/// `start`: one byte, and the FIFO goes.
pub(crate) fn start(request: &ContainerRequest) -> Result<Done> {
    let path = path(&request.directory);
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let gate =
        rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| not_waiting(request, &errno.into()))?;
    rustix::io::write(&gate, b"s").or_fail("start the workload", &request.id)?;
    fs::remove_file(&path).or_fail("remove the start gate", path.display())?;
    Ok(Done::default())
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
