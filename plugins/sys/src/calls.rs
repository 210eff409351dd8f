//! System calls that nothing stands in for: which of them a kernel lacks, or a filter of system calls hides.

use std::io;

use libc::c_long;

/// A system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// The first Linux that has it.
    pub since: &'static str,
    number: c_long,
    /// Arguments that the kernel refuses before it does anything: no descriptor, no memory, no such flags.
    senseless: [c_long; 5],
}

/// All bits: flags that no kernel has, and no descriptor.
const NONE: c_long = -1;

/// Mounts by descriptor.
pub const MOUNT: [Call; 6] = [
    Call { name: "open_tree", since: "5.2", number: libc::SYS_open_tree, senseless: [NONE, 0, NONE, 0, 0] },
    Call {
        name: "move_mount",
        since: "5.2",
        number: libc::SYS_move_mount,
        senseless: [NONE, 0, NONE, 0, NONE],
    },
    Call { name: "fsopen", since: "5.2", number: libc::SYS_fsopen, senseless: [0, NONE, 0, 0, 0] },
    Call { name: "fsconfig", since: "5.2", number: libc::SYS_fsconfig, senseless: [NONE, NONE, 0, 0, 0] },
    Call { name: "fsmount", since: "5.2", number: libc::SYS_fsmount, senseless: [NONE, NONE, 0, 0, 0] },
    Call {
        name: "mount_setattr",
        since: "5.12",
        number: libc::SYS_mount_setattr,
        senseless: [NONE, 0, NONE, 0, 0],
    },
];

/// Processes by descriptor, and the sealed file that the last stage runs from.
pub const PROCESS: [Call; 4] = [
    Call { name: "clone3", since: "5.3", number: libc::SYS_clone3, senseless: [0, 0, 0, 0, 0] },
    Call { name: "pidfd_open", since: "5.3", number: libc::SYS_pidfd_open, senseless: [NONE, NONE, 0, 0, 0] },
    Call {
        name: "pidfd_send_signal",
        since: "5.1",
        number: libc::SYS_pidfd_send_signal,
        senseless: [NONE, 0, 0, NONE, 0],
    },
    Call {
        name: "memfd_create",
        since: "3.17",
        number: libc::SYS_memfd_create,
        senseless: [0, NONE, 0, 0, 0],
    },
];

/// What only some containers need: to know a file again, and to change a file system that is mounted.
pub const FILE: [Call; 2] = [
    Call { name: "statx", since: "4.11", number: libc::SYS_statx, senseless: [NONE, 0, NONE, NONE, 0] },
    Call { name: "fspick", since: "5.2", number: libc::SYS_fspick, senseless: [NONE, 0, NONE, 0, 0] },
];

/// The first of these calls that is missing. Each costs about a tenth of a microsecond.
pub fn missing(calls: &[Call]) -> Option<Call> {
    calls.iter().copied().find(|call| call.is_missing())
}

/// Of an ENOSYS, the call that it is about: the first that is missing of all.
pub fn behind(error: &io::Error) -> Option<Call> {
    (error.raw_os_error() == Some(libc::ENOSYS))
        .then(|| missing(&MOUNT).or_else(|| missing(&PROCESS)).or_else(|| missing(&FILE)))
        .flatten()
}

/// The error in words that name the call, where it is an ENOSYS and the call is known.
pub fn named(error: io::Error) -> io::Error {
    match behind(&error) {
        Some(call) => io::Error::new(io::ErrorKind::Unsupported, call.to_string()),
        None => error,
    }
}

impl Call {
    fn is_missing(self) -> bool {
        let [one, two, three, four, five] = self.senseless;
        // SAFETY: the arguments name no memory and no descriptor, and no kernel takes these flags, or, of clone3, this size
        // (clone(2): EINVAL): each call fails before it does anything.
        let result = unsafe { libc::syscall(self.number, one, two, three, four, five) };
        result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, since, .. } = self;
        write!(
            f,
            "{name}(2) is missing: Linux has it since {since}, and a filter of system calls can hide it (ENOSYS)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_child, without};

    #[test]
    fn what_this_kernel_has_is_not_missing() {
        assert_eq!([missing(&MOUNT), missing(&PROCESS), missing(&FILE)], [None; 3]);
        assert_eq!(behind(&io::Error::from_raw_os_error(libc::ENOSYS)), None);
    }

    #[test]
    fn each_call_that_is_hidden_is_found_and_named() {
        for call in MOUNT.into_iter().chain(PROCESS).chain(FILE) {
            in_child(|| {
                without(&[call.number]);
                assert_eq!(behind(&io::Error::from_raw_os_error(libc::ENOSYS)), Some(call));
                assert_eq!(behind(&io::Error::from_raw_os_error(libc::EPERM)), None);
                let named = named(io::Error::from_raw_os_error(libc::ENOSYS)).to_string();
                assert!(named.starts_with(&format!("{}(2) is missing", call.name)), "{named}");
            });
        }
    }

    #[test]
    fn asking_leaves_nothing_open_and_starts_nothing() {
        in_child(|| {
            let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let before = open();
            assert_eq!(missing(&MOUNT).or_else(|| missing(&PROCESS)), None);
            assert_eq!(open(), before);
            let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
            assert_eq!(children, "");
        });
    }
}
