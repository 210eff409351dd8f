//! `wait`: how the first process ended, from the kernel; where that process is the runtime's monitor, from its log as well.

use std::time::Duration;

use nucleus_abi::{Descriptors, ExitStatus, Result, WaitRequest};
use nucleus_linux::fault::OrFail;
use nucleus_sys::Pid;
use nucleus_sys::pidfd::{Exit, PidFd};

use crate::monitor;
use crate::place::Place;
use crate::record::Record;
use crate::runtime::ExitSource;

/// How long the process's own parent may take to reap it. Before that the kernel tells nobody else how it ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// [`nucleus_abi::Backend::wait`].
///
/// # Errors
/// What wait reports.
pub fn wait(request: &WaitRequest, descriptors: Descriptors<'_>) -> Result<ExitStatus> {
    let process = descriptors.get(request.wait)?.try_clone_to_owned();
    let process = PidFd::from(process.or_fail("duplicate a descriptor", &request.id)?);
    process.wait_over(None).or_fail("wait for the container", &request.id)?;
    // Its id is gone once it is reaped.
    let pid = process.pid().ok().flatten();
    let exit = match process.wait() {
        // It is another process's child.
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => process.exit_of_reaped(PATIENCE).ok(),
        result => Some(result.or_fail("wait for the container", &request.id)?),
    };
    let exit = exit.and_then(|exit| of_the_workload(exit, pid, request, descriptors));
    Ok(match exit {
        None => ExitStatus::Unknown,
        Some(Exit::Signalled { signal, .. }) => ExitStatus::Signalled { signal },
        Some(Exit::Exited { code }) => ExitStatus::Exited { code },
    })
}

/// What the end of the process says of the workload; `None` where it could have been one or the other.
fn of_the_workload(
    exit: Exit,
    pid: Option<Pid>,
    request: &WaitRequest,
    descriptors: Descriptors<'_>,
) -> Option<Exit> {
    let place = Place::of(&request.directory);
    let record = Record::read(&place).ok().flatten();
    if record.is_none_or(|record| record.runtime.exits == ExitSource::Process) {
        return Some(exit);
    }
    let of_exec = pid.filter(|_| request.failure.is_none());
    let told = match exit {
        Exit::Exited { code } if monitor::is_ambiguous(exit) => match (request.failure, of_exec) {
            (Some(log), _) => monitor::sandbox_exit(descriptors.get(log).ok()?, code),
            (None, Some(pid)) => monitor::exec_exit(&place, pid, code),
            (None, None) => None,
        },
        plain => Some(plain),
    };
    if let Some(pid) = of_exec {
        monitor::forget_exec(&place, pid);
    }
    told
}
