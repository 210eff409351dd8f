//! How `start` learns that the workload runs: a FIFO that the last stage keeps open until the exec.
//!
//! It is there only where hooks depend on it: a start without hooks waits for nothing.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nucleus_abi::{ContainerRequest, Error, ErrorCode, Result};
use nucleus_sys::last_stage::Report;
use nucleus_sys::{Mode, OFlags};
use rustix::io::Errno;

use super::{Callbacks, Failed};
use crate::fault::{OrFail, explain};

/// Where the FIFO lies.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join("started")
}

/// Makes it and opens it for both directions: so the last stage can write whether or not somebody listens.
pub(crate) fn make(directory: &Path) -> Result<OwnedFd> {
    let path = path(directory);
    let step = "make the pipe of the start's report";
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::from(0o600)).or_fail(step, path.display())?;
    rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).or_fail(step, path.display())
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct Listener(File);

impl Listener {
    /// Opens it before the start; `None` if no hooks depend on it.
    pub(crate) fn open(directory: &Path) -> Result<Option<Self>> {
        let path = path(directory);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Err(Errno::NOENT) => Ok(None),
            result => {
                let fifo = result.or_fail("listen for the start's report", path.display())?;
                // Only the opening was not to block.
                rustix::fs::fcntl_setfl(&fifo, OFlags::empty())
                    .or_fail("listen for the start's report", path.display())?;
                Ok(Some(Self(fifo.into())))
            }
        }
    }

    /// Waits until the workload is executed; fails as the hook before it, or its exec, failed.
    pub(crate) fn wait(mut self, callbacks: &Callbacks, request: &ContainerRequest) -> Result<()> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).or_fail("listen for the start's report", &request.id)?;
        let _ = fs::remove_file(path(&request.directory));
        match Report::read(&bytes).or_fail("understand the last stage's report", &request.id)? {
            None => Ok(()),
            Some(Report::Hook { index, failure, output }) => {
                Err(callbacks.reported(index, &Failed { failure, output }))
            }
            Some(Report::NotExecuted { errno }) => Err(not_executed(errno).on(&request.id)),
        }
    }
}

fn not_executed(errno: i32) -> Error {
    let code = match errno {
        libc::ENOENT | libc::ENOTDIR => ErrorCode::CommandNotFound,
        _ => ErrorCode::CommandNotExecutable,
    };
    Error::new(code, "execute the workload's program")
        .because(explain(&std::io::Error::from_raw_os_error(errno)))
}
