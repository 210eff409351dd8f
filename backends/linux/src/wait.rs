//! `wait`: how the first process ended.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use nucleus_abi::{Descriptors, ExitStatus, Result, WaitRequest};
use nucleus_sys::pidfd::{Exit, PidFd};

use crate::fault::OrFail;

pub(crate) fn wait(request: &WaitRequest, descriptors: Descriptors<'_>) -> Result<ExitStatus> {
    let owned = |index| -> Result<OwnedFd> {
        descriptors.get(index)?.try_clone_to_owned().or_fail("duplicate a descriptor", &request.id)
    };
    let process = PidFd::from(owned(request.wait)?);
    let status = match process.wait() {
        Ok(exit) => status(exit),
        // It is another process's child: its end can be seen, its status can't.
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
            process.wait_over(None).or_fail("wait for the container", &request.id)?;
            ExitStatus::Unknown
        }
        Err(error) => return Err(error).or_fail("wait for the container", &request.id),
    };
    let failure = request.failure.map(owned).transpose()?;
    Ok(failure.and_then(errno).map_or(status, |errno| ExitStatus::NotExecuted { errno }))
}

fn status(exit: Exit) -> ExitStatus {
    match exit {
        Exit::Exited { code } => ExitStatus::Exited { code },
        Exit::Signalled { signal, .. } => ExitStatus::Signalled { signal },
    }
}

/// The last stage writes the error number of a failed execve; if it succeeds, the pipe just ends.
fn errno(failure: OwnedFd) -> Option<i32> {
    let mut bytes = [0; 4];
    File::from(failure).read_exact(&mut bytes).ok()?;
    Some(i32::from_le_bytes(bytes))
}
