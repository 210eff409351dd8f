//! The eight kinds of namespaces (namespaces(7)): making, joining and opening them.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use bitflags::bitflags;
use rustix::fs::OFlags;
use rustix::thread::UnshareFlags;

use crate::pidfd::PidFd;
use crate::procfs::{ProcBase, ProcFs};
use crate::syscall::{check, check_descriptor};

/// One kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Namespace {
    /// Process ids: `CLONE_NEWPID`.
    Pid,
    /// Mount points: `CLONE_NEWNS`.
    Mount,
    /// Network devices, addresses, ports: `CLONE_NEWNET`.
    Network,
    /// System V and POSIX message queues: `CLONE_NEWIPC`.
    Ipc,
    /// Host and domain name: `CLONE_NEWUTS`.
    Uts,
    /// User and group ids, capabilities: `CLONE_NEWUSER`.
    User,
    /// Root of the visible cgroup tree: `CLONE_NEWCGROUP`.
    Cgroup,
    /// Offsets of the monotonic and boot-time clocks: `CLONE_NEWTIME`.
    Time,
}

bitflags! {
    /// A set of kinds of namespaces; the bits are those of `CLONE_NEW*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct NamespaceSet: u32 {
        /// `CLONE_NEWPID`
        const PID = 0x2000_0000;
        /// `CLONE_NEWNS`
        const MOUNT = 0x0002_0000;
        /// `CLONE_NEWNET`
        const NETWORK = 0x4000_0000;
        /// `CLONE_NEWIPC`
        const IPC = 0x0800_0000;
        /// `CLONE_NEWUTS`
        const UTS = 0x0400_0000;
        /// `CLONE_NEWUSER`
        const USER = 0x1000_0000;
        /// `CLONE_NEWCGROUP`
        const CGROUP = 0x0200_0000;
        /// `CLONE_NEWTIME`: lies inside the signal mask of the old `clone`, so only clone3 and unshare know
        /// it.
        const TIME = 0x0000_0080;
    }
}

impl Namespace {
    /// All kinds, in the order in which they can be joined: the user namespace first, because joining it
    /// grants the capabilities that the others ask for, the mount namespace last, because it takes `/proc`
    /// away.
    pub const ALL: [Self; 8] =
        [Self::User, Self::Pid, Self::Network, Self::Ipc, Self::Uts, Self::Cgroup, Self::Time, Self::Mount];

    /// The `CLONE_NEW*` bit.
    pub const fn flag(self) -> NamespaceSet {
        match self {
            Self::Pid => NamespaceSet::PID,
            Self::Mount => NamespaceSet::MOUNT,
            Self::Network => NamespaceSet::NETWORK,
            Self::Ipc => NamespaceSet::IPC,
            Self::Uts => NamespaceSet::UTS,
            Self::User => NamespaceSet::USER,
            Self::Cgroup => NamespaceSet::CGROUP,
            Self::Time => NamespaceSet::TIME,
        }
    }

    /// The name under `/proc/<pid>/ns/`.
    pub const fn proc_name(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Mount => "mnt",
            Self::Network => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The name that the OCI runtime specification gives it (config-linux, "Namespaces").
    pub const fn oci_name(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Network => "network",
            other => other.proc_name(),
        }
    }
}

impl FromIterator<Namespace> for NamespaceSet {
    fn from_iter<I: IntoIterator<Item = Namespace>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::empty(), |set, kind| set | kind.flag())
    }
}

/// Joins the namespace behind `namespace`; the kernel answers EINVAL if it is of another kind than `kind`.
///
/// Joining a pid or time namespace concerns the children made from now on, not the caller (`setns(2)`).
pub fn join(namespace: BorrowedFd<'_>, kind: Namespace) -> io::Result<()> {
    let raw = std::os::fd::AsRawFd::as_raw_fd(&namespace);
    // SAFETY: setns takes two integers; the descriptor is open for the length of the borrow.
    check(unsafe { libc::c_long::from(libc::setns(raw, kind.flag().bits().cast_signed())) })?;
    Ok(())
}

/// Joins several namespaces of a process at once, all of them or none: if a user namespace is among them, with the
/// rights that it gives (`setns(2)`).
///
/// Errors: EINVAL before Linux 5.8, which takes no pidfd, and for the caller's own user namespace; EPERM; ESRCH if the
/// process is over. Which of the kinds failed is not told: [`join`] them one by one to know.
pub fn join_all_of(process: &PidFd, kinds: NamespaceSet) -> io::Result<()> {
    let raw = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(process));
    // SAFETY: setns takes two integers; the descriptor is open for the length of the borrow.
    check(unsafe { libc::c_long::from(libc::setns(raw, kinds.bits().cast_signed())) })?;
    Ok(())
}

/// The kinds in which a process stands in another namespace than the caller.
///
/// Errors: ENOENT or ESRCH if the process is over; EACCES without the right to look (ptrace(2), "Ptrace access mode
/// checking").
pub fn differing(proc: &ProcFs, process: ProcBase) -> io::Result<NamespaceSet> {
    let directory = |base| proc.open_file(base, "ns", OFlags::PATH | OFlags::DIRECTORY);
    let (own, other) = (directory(ProcBase::Itself)?, directory(process)?);
    let mut kinds = NamespaceSet::empty();
    for kind in Namespace::ALL {
        match identity(&own, kind) {
            // A kernel without this kind of namespace.
            Err(rustix::io::Errno::NOENT) => {}
            own if own? == identity(&other, kind)? => {}
            _ => kinds |= kind.flag(),
        }
    }
    Ok(kinds)
}

