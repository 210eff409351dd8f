//! Reading and writing `/proc` without being lied to.
//!
//! Whoever can arrange mounts can put a harmless file over `/proc/self/attr/exec` or a dangerous one over a
//! sysctl, so that a write lands elsewhere (CVE-2019-16884, CVE-2019-19921, CVE-2025-52881). Here the root is
//! checked to be a procfs's own root, and every path is resolved below it without crossing a mount and
//! without following a magic link: what is opened is what the kernel put there.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat, openat2, readlinkat, statat,
};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};
use rustix::process::Pid;

const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// `PROC_ROOT_INO` of the kernel: the root of every procfs, and nothing else on it, is inode 1.
const PROC_ROOT_INODE: u64 = 1;
const BELOW: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_XDEV).union(ResolveFlags::NO_MAGICLINKS);

/// A verified procfs. Opening one costs a few system calls: the caller keeps it.
#[derive(Debug)]
pub struct ProcFs {
    root: OwnedFd,
}

/// Whose files are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcBase {
    /// The top: `/proc/sys`, `/proc/filesystems`.
    Root,
    /// `/proc/self`, seen from the pid namespace of the procfs.
    Itself,
    /// `/proc/thread-self`.
    Thread,
    /// `/proc/<pid>`, counted in the pid namespace of the procfs.
    Process(Pid),
}

impl ProcBase {
    fn join(self, path: &str) -> String {
        let base = match self {
            Self::Root => return path.to_owned(),
            Self::Itself => "self".to_owned(),
            Self::Thread => "thread-self".to_owned(),
            Self::Process(pid) => pid.as_raw_nonzero().to_string(),
        };
        format!("{base}/{path}")
    }
}

