//! The session keyring (keyrings(7)).

use std::ffi::CStr;
use std::io;

use crate::syscall::check;

/// `KEYCTL_JOIN_SESSION_KEYRING`
const JOIN_SESSION_KEYRING: libc::c_int = 1;

/// Leaves the inherited session keyring for a new one of this name, so that the caller's keys are out of reach. ENOSYS in
/// a kernel without keys, EDQUOT when the user's quota of keys is used up.
pub fn join_new_session(name: &CStr) -> io::Result<()> {
    // SAFETY: the kernel reads the name, which ends with NUL and lives through the call.
    check(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) })?;
    Ok(())
}
