//! Network namespaces: making one, doing something in one, and telling one from another.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use nucleus_abi::{Inode, Process, Result};
use nucleus_sys::loopback;
use nucleus_sys::namespace::{self, Namespace, NamespaceSet};
use nucleus_sys::procfs::{ProcBase, ProcFs};

use super::fault::OrFail;

/// A namespace that was made before the container.
#[derive(Debug)]
pub(crate) struct Prepared {
    namespace: OwnedFd,
}

impl Prepared {
    /// Makes one with nothing but a loopback device that is up. It goes with its last descriptor or process.
    pub(crate) fn make() -> Result<Self> {
        let step = "make a network namespace";
        let own = own().or_fail(step, "net")?;
        namespace::unshare(NamespaceSet::NETWORK).or_fail(step, "net")?;
        let made = self::own().and_then(|made| loopback::bring_up().map(|()| made));
        back(own.as_fd());
        Ok(Self { namespace: made.or_fail(step, "net")? })
    }

    /// A path that leads to it for as long as this process lives and holds it: no mount has to be made, and none can be
    /// left behind.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd()).into()
    }
}

impl AsFd for Prepared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

/// The namespace that we are in.
pub(super) fn own() -> io::Result<OwnedFd> {
    namespace::open(&ProcFs::open()?, ProcBase::Thread, Namespace::Network)
}

/// Does something in a namespace, and comes back.
pub(super) fn inside<T>(target: BorrowedFd<'_>, work: impl FnOnce() -> T) -> io::Result<T> {
    let own = own()?;
    namespace::join(target, Namespace::Network)?;
    let done = work();
    back(own.as_fd());
    Ok(done)
}

/// Going on in the container's network would attach the wrong one: better not to go on at all.
fn back(own: BorrowedFd<'_>) {
    namespace::join(own, Namespace::Network).expect("a process can return to its own namespace");
}

/// Two descriptors are of one namespace if they have the same (namespaces(7)).
pub(super) fn identity(namespace: BorrowedFd<'_>) -> io::Result<Inode> {
    let stat = rustix::fs::fstat(namespace)?;
    Ok(Inode { device: stat.st_dev, inode: stat.st_ino, born: 0 })
}

/// Does something in the namespace of an identity, wherever we are. `None` where there is none any more: nothing of it is
/// left then.
pub(super) fn inside_of<T>(
    wanted: Inode,
    keeper: Option<Process>,
    work: impl FnOnce() -> T,
) -> io::Result<Option<T>> {
    if identity(own()?.as_fd())? == wanted {
        return Ok(Some(work()));
    }
    match keeper.and_then(|keeper| kept(wanted, keeper)).or_else(|| find(wanted)) {
        Some(found) => inside(found.as_fd(), work).map(Some),
        None => Ok(None),
    }
}

/// The namespace of an identity, by a descriptor of the process that keeps it. Whatever that is by now: only the namespace
/// counts.
fn kept(wanted: Inode, keeper: Process) -> Option<OwnedFd> {
    let directory = format!("/proc/{}/fd", keeper.pid);
    let is_wanted = |stat: &std::fs::Metadata| stat.dev() == wanted.device && stat.ino() == wanted.inode;
    let path = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    let mut paths = path.filter(|path| std::fs::metadata(path).is_ok_and(|stat| is_wanted(&stat)));
    let file = std::fs::File::open(paths.next()?).ok()?;
    identity(file.as_fd()).is_ok_and(|identity| identity == wanted).then(|| file.into())
}

/// The namespace of an identity, by a process that is in it.
fn find(wanted: Inode) -> Option<OwnedFd> {
    let proc = ProcFs::open().ok()?;
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(nucleus_sys::Pid::from_raw)
        .filter_map(|pid| namespace::open(&proc, ProcBase::Process(pid), Namespace::Network).ok())
        .find(|found| identity(found.as_fd()).is_ok_and(|identity| identity == wanted))
}