impl ProcFs {
    /// The procfs at `/proc`, verified; mounts that somebody put over parts of it are refused when they are
    /// met (EXDEV). Where openat2 is missing (before Linux 5.6) this is a [`ProcFs::private`] one, for which
    /// it is not needed.
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat2(CWD, "/proc", flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Ok(root) => Self::verified(root),
            Err(Errno::NOSYS) => Self::private(),
            Err(error) => Err(error.into()),
        }
    }

    /// A procfs that is mounted nowhere, so that nobody can put a mount over parts of it: a new instance, or,
    /// where the caller may not make one, a clone of `/proc` alone. It shows the caller's pid namespace.
    ///
    /// Making and closing one takes tens of microseconds; [`ProcFs::open`] is as safe on kernels with
    /// openat2, and this one is for hosts whose `/proc` has legitimate mounts on it.
    pub fn private() -> io::Result<Self> {
        Self::verified(new_instance().or_else(|_| clone_of_host())?)
    }

    fn verified(root: OwnedFd) -> io::Result<Self> {
        let on_procfs = is_on_procfs(root.as_fd())?;
        if on_procfs && fstat(&root)?.st_ino == PROC_ROOT_INODE {
            return Ok(Self { root });
        }
        Err(io::Error::other("/proc is not the root of a proc file system"))
    }

    /// Opens a file; `path` is relative to `base`. Adds `O_CLOEXEC` and `O_NOFOLLOW`.
    ///
    /// Errors: EXDEV if something is mounted over part of the path, ELOOP if a part is a magic link.
    pub fn open_file(&self, base: ProcBase, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let path = base.join(path);
        let opened = match openat2(&self.root, path.as_str(), flags, Mode::empty(), BELOW) {
            Err(Errno::NOSYS) => walk(self.root.as_fd(), &path, flags)?,
            result => result?,
        };
        if is_on_procfs(opened.as_fd())? { Ok(opened) } else { Err(Errno::XDEV.into()) }
    }

    /// Writes `bytes` with one write(2), as the kernel wants it for maps, labels and sysctls.
    pub fn write(&self, base: ProcBase, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::from(self.open_file(base, path, OFlags::WRONLY)?);
        match file.write(bytes)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Reads a whole file.
    pub fn read_to_string(&self, base: ProcBase, path: &str) -> io::Result<String> {
        let mut text = String::new();
        File::from(self.open_file(base, path, OFlags::RDONLY)?).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Follows the magic link `<base>/<directory>/<name>`, such as `ns/net` or `fd/3`, to what the kernel
    /// means.
    ///
    /// The link itself is checked to lie on the procfs. Somebody who may mount in the caller's mount
    /// namespace could still put something over it between check and use: the caller verifies the kind of the
    /// result.
    pub fn open_magic_link(
        &self,
        base: ProcBase,
        directory: &str,
        name: &str,
        flags: OFlags,
    ) -> io::Result<OwnedFd> {
        let parent = self.open_file(base, directory, OFlags::PATH | OFlags::DIRECTORY)?;
        let link = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat2(&parent, name, link, Mode::empty(), BELOW) {
            Ok(link) if FileType::from_raw_mode(fstat(&link)?.st_mode) != FileType::Symlink => {
                return Err(Errno::INVAL.into());
            }
            Ok(_) | Err(Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(openat(&parent, name, flags | OFlags::CLOEXEC, Mode::empty())?)
    }
}

impl AsFd for ProcFs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

fn new_instance() -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Not recursive: mounts over parts of `/proc` stay behind.
fn clone_of_host() -> rustix::io::Result<OwnedFd> {
    rustix::mount::open_tree(CWD, "/proc", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
}

fn is_on_procfs(file: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(u64::try_from(fstatfs(file)?.f_type) == Ok(PROC_SUPER_MAGIC))
}

/// openat2 in user space, for a private procfs, which has no mounts on it. Only `self` and `thread-self`,
/// which procfs itself provides at its top, are followed; every other link is refused.
fn walk(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let step = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (parents, last) = path.rsplit_once('/').unwrap_or(("", path));
    let mut here = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
    for name in parents.split('/').filter(|name| !name.is_empty()) {
        let next = match name {
            "." | ".." => return Err(Errno::XDEV.into()),
            "self" | "thread-self" => {
                let target = readlinkat(&here, name, Vec::new())?;
                walk(root, target.to_str().map_err(|_| Errno::ILSEQ)?, step)?
            }
            plain => openat(&here, plain, step, Mode::empty())?,
        };
        here = next;
    }
    let kind = FileType::from_raw_mode(statat(&here, last, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
    match kind {
        FileType::Symlink if !flags.contains(OFlags::PATH) => Err(Errno::LOOP.into()),
        _ => Ok(openat(&here, last, flags, Mode::empty())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::{Propagation, set_root_propagation};
    use crate::namespace::{NamespaceSet, unshare};
    use crate::testing::{in_child, without};

    fn comm(proc: &ProcFs) -> String {
        proc.read_to_string(ProcBase::Itself, "comm").unwrap()
    }

    #[test]
    fn reads_and_writes_by_every_base() {
        in_child(|| {
            let own = ProcBase::Process(rustix::process::getpid());
            for proc in [ProcFs::open().unwrap(), ProcFs::private().unwrap()] {
                proc.write(ProcBase::Itself, "comm", b"first").unwrap();
                assert_eq!(proc.read_to_string(own, "comm").unwrap(), "first\n");
                assert_eq!(proc.read_to_string(ProcBase::Thread, "comm").unwrap(), "first\n");
                assert!(proc.read_to_string(ProcBase::Root, "filesystems").unwrap().contains("proc"));
            }
        });
    }

    #[test]
    fn magic_links_and_escapes_are_refused() {
        let proc = ProcFs::open().unwrap();
        let error = |path| proc.open_file(ProcBase::Itself, path, OFlags::RDONLY).unwrap_err().raw_os_error();
        assert_eq!(error("root/etc/passwd"), Some(libc::ELOOP));
        assert_eq!(error("fd/0"), Some(libc::ELOOP));
        assert_eq!(error("../../etc/passwd"), Some(libc::EXDEV));
    }

    #[test]
    fn a_file_mounted_over_another_is_refused_and_absent_from_a_private_one() {
        in_child(|| {
            unshare(NamespaceSet::MOUNT).unwrap();
            set_root_propagation(Propagation::Private).unwrap();
            // CVE-2025-52881: the write to `comm` would reach `sched` instead.
            rustix::mount::mount_bind("/proc/self/sched", "/proc/self/comm").unwrap();
            rustix::mount::mount_bind("/proc/uptime", "/proc/sys/kernel/hostname").unwrap();
            let proc = ProcFs::open().unwrap();
            let refused = proc.write(ProcBase::Itself, "comm", b"x").unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EXDEV));
            assert!(proc.read_to_string(ProcBase::Root, "sys/kernel/hostname").is_err());
            let private = ProcFs::private().unwrap();
            private.write(ProcBase::Itself, "comm", b"real").unwrap();
            assert_eq!(comm(&private), "real\n");
        });
    }

    #[test]
    fn a_false_proc_is_refused() {
        in_child(|| {
            unshare(NamespaceSet::MOUNT).unwrap();
            set_root_propagation(Propagation::Private).unwrap();
            rustix::mount::mount_bind("/proc/self", "/proc").unwrap();
            assert!(ProcFs::open().unwrap_err().to_string().contains("not the root of a proc"));
            rustix::mount::mount_bind("/", "/proc").unwrap();
            assert!(ProcFs::open().unwrap_err().to_string().contains("not the root of a proc"));
        });
    }

    #[test]
    fn works_on_a_kernel_without_openat2() {
        in_child(|| {
            without(&[libc::SYS_openat2]);
            let proc = ProcFs::open().unwrap();
            proc.write(ProcBase::Itself, "comm", b"old kernel").unwrap();
            assert_eq!(comm(&proc), "old kernel\n");
            let own = proc.open_magic_link(ProcBase::Itself, "ns", "uts", OFlags::RDONLY).unwrap();
            assert!(crate::namespace::kind_of(own.as_fd()).is_ok());
            without(&[libc::SYS_fsopen]);
            assert_eq!(comm(&ProcFs::open().unwrap()), "old kernel\n");
            without(&[libc::SYS_open_tree]);
            assert_eq!(ProcFs::open().unwrap_err().raw_os_error(), Some(libc::ENOSYS));
        });
    }

    #[test]
    fn without_openat2_the_walk_agrees() {
        let proc = ProcFs::private().unwrap();
        let read = |path: &str| {
            let mut text = String::new();
            let file = walk(proc.as_fd(), path, OFlags::RDONLY | OFlags::NOFOLLOW)?;
            File::from(file).read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read("self/comm").unwrap(), comm(&proc));
        assert!(read("sys/kernel/ostype").unwrap().contains("Linux"));
        assert_eq!(read("self/exe").unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert!(read("self/root/etc/passwd").is_err());
        assert_eq!(read("../etc/passwd").unwrap_err().raw_os_error(), Some(libc::EXDEV));
    }
}
