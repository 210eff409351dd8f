//! `wait`: how the first process ended, from the kernel and never from the runtime.

use std::time::Duration;

use nucleus_abi::{Descriptors, ExitStatus, Result, WaitRequest};
use nucleus_linux::fault::OrFail;
use nucleus_sys::pidfd::{Exit, PidFd};

/// How long the process's own parent may take to reap it. Before that the kernel tells nobody else how it ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// [`nucleus_abi::Backend::wait`].
///
/// # Errors
/// What wait reports.
pub fn wait(request: &WaitRequest, descriptors: Descriptors<'_>) -> Result<ExitStatus> {
    let process = descriptors.get(request.wait)?.try_clone_to_owned();
    let process = PidFd::from(process.or_fail("duplicate a descriptor", &request.id)?);
    let exit = match process.wait() {
        // It is another process's child.
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
            process.wait_over(None).or_fail("wait for the container", &request.id)?;
            process.exit_of_reaped(PATIENCE).ok()
        }
        result => Some(result.or_fail("wait for the container", &request.id)?),
    };
    Ok(match exit {
        None => ExitStatus::Unknown,
        Some(Exit::Signalled { signal, .. }) => ExitStatus::Signalled { signal },
        Some(Exit::Exited { code }) => ExitStatus::Exited { code },
    })
}
