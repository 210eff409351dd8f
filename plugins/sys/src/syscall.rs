//! The convention of libc's wrappers, turned into `io::Result`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A return value of -1 means that `errno` holds the reason.
pub(crate) fn check(returned: libc::c_long) -> io::Result<libc::c_long> {
    match returned {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

/// Takes over the descriptor that a system call returned.
///
/// # Safety
/// `returned` must come from a system call that makes a new descriptor, and nobody else may own it.
pub(crate) unsafe fn check_descriptor(returned: libc::c_long) -> io::Result<OwnedFd> {
    let raw = i32::try_from(check(returned)?).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
