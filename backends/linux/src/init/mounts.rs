//! The entries of `mounts`: each is made complete, and then attached to a place that was resolved once, by descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::mount::{Change, DetachedMount, FsContext, MountAttrFlags, Propagation};
use nucleus_sys::{Mode, OFlags};

use super::{devices, root};
use crate::config::{Datum, FileSystem, Mount};
use crate::fault::{OrFail, explain, system};
use crate::sources::{Bind, Shape, shape};

const STEP: &str = "make the place for a mount";

pub(super) fn bind(root: Root<'_>, mount: &Mount, bind: Bind) -> Result<()> {
    let place = place(root, &mount.target, bind.shape)?;
    attach(bind.mount, &place, &mount.target)
}

pub(super) fn file_system(root: Root<'_>, mount: &Mount, file_system: &FileSystem) -> Result<()> {
    let place = directory(root, &mount.target)?;
    let mut attributes = mount.own.set | mount.tree.set;
    if devices::is_dev(&mount.target) {
        attributes |= devices::DEV_ATTRIBUTES;
    }
    let made = make(file_system, attributes, &mount.target)?;
    let (propagation, reach) = mount.propagation;
    if propagation != Propagation::Private {
        let change = Change { propagation: Some(propagation), ..Change::default() };
        made.change(change, reach).or_fail("set a mount's propagation", &mount.target)?;
    }
    attach(made, &place, &mount.target)
}

/// Makes a file system with all its options and attributes; it hangs nowhere yet.
pub(super) fn make(
    file_system: &FileSystem,
    attributes: MountAttrFlags,
    target: &InRootPath,
) -> Result<DetachedMount> {
    let step = format!("mount `{}`", file_system.kind);
    let context = FsContext::open(file_system.kind).or_fail(step.clone(), target)?;
    configure(&context, file_system).and_then(|()| context.mount(attributes)).map_err(|error| {
        // The kernel says more than an error number: `tmpfs: Bad value for 'size'`.
        let said = context.messages().join("; ");
        let failed = system(step, &error).on(target);
        if said.is_empty() { failed } else { failed.because(format!("{} ({})", said, explain(&error))) }
    })
}

fn configure(context: &FsContext, file_system: &FileSystem) -> std::io::Result<()> {
    context.set("source", &file_system.source)?;
    for datum in &file_system.data {
        match datum {
            Datum::Flag(key) => context.set_flag(key)?,
            Datum::Value(key, value) => context.set(key, value)?,
        };
    }
    Ok(())
}

/// Attaches it. A place of another shape than the mount is the image's mistake, and the kernel says only ENOTDIR.
pub(super) fn attach(mount: DetachedMount, place: &OwnedFd, target: &InRootPath) -> Result<()> {
    mount.attach(place.as_fd()).or_fail("attach a mount", target).map(drop)
}

/// The place for a mount of a file or directory: what the image has there, or a new one if the root can be written to.
fn place(root: Root<'_>, target: &InRootPath, wanted: Shape) -> Result<OwnedFd> {
    if wanted == Shape::Directory {
        return directory(root, target);
    }
    let place = root.create_file(target, Mode::from(0o644)).map_err(|error| missing(target, &error))?;
    refuse_redirection(root, target, place.as_fd())?;
    match shape(place.as_fd())? {
        Shape::File => Ok(place),
        Shape::Directory => {
            Err(mismatch(target, "a file is to be mounted, and the image has a directory there"))
        }
    }
}

/// The place for a mount of a directory.
pub(super) fn directory(root: Root<'_>, target: &InRootPath) -> Result<OwnedFd> {
    if is_kernels(target) {
        return kernel_directory(root, target);
    }
    let place = root.mkdir_all(target, Mode::from(0o755)).map_err(|error| missing(target, &error))?;
    refuse_redirection(root, target, place.as_fd())?;
    Ok(place)
}

/// Magic numbers of the kernel's own file systems, statfs(2).
const KERNEL_FILE_SYSTEMS: [i64; 5] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270, 0x1cd1];

/// A link of the image must not lead a mount onto `/proc`, `/sys` or `/dev`, where it would lie to whoever looks there
/// (CVE-2019-16884): only a configuration that names such a place itself may mount there.
fn refuse_redirection(root: Root<'_>, target: &InRootPath, place: BorrowedFd<'_>) -> Result<()> {
    let named =
        target.components().first().is_some_and(|name| matches!(name.as_bytes(), b"dev" | b"proc" | b"sys"));
    if named {
        return Ok(());
    }
    let kind = rustix::fs::fstatfs(place).or_fail("look at the place for a mount", target)?.f_type;
    if KERNEL_FILE_SYSTEMS.contains(&kind) || is_on_dev(root, place) {
        return Err(root::hostile(target, "a link in the image leads it onto a kernel file system"));
    }
    Ok(())
}

fn is_on_dev(root: Root<'_>, place: BorrowedFd<'_>) -> bool {
    let device = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).ok().map(|stat| stat.st_dev);
    let own = |name: &str| {
        let path = InRootPath::new(name).ok()?;
        let opened = root.open_no_follow(&path, OFlags::PATH).ok()?;
        device(opened.as_fd())
    };
    // Before `/dev` is mounted it is a directory of the root like any other.
    let dev = own("dev");
    dev.is_some() && dev == device(place) && dev != own("/")
}

/// `/dev`, `/proc` and `/sys` themselves; a link in the image must not stand in for one of them.
fn is_kernels(target: &InRootPath) -> bool {
    matches!(target.components(), [only] if matches!(only.as_bytes(), b"dev" | b"proc" | b"sys"))
}

fn kernel_directory(root: Root<'_>, target: &InRootPath) -> Result<OwnedFd> {
    match root.open_no_follow(target, OFlags::PATH | OFlags::DIRECTORY) {
        Ok(place) => Ok(place),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT) => {
                root.mkdir_all(target, Mode::from(0o755)).map_err(|error| missing(target, &error))
            }
            Some(libc::ELOOP | libc::ENOTDIR) => Err(root::hostile(target, "it became a symbolic link")),
            _ => Err(system(STEP, &error).on(target)),
        },
    }
}

fn missing(target: &InRootPath, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EROFS) => system(STEP, error)
            .on(target)
            .because("it does not exist in the image, and the root file system is read-only (EROFS)")
            .hint("make the directory or file in the image, or mount somewhere else"),
        Some(libc::ENOTDIR | libc::EISDIR) => {
            mismatch(target, "the image has something of another kind there")
        }
        _ => system(STEP, error).on(target),
    }
}

fn mismatch(target: &InRootPath, cause: &str) -> Error {
    Error::new(ErrorCode::ConfigInvalid, STEP).on(target).because(cause)
}
