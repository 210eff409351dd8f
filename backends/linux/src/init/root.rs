//! Steps that concern the root file system as a whole.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::mount::{self, Change, DetachedMount, MountAttrFlags, Propagation, Reach};
use nucleus_sys::{Mode, OFlags};
use rustix::fs::FileType;

use crate::fault::OrFail;

/// Private, not slave: nothing of the host's later mounts is wanted here either.
pub(super) fn isolate() -> Result<()> {
    mount::set_root_propagation(Propagation::Private).or_fail("cut the mount namespace off the host's", "/")
}

/// The root is attached on top of the host's `/`, which always exists; the pivot then swaps the two. No path of the host is
/// looked up for it, and no directory must be there.
pub(super) fn attach(root: DetachedMount) -> Result<OwnedFd> {
    let step = "attach the root file system";
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::open("/", flags, Mode::empty()).or_fail(step, "/")?;
    root.attach(top.as_fd()).or_fail(step, "/")
}

/// Whatever is mounted at such a link would land where the image points.
pub(super) fn refuse_links(root: Root<'_>) -> Result<()> {
    ["dev", "proc", "sys"].into_iter().try_for_each(|name| refuse_link(root, name))
}

fn refuse_link(root: Root<'_>, name: &str) -> Result<()> {
    let path = InRootPath::new(name).expect("a plain name");
    let step = "look at the image";
    let found = match root.open_no_follow(&path, OFlags::PATH) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
        result => result.or_fail(step, &path)?,
    };
    let stat = rustix::fs::fstat(&found).or_fail(step, &path)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(()),
        FileType::Symlink => Err(hostile(&path, "it is a symbolic link in the image")),
        _ => Err(hostile(&path, "it is a file in the image, not a directory")),
    }
}

pub(super) fn hostile(path: &InRootPath, cause: &str) -> Error {
    Error::new(ErrorCode::HostileImage, "mount a kernel file system").on(path).because(cause).hint(
        "links in place of /dev, /proc and /sys redirect mounts to the host (CVE-2019-16884, CVE-2025-54867)",
    )
}

pub(super) fn seal(root: BorrowedFd<'_>) -> Result<()> {
    let read_only = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() };
    mount::change(root, read_only, Reach::Mount).or_fail("make the root file system read-only", "/")
}

/// What the workload makes of its root by mounts of its own: a peer of them, or none to be cloned. Only now, when the root
/// is nobody's child: before, its mounts would have appeared in their peers (`mount_namespaces(7)`).
pub(super) fn propagate(root: BorrowedFd<'_>, propagation: Propagation, reach: Reach) -> Result<()> {
    let change = Change { propagation: Some(propagation), ..Change::default() };
    mount::change(root, change, reach).or_fail("set the propagation of the root file system", "/")
}

pub(super) fn pivot(root: BorrowedFd<'_>) -> Result<()> {
    mount::pivot_into(root).or_fail("make the container's root the only one", "pivot_root").map_err(|error| {
        match error.cause.as_deref() {
            Some(cause) if cause.contains("EINVAL") => {
                error.hint("the host's own root is an initramfs, which cannot be exchanged: switch_root on the host first")
            }
            _ => error,
        }
    })
}