/// Two files refer to the same namespace if device and inode are the same (`namespaces(7)`).
fn identity(directory: &OwnedFd, kind: Namespace) -> rustix::io::Result<(u64, u64)> {
    let stat = rustix::fs::statat(directory, kind.proc_name(), rustix::fs::AtFlags::empty())?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Moves the caller into new namespaces (`unshare(2)`; for pid and time its future children).
pub fn unshare(kinds: NamespaceSet) -> io::Result<()> {
    let flags = UnshareFlags::from_bits_retain(kinds.bits());
    // SAFETY: `NamespaceSet` can't hold CLONE_FILES, whose effect on descriptors makes unshare unsafe.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    Ok(())
}

/// Opens a process's namespace through a verified procfs.
///
/// `ns/<kind>` is a magic link, so the last step must follow it; the link itself is checked to lie on the
/// verified procfs, and the result to be a namespace of the wanted kind.
pub fn open(proc: &ProcFs, of: ProcBase, kind: Namespace) -> io::Result<OwnedFd> {
    let opened = proc.open_magic_link(of, "ns", kind.proc_name(), OFlags::RDONLY)?;
    match kind_of(std::os::fd::AsFd::as_fd(&opened))? {
        found if found == kind => Ok(opened),
        _ => Err(rustix::io::Errno::INVAL.into()),
    }
}

/// Asks what kind of namespace a descriptor refers to (`NS_GET_NSTYPE`); ENOTTY if it refers to something
/// else.
pub fn kind_of(namespace: BorrowedFd<'_>) -> io::Result<Namespace> {
    let raw = std::os::fd::AsRawFd::as_raw_fd(&namespace);
    // SAFETY: NS_GET_NSTYPE takes no argument and returns the CLONE_NEW* bit (ioctl_ns(2)).
    let bit = check(unsafe { libc::c_long::from(libc::ioctl(raw, libc::NS_GET_NSTYPE)) })?;
    Namespace::ALL
        .into_iter()
        .find(|kind| libc::c_long::from(kind.flag().bits()) == bit)
        .ok_or_else(|| rustix::io::Errno::INVAL.into())
}

/// Opens the pid or user namespace in which this one was made.
///
/// Errors: EPERM if it lies outside of the caller's own.
pub fn parent(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let raw = std::os::fd::AsRawFd::as_raw_fd(&namespace);
    // SAFETY: NS_GET_PARENT takes no argument and returns a new descriptor (ioctl_ns(2)).
    unsafe { check_descriptor(libc::c_long::from(libc::ioctl(raw, libc::NS_GET_PARENT))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;
    use std::os::fd::AsFd;

    #[test]
    fn own_namespaces_open_and_tell_their_kind() {
        let proc = ProcFs::open().unwrap();
        for kind in Namespace::ALL {
            let fd = open(&proc, ProcBase::Itself, kind).unwrap();
            assert_eq!(kind_of(fd.as_fd()).unwrap(), kind);
        }
    }

    #[test]
    fn a_new_pid_namespace_lies_below_its_makers_and_that_below_nothing_visible() {
        in_child(|| {
            let proc = ProcFs::open().unwrap();
            let own = open(&proc, ProcBase::Itself, Namespace::Pid).unwrap();
            unshare(NamespaceSet::PID).unwrap();
            // SAFETY: the child of a process of one thread blocks until it is killed.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: as above.
                unsafe { libc::pause() };
            }
            let child = rustix::process::Pid::from_raw(child).unwrap();
            let below = open(&proc, ProcBase::Process(child), Namespace::Pid).unwrap();
            let inode = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
            assert_eq!(inode(&parent(below.as_fd()).unwrap()), inode(&own));
            assert_eq!(parent(own.as_fd()).unwrap_err().raw_os_error(), Some(libc::EPERM));
            rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
        });
    }

    #[test]
    fn joining_as_another_kind_is_refused() {
        let proc = ProcFs::open().unwrap();
        let fd = open(&proc, ProcBase::Itself, Namespace::Uts).unwrap();
        assert_eq!(join(fd.as_fd(), Namespace::Ipc).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn what_differs_is_joined_at_once() {
        in_child(|| {
            let proc = ProcFs::open().unwrap();
            let kinds = NamespaceSet::UTS | NamespaceSet::IPC | NamespaceSet::MOUNT;
            let args = crate::clone::Clone3 { namespaces: kinds, ..Default::default() };
            // It is killed below, and ends by itself should this test fail before.
            let child = crate::clone::spawn(args, || {
                std::thread::sleep(std::time::Duration::from_secs(10));
                0
            });
            let child = child.unwrap();
            let base = ProcBase::Process(child.pid);
            assert_eq!(differing(&proc, base).unwrap(), kinds);
            join_all_of(&child.pidfd, kinds).unwrap();
            assert_eq!(differing(&proc, base).unwrap(), NamespaceSet::empty());
            let error = join_all_of(&child.pidfd, NamespaceSet::USER).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
            child.pidfd.send_signal(crate::signal::Signal::KILL).unwrap();
            child.pidfd.wait().unwrap();
            let error = join_all_of(&child.pidfd, kinds).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
        });
    }

    #[test]
    fn unshare_makes_a_new_one_and_join_returns() {
        in_child(|| {
            let proc = ProcFs::open().unwrap();
            let before = open(&proc, ProcBase::Itself, Namespace::Uts).unwrap();
            let inode = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
            unshare(NamespaceSet::UTS).unwrap();
            let inside = open(&proc, ProcBase::Itself, Namespace::Uts).unwrap();
            assert_ne!(inode(&before), inode(&inside));
            join(before.as_fd(), Namespace::Uts).unwrap();
            assert_eq!(inode(&before), inode(&open(&proc, ProcBase::Itself, Namespace::Uts).unwrap()));
        });
    }
}
