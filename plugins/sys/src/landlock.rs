//! Landlock: access rules that a process puts on itself (landlock(7)).
//!
//! Not the `landlock` crate: eleven dependencies, rules by path, and a "best effort" that drops what the
//! kernel lacks without a word. Three system calls and the table of what came with which ABI are all that is
//! needed.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use bitflags::bitflags;

use crate::syscall::{check, check_descriptor};

bitflags! {
    /// Accesses to files (`LANDLOCK_ACCESS_FS_*`). What a ruleset handles is denied unless a rule allows it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct AccessFs: u64 {
        /// Execute a file.
        const EXECUTE = 1;
        /// Open a file for writing.
        const WRITE_FILE = 1 << 1;
        /// Open a file for reading.
        const READ_FILE = 1 << 2;
        /// List a directory.
        const READ_DIR = 1 << 3;
        /// Remove a directory.
        const REMOVE_DIR = 1 << 4;
        /// Remove or rename a file.
        const REMOVE_FILE = 1 << 5;
        /// Make a character device.
        const MAKE_CHAR = 1 << 6;
        /// Make a directory.
        const MAKE_DIR = 1 << 7;
        /// Make a regular file.
        const MAKE_REG = 1 << 8;
        /// Make a socket.
        const MAKE_SOCK = 1 << 9;
        /// Make a FIFO.
        const MAKE_FIFO = 1 << 10;
        /// Make a block device.
        const MAKE_BLOCK = 1 << 11;
        /// Make a symbolic link.
        const MAKE_SYM = 1 << 12;
        /// Link or rename between directories (ABI 2). Denied by *any* ruleset that does not grant it: EXDEV.
        const REFER = 1 << 13;
        /// Truncate a file (ABI 3).
        const TRUNCATE = 1 << 14;
        /// ioctl on devices opened from now on (ABI 5).
        const IOCTL_DEV = 1 << 15;

        /// What makes sense for a file that is not a directory; rules on files may hold nothing else.
        const ON_FILES = Self::EXECUTE.bits() | Self::WRITE_FILE.bits() | Self::READ_FILE.bits()
            | Self::TRUNCATE.bits() | Self::IOCTL_DEV.bits();
    }
}

bitflags! {
    /// Accesses to the network (ABI 4).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct AccessNet: u64 {
        /// Bind a TCP socket to a port.
        const BIND_TCP = 1;
        /// Connect a TCP socket to a port.
        const CONNECT_TCP = 1 << 1;
    }
}

bitflags! {
    /// What can't reach processes outside the domain (ABI 6).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Scope: u64 {
        /// Abstract Unix sockets.
        const ABSTRACT_UNIX_SOCKET = 1;
        /// Signals.
        const SIGNAL = 1 << 1;
    }
}

/// What a version of the interface can handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handled {
    /// Accesses to files.
    pub files: AccessFs,
    /// Accesses to the network.
    pub network: AccessNet,
    /// Scopes.
    pub scope: Scope,
}

impl Handled {
    /// All that came up to this version of the ABI; nothing for 0.
    pub fn by_abi(abi: u32) -> Self {
        let files = match abi {
            0 => AccessFs::empty(),
            1 => AccessFs::all() - AccessFs::REFER - AccessFs::TRUNCATE - AccessFs::IOCTL_DEV,
            2 => AccessFs::all() - AccessFs::TRUNCATE - AccessFs::IOCTL_DEV,
            3 | 4 => AccessFs::all() - AccessFs::IOCTL_DEV,
            _ => AccessFs::all(),
        };
        let network = if abi < 4 { AccessNet::empty() } else { AccessNet::all() };
        let scope = if abi < 6 { Scope::empty() } else { Scope::all() };
        Self { files, network, scope }
    }
}

/// The version of the interface, from 1. ENOSYS if it is not compiled in, EOPNOTSUPP if it is switched off.
pub fn abi_version() -> io::Result<u32> {
    const CREATE_RULESET_VERSION: u32 = 1;
    let none = std::ptr::null::<RawRuleset>();
    // SAFETY: the kernel wants a null pointer and size 0 with this flag and only returns a number.
    let version = check(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, CREATE_RULESET_VERSION)
    })?;
    Ok(u32::try_from(version).unwrap_or(0))
}

