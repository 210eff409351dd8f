//! The entries of `mounts`: each is made complete, and then attached to a place that was resolved once, by descriptor.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::mount::{
    self, Change, DetachedMount, FsContext, LONGEST_VALUE, MountAttrFlags, Propagation, Reach,
};
use nucleus_sys::{Mode, OFlags};

use super::own::Site;
use super::{copy_up, devices, root};
use crate::config::{Attributes, Datum, FileSystem, Filled, Mount, Namespaces, Source};
use crate::fault::{OrFail, explain, invalid, system, unsupported};
use crate::sources::{Bind, Shape, shape};

const STEP: &str = "make the place for a mount";

pub(super) fn bind(site: &Site<'_>, bind: Bind) -> Result<OwnedFd> {
    let place = place(site, bind.shape)?;
    bind.mount.attach(place.as_fd()).or_fail("attach a mount", site.target)
}

/// Mounts a new file system, and returns it. A tmpfs that shall be read-only still has to take the places for other mounts:
/// it is to be sealed by [`seal`] when all are made.
pub(super) fn file_system(
    site: &Site<'_>,
    mount: &Mount,
    file_system: &FileSystem,
    namespaces: &Namespaces,
) -> Result<OwnedFd> {
    let covered_mode = covered_mode(site, file_system);
    let place = directory(site)?;
    let mut attributes = mount.tree.then(mount.own).set | mount.devices.attributes(Source::Other).set;
    if devices::is_dev(&mount.target) {
        attributes |= devices::DEV_ATTRIBUTES;
    }
    if mount.seals() {
        attributes -= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let made = match make_at(file_system, covered_mode.as_ref(), attributes, &mount.target, &place) {
        Err(error) if mount.is_sysfs() && namespaces.foreign_user() && is_refusal(&error) => {
            hosts_sysfs(attributes)?
        }
        made => made?,
    };
    if file_system.filled == Filled::WithCovered {
        copy_up::fill(&made, &place, file_system, &mount.target)?;
    }
    for (propagation, reach) in &mount.propagation {
        if *propagation != Propagation::Private {
            let change = Change { propagation: Some(*propagation), ..Change::default() };
            made.change(change, *reach).or_fail("set a mount's propagation", &mount.target)?;
        }
    }
    made.attach(place.as_fd()).or_fail("attach a mount", &mount.target)
}

/// Makes what was left writable for the places of other mounts read-only, by its descriptor.
pub(super) fn seal(mounts: &[OwnedFd]) -> Result<()> {
    let read_only = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() };
    mounts.iter().try_for_each(|mount| {
        mount::change(mount.as_fd(), read_only, Reach::Mount).or_fail("make a mount read-only", "tmpfs")
    })
}

/// A tmpfs that does not say its mode has that of the directory that it covers, as with runc; where there is none, the
/// kernel's default, 1777.
fn covered_mode(site: &Site<'_>, file_system: &FileSystem) -> Option<Datum> {
    if file_system.kind != "tmpfs" || file_system.data.iter().any(|datum| datum.key == "mode") {
        return None;
    }
    let covered = site.root.open(&site.path, OFlags::PATH | OFlags::DIRECTORY).ok()?;
    let mode = rustix::fs::fstat(covered).ok()?.st_mode & 0o7777;
    Some(Datum::new("mode", format!("{mode:o}")))
}

/// The kernel mounts sysfs only for who has rights over the network namespace that it shows: in a user namespace with
/// another's network the host's is shown instead, of which its users may write as little as any user of the host.
fn hosts_sysfs(attributes: MountAttrFlags) -> Result<DetachedMount> {
    let step = "show the host's sysfs, for want of rights over the network namespace";
    let host = DetachedMount::clone_at(rustix::fs::CWD, c"/sys", Reach::Tree).or_fail(step, "/sys")?;
    let private = Change { set: attributes, propagation: Some(Propagation::Private), ..Change::default() };
    host.change(private, Reach::Tree).or_fail(step, "/sys")?;
    Ok(host)
}

fn is_refusal(error: &Error) -> bool {
    error.cause.as_deref().is_some_and(|cause| cause.contains("EPERM"))
}

/// Gives what is mounted at the target other attributes, and its file system other options.
pub(super) fn remount(site: &Site<'_>, mount: &Mount, data: &[Datum]) -> Result<()> {
    let step = "change a mount";
    let top = site.root.open(&site.path, OFlags::PATH).or_fail(step, &mount.target)?;
    refuse_redirection(site, top.as_fd())?;
    let Attributes { set, clear } = mount.tree.then(mount.own);
    let change = Change { set, clear, ..Change::default() };
    mount::change(top.as_fd(), change, Reach::Mount).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => {
            invalid(format!("mounts[{}].options", mount.index), "`remount`, and nothing is mounted there")
        }
        _ => system(step, &error).on(&mount.target),
    })?;
    if data.is_empty() {
        return Ok(());
    }
    let context = FsContext::pick(top.as_fd()).or_fail(step, &mount.target)?;
    data.iter().try_for_each(|datum| give(&context, datum, step))?;
    context.reconfigure().map_err(|error| said(&context, system(step, &error).on(&mount.target)))
}

fn make_at(
    file_system: &FileSystem,
    mode: Option<&Datum>,
    attributes: MountAttrFlags,
    target: &InRootPath,
    place: &OwnedFd,
) -> Result<DetachedMount> {
    let is_long = |datum: &Datum| datum.value.as_ref().is_some_and(|value| value.len() > LONGEST_VALUE);
    if !file_system.data.iter().any(is_long) {
        return make_with(file_system, mode.into_iter().chain(&file_system.data), attributes, target);
    }
    let texts: Vec<_> = file_system.data.iter().map(ToString::to_string).collect();
    let step = format!("mount `{}`", file_system.kind);
    let data = CString::new(texts.join(",")).unwrap_or_default();
    let FileSystem { kind, source, .. } = file_system;
    mount::make_with_long_options(place.as_fd(), kind, source, attributes, &data).or_fail(step, target)
}

