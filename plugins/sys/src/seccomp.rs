//! Loading a compiled filter (seccomp(2)).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use libc::{c_ulong, sock_filter, sock_fprog};

use crate::syscall::check;

/// Installs `filter` on the calling thread, for good and for what it execs. Needs `no_new_privs` or
/// `CAP_SYS_ADMIN`, else EACCES. `flags` are `SECCOMP_FILTER_FLAG_*`; with `NEW_LISTENER` the descriptor on
/// which a supervisor answers is returned, close-on-exec.
///
/// Errors: EINVAL for a filter that the kernel's verifier refuses, flags that it doesn't know, or `TSYNC`
/// while another thread can't be brought along.
pub fn load(filter: &[sock_filter], flags: c_ulong) -> io::Result<Option<OwnedFd>> {
    let length = filter.len().try_into().map_err(|_| rustix::io::Errno::INVAL)?;
    // The kernel only reads the program: the pointer is mutable for the sake of C.
    let program = sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` and the instructions that it points to live through the call, which copies them.
    let result = check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })?;
    let wants_listener = flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0;
    match (wants_listener, i32::try_from(result)) {
        // SAFETY: the kernel made a descriptor that nobody else owns.
        (true, Ok(raw)) => Ok(Some(unsafe { OwnedFd::from_raw_fd(raw) })),
        (false, Ok(0)) => Ok(None),
        // With TSYNC the id of the thread that stands in the way.
        _ => Err(rustix::io::Errno::INVAL.into()),
    }
}

/// Whether the running kernel knows an action, such as `libc::SECCOMP_RET_USER_NOTIF`.
pub fn knows_action(action: u32) -> bool {
    /// `SECCOMP_GET_ACTION_AVAIL`
    const GET_ACTION_AVAILABLE: libc::c_uint = 2;
    // SAFETY: the kernel reads four bytes through the pointer.
    unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAILABLE, 0, &raw const action) == 0 }
}

/// Whether the running kernel knows all of these `SECCOMP_FILTER_FLAG_*`.
pub fn knows_flag(flags: c_ulong) -> bool {
    let none = std::ptr::null::<sock_fprog>();
    // The kernel looks at the flags before it looks for the program: EFAULT if it knows them (seccomp(2)).
    // SAFETY: a null program is never read.
    let refused =
        check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, none) });
    refused.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::set_no_new_privs;
    use crate::testing::{in_child, refusing};

    #[test]
    fn a_filter_bites() {
        in_child(|| {
            set_no_new_privs().unwrap();
            assert!(load(&refusing(libc::SYS_getppid, libc::EDOM), 0).unwrap().is_none());
            // SAFETY: takes nothing and returns a number.
            let refused = check(unsafe { libc::syscall(libc::SYS_getppid) }).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EDOM));
        });
    }

    #[test]
    fn a_listener_is_handed_out() {
        in_child(|| {
            set_no_new_privs().unwrap();
            let listener =
                load(&refusing(libc::SYS_getppid, libc::EDOM), libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)
                    .unwrap();
            assert!(
                rustix::io::fcntl_getfd(listener.unwrap()).unwrap().contains(rustix::io::FdFlags::CLOEXEC)
            );
        });
    }

    #[test]
    fn nonsense_is_refused() {
        in_child(|| {
            set_no_new_privs().unwrap();
            assert_eq!(load(&[], 0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        });
        assert!(knows_action(libc::SECCOMP_RET_ERRNO));
        assert!(!knows_action(0x1234_0000));
        assert!(knows_flag(0) && knows_flag(libc::SECCOMP_FILTER_FLAG_LOG));
        assert!(!knows_flag(1 << 30));
    }
}
