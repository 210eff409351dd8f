//! `/dev`: a tmpfs of our own, in which the standard nodes are binds of the host's.
//!
//! The tmpfs is `nodev`, unless device rules grant more than the usual, so that what the workload makes with mknod is no device, even with `CAP_MKNOD`; each node is a
//! mount of its own, of an inode that was verified to be the device (CVE-2025-31133). These mounts are read-only: that
//! keeps the workload from changing mode and owner of the *host's* inode, and does not keep it from writing to the device.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::device::Special;
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::mount::{Change, DetachedMount, MountAttrFlags, Reach};
use nucleus_sys::{Mode, OFlags};

use super::mounts;
use super::own::Site;
use crate::config::{Datum, FileSystem};
use crate::fault::{OrFail, explain};

/// What `/dev` always is.
pub(super) const DEV_ATTRIBUTES: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// The default devices of the specification (config-linux.md), but `ptmx`, which is a link, and `console`.
const STANDARD: [(&std::ffi::CStr, (u32, u32)); 6] = [
    (c"null", (1, 3)),
    (c"zero", (1, 5)),
    (c"full", (1, 7)),
    (c"random", (1, 8)),
    (c"urandom", (1, 9)),
    (c"tty", (5, 0)),
];

const LINKS: [(&str, &str); 6] = [
    ("core", "/proc/kcore"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

pub(super) fn is_dev(path: &InRootPath) -> bool {
    matches!(path.components(), [only] if only.as_bytes() == b"dev")
}

fn dev() -> InRootPath {
    InRootPath::new("/dev").expect("a plain path")
}

/// The container's `/dev`.
pub(super) fn open(root: Root<'_>) -> std::io::Result<OwnedFd> {
    root.open_no_follow(&dev(), OFlags::PATH | OFlags::DIRECTORY)
}

/// Where the configuration mounts no `/dev`.
pub(super) fn mount_dev(root: Root<'_>) -> Result<OwnedFd> {
    let tmpfs =
        FileSystem::new("tmpfs", "tmpfs", vec![Datum::new("mode", "755"), Datum::new("size", "65536k")]);
    let place = mounts::directory(&Site::new(root, &dev()))?;
    let made = mounts::make(&tmpfs, DEV_ATTRIBUTES | MountAttrFlags::MOUNT_ATTR_NODEV, &dev())?;
    made.attach(place.as_fd()).or_fail("attach a mount", dev())
}

/// Fills our `/dev`; returns its `null`.
pub(super) fn populate(inside: BorrowedFd<'_>) -> Result<OwnedFd> {
    let step = "fill the container's /dev";
    let host = host_dev()?;
    let mut null = None;
    for (name, number) in STANDARD {
        let node = clone_standard(host.as_fd(), name, number)?;
        let place = make_file(inside, name)?;
        let attached =
            node.attach(place.as_fd()).or_fail(step, format!("/dev/{}", name.to_string_lossy()))?;
        null.get_or_insert(attached);
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, inside, name).or_fail(step, format!("/dev/{name}"))?;
    }
    Ok(null.expect("`null` is the first of the standard devices"))
}

/// The host's `/dev`, in our own mount namespace: what the parent opened belongs to the parent's and can't be cloned here.
fn host_dev() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/dev", flags, Mode::empty()).or_fail("open the host's /dev", "/dev")
}

/// Whether a character device is one of the standard ones.
pub(crate) fn is_standard(number: (u32, u32)) -> bool {
    STANDARD.iter().any(|(_, standard)| *standard == number)
}

/// A mount of the host's node of a standard device.
pub(crate) fn clone_of_number(number: (u32, u32)) -> Result<DetachedMount> {
    match STANDARD.iter().find(|(_, standard)| *standard == number) {
        Some((name, _)) => clone_standard(host_dev()?.as_fd(), name, number),
        None => Err(Error::new(ErrorCode::Protocol, "take over a device node")
            .on(format!("{}:{}", number.0, number.1))
            .because("it is no standard device")),
    }
}

/// A mount of the host's `/dev/null`, for a container whose `/dev` is not ours.
pub(super) fn clone_null() -> Result<DetachedMount> {
    clone_standard(host_dev()?.as_fd(), c"null", (1, 3))
}

fn clone_standard(host: BorrowedFd<'_>, name: &std::ffi::CStr, number: (u32, u32)) -> Result<DetachedMount> {
    let subject = || format!("/dev/{} of the host", name.to_string_lossy());
    let step = "take over a device node";
    let node =
        Special::Char(number.0, number.1).open(host, name).map_err(|error| match error.raw_os_error() {
            Some(libc::ENXIO | libc::ELOOP) => Error::new(ErrorCode::HostUnfit, step)
                .on(subject())
                .because(format!("it is not the character device {}:{}", number.0, number.1)),
            _ => Error::new(ErrorCode::HostUnfit, step).on(subject()).because(explain(&error)),
        })?;
    let clone = DetachedMount::clone_of(node.as_fd(), Reach::Mount).or_fail(step, subject())?;
    keep(&clone).or_fail(step, subject())?;
    Ok(clone)
}

/// Keeps mode and owner of the host's node from being changed.
pub(super) fn keep(clone: &DetachedMount) -> std::io::Result<()> {
    let kept = Change {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID,
        ..Change::default()
    };
    clone.change(kept, Reach::Mount)
}

/// An empty file in our own `/dev`, as a place for a mount.
pub(super) fn make_file(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::from(0o666))
        .or_fail("make a file in the container's /dev", format!("/dev/{}", name.to_string_lossy()))
}