/// Makes a file system with all its options and attributes; it hangs nowhere yet.
pub(super) fn make(
    file_system: &FileSystem,
    attributes: MountAttrFlags,
    target: &InRootPath,
) -> Result<DetachedMount> {
    make_with(file_system, file_system.data.iter(), attributes, target)
}

fn make_with<'d>(
    file_system: &FileSystem,
    mut data: impl Iterator<Item = &'d Datum>,
    attributes: MountAttrFlags,
    target: &InRootPath,
) -> Result<DetachedMount> {
    let step = format!("mount `{}`", file_system.kind);
    let context = FsContext::open(&file_system.kind).map_err(|error| match error.raw_os_error() {
        Some(libc::ENODEV) => unsupported(
            format!("the mount at {target}"),
            format!("this kernel has no file system `{}`", file_system.kind),
        )
        .hint(format!(
            "load it with `modprobe {}`; /proc/filesystems lists those there are",
            file_system.kind
        )),
        _ => system(step.clone(), &error).on(target),
    })?;
    context.set("source", &file_system.source).or_fail(step.clone(), target)?;
    data.try_for_each(|datum| give(&context, datum, &step))?;
    context
        .mount(attributes)
        .map_err(|error| said(&context, not_mounted(step, &file_system.kind, &error).on(target)))
}

/// Gives a file system one option. It knows best which ones it has.
fn give(context: &FsContext, datum: &Datum, step: &str) -> Result<()> {
    let done = match &datum.value {
        Some(value) => context.set(&datum.key, value),
        None => context.set_flag(&datum.key),
    };
    let place = || datum.origin.map_or_else(String::new, |origin| format!("config.json: {origin}: "));
    done.map(drop).map_err(|error| {
        let refused = Error::new(ErrorCode::ConfigInvalid, step.to_owned()).because(explain(&error));
        said(context, refused.on(format!("{}`{datum}`", place())))
    })
}

/// The kernel says more than an error number: `tmpfs: Bad value for 'size'`.
fn said(context: &FsContext, error: Error) -> Error {
    let messages = context.messages().join("; ");
    let cause = error.cause.clone().unwrap_or_default();
    if messages.is_empty() { error } else { error.because(format!("{messages} ({cause})")) }
}

fn not_mounted(step: String, kind: &str, error: &std::io::Error) -> Error {
    let failed = system(step, error);
    match (kind, error.raw_os_error()) {
        ("proc", Some(libc::EPERM)) => failed.hint(
            "in a user namespace the kernel mounts a procfs only for a pid namespace of the container's own, and where \
             nothing covers parts of the caller's own /proc",
        ),
        (_, Some(libc::EPERM)) => failed.hint("the kernel lets only root of the host mount this file system"),
        _ => failed,
    }
}

/// Attaches it. A place of another shape than the mount is the image's mistake, and the kernel says only ENOTDIR.
pub(super) fn attach(mount: DetachedMount, place: &OwnedFd, target: &InRootPath) -> Result<()> {
    mount.attach(place.as_fd()).or_fail("attach a mount", target).map(drop)
}

/// The place for a mount of a file or directory: what the image has there, or a new one if the root can be written to.
fn place(site: &Site<'_>, wanted: Shape) -> Result<OwnedFd> {
    if wanted == Shape::Directory {
        return directory(site);
    }
    let made = site.root.create_file(&site.path, Mode::from(0o644));
    let place = made.map_err(|error| missing(site.target, &error))?;
    refuse_redirection(site, place.as_fd())?;
    match shape(place.as_fd())? {
        Shape::File => Ok(place),
        Shape::Directory => {
            Err(mismatch(site.target, "a file is to be mounted, and the image has a directory there"))
        }
    }
}

/// The place for a mount of a directory.
pub(super) fn directory(site: &Site<'_>) -> Result<OwnedFd> {
    if is_kernels(site.target) {
        return kernel_directory(site.root, site.target);
    }
    let made = site.root.mkdir_all(&site.path, Mode::from(0o755));
    let place = made.map_err(|error| missing(site.target, &error))?;
    refuse_redirection(site, place.as_fd())?;
    Ok(place)
}

/// Where the kernel's own file systems belong, by their magic numbers (statfs(2)).
const KERNEL_FILE_SYSTEMS: [(i64, &[u8]); 5] = [
    (0x9fa0, b"proc"),
    (0x6265_6572, b"sys"),
    (0x0027_e0eb, b"sys"),
    (0x6367_7270, b"sys"),
    (0x1cd1, b"dev"),
];

/// A link of the image must not lead a mount onto `/proc`, `/sys` or `/dev`, where it would lie to whoever looks there
/// (CVE-2019-16884): only a configuration that names the very directory may mount there.
fn refuse_redirection(site: &Site<'_>, place: BorrowedFd<'_>) -> Result<()> {
    let target = site.target;
    let kind = rustix::fs::fstatfs(place).or_fail("look at the place for a mount", target)?.f_type;
    let known = KERNEL_FILE_SYSTEMS.iter().find(|(magic, _)| *magic == kind).map(|(_, home)| *home);
    let home = known.or_else(|| is_on_dev(site.root, place).then_some(b"dev".as_slice()));
    let named = target.components().first().map(CString::as_bytes);
    match home {
        Some(home) if named != Some(home) => {
            Err(root::hostile(target, "a link in the image leads it onto a kernel file system"))
        }
        _ => Ok(()),
    }
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
