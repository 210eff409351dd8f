//! The loopback interface of a container whose runtime leaves it down.

use nucleus_abi::{ContainerId, Result};
use nucleus_linux::fault::{OrFail, system};
use nucleus_sys::clone::{self, Clone3};
use nucleus_sys::loopback;
use nucleus_sys::namespace::{NamespaceSet, join_all_of};
use nucleus_sys::pidfd::{Exit, PidFd};

/// Brings it up, in the network namespace of a process. One that is up already stays so.
pub(crate) fn bring_up(process: &PidFd, id: &ContainerId) -> Result<()> {
    const STEP: &str = "bring up the container's loopback interface";
    let child = clone::spawn(Clone3::default(), || {
        let done = join_all_of(process, NamespaceSet::NETWORK).and_then(|()| loopback::bring_up());
        // The errno of a failure is below 256 (errno(3)), so it fits into a status.
        done.map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0)
    });
    match child.or_fail(STEP, id)?.pidfd.wait().or_fail(STEP, id)? {
        Exit::Exited { code: 0 } => Ok(()),
        Exit::Exited { code } => Err(system(STEP, &std::io::Error::from_raw_os_error(code.into())).on(id)),
        Exit::Signalled { .. } => Err(system(STEP, &std::io::Error::from_raw_os_error(libc::EINTR)).on(id)),
    }
}