/// `struct landlock_ruleset_attr` of ABI 6.
#[repr(C)]
struct RawRuleset {
    files: u64,
    network: u64,
    scope: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct RawPathBeneath {
    allowed: u64,
    parent: i32,
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct RawNetPort {
    allowed: u64,
    port: u64,
}

const RULE_PATH_BENEATH: u32 = 1;
const RULE_NET_PORT: u32 = 2;

/// Rules being collected.
#[derive(Debug)]
pub struct Ruleset(OwnedFd);

impl Ruleset {
    /// Begins a ruleset that denies what it handles. E2BIG or EINVAL if the kernel's ABI does not have it
    /// all, ENOMSG if it handles nothing.
    pub fn new(handled: Handled) -> io::Result<Self> {
        let raw = RawRuleset {
            files: handled.files.bits(),
            network: handled.network.bits(),
            scope: handled.scope.bits(),
        };
        let size = size_of::<RawRuleset>();
        // SAFETY: the structure has the size announced (older kernels take a larger one if the excess is
        // zero); the descriptor is new, close-on-exec, and nobody else owns it.
        let ruleset = unsafe {
            check_descriptor(libc::syscall(libc::SYS_landlock_create_ruleset, &raw const raw, size, 0))
        };
        ruleset.map(Self)
    }

    /// Allows accesses to `parent` and all below it; `parent` may be `O_PATH`. EINVAL for accesses that are
    /// not handled, or that make no sense for a file ([`AccessFs::ON_FILES`]).
    pub fn allow_beneath(&self, parent: BorrowedFd<'_>, allowed: AccessFs) -> io::Result<()> {
        let rule = RawPathBeneath { allowed: allowed.bits(), parent: parent.as_raw_fd() };
        self.add(RULE_PATH_BENEATH, (&raw const rule).cast())
    }

    /// Allows accesses to a TCP port.
    pub fn allow_port(&self, port: u16, allowed: AccessNet) -> io::Result<()> {
        let rule = RawNetPort { allowed: allowed.bits(), port: port.into() };
        self.add(RULE_NET_PORT, (&raw const rule).cast())
    }

    /// Puts the rules on the calling thread, for good. Needs `no_new_privs` or `CAP_SYS_ADMIN`. E2BIG after
    /// 16 layers.
    pub fn restrict_self(self) -> io::Result<()> {
        // SAFETY: takes a descriptor and flags.
        check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0) })?;
        Ok(())
    }

    fn add(&self, kind: u32, rule: *const libc::c_void) -> io::Result<()> {
        // SAFETY: the callers pass the structure that belongs to `kind`, alive through the call.
        check(unsafe { libc::syscall(libc::SYS_landlock_add_rule, self.0.as_raw_fd(), kind, rule, 0) })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::set_no_new_privs;
    use crate::testing::in_child;
    use rustix::fs::{Mode, OFlags, open};
    use std::os::fd::AsFd;

    #[test]
    fn each_abi_adds() {
        assert_eq!(Handled::by_abi(0).files, AccessFs::empty());
        assert_eq!(Handled::by_abi(1).files.bits(), 0x1fff);
        assert_eq!(Handled::by_abi(2).files.bits(), 0x3fff);
        assert_eq!(Handled::by_abi(3).files.bits(), 0x7fff);
        assert_eq!(Handled::by_abi(4).network, AccessNet::all());
        assert_eq!(Handled::by_abi(5).files.bits(), 0xffff);
        assert_eq!(Handled::by_abi(6).scope, Scope::all());
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        // A kernel built without it says so by name; there is nothing to enforce then.
        let Ok(abi) = abi_version() else {
            let reason = abi_version().unwrap_err().raw_os_error();
            assert!(matches!(reason, Some(libc::ENOSYS | libc::EOPNOTSUPP)), "{reason:?}");
            return;
        };
        in_child(|| {
            let handled =
                Handled { network: AccessNet::empty(), scope: Scope::empty(), ..Handled::by_abi(abi) };
            let ruleset = Ruleset::new(handled).unwrap();
            let dev = open("/dev", OFlags::PATH, Mode::empty()).unwrap();
            ruleset.allow_beneath(dev.as_fd(), AccessFs::READ_FILE | AccessFs::WRITE_FILE).unwrap();
            set_no_new_privs().unwrap();
            ruleset.restrict_self().unwrap();
            assert!(std::fs::read("/dev/null").is_ok());
            let refused = std::fs::read("/etc/passwd").unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
        });
    }
}
