//! What the container takes from the host, made into mounts that hang nowhere before the container exists: opened once,
//! by whoever may see it, and with its attributes set before anybody inside can (CVE-2021-30465).

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nucleus_abi::{Descriptors, Result, SandboxRequest};
use nucleus_sys::mount::{Change, DetachedMount, MountAttrFlags, Reach};
use nucleus_sys::{Mode, OFlags};
use rustix::fs::FileType;

use crate::config::{self, Attributes, Configuration, Content, Mount};
use crate::fault::{OrFail, invalid};

/// Everything that comes from the host.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The root file system; `None` if the mount namespace is joined.
    pub(crate) root: Option<DetachedMount>,
    /// Bind mounts, by their index in `mounts`.
    pub(crate) binds: BTreeMap<usize, Bind>,
}

/// A bind mount, ready to be attached.
#[derive(Debug)]
pub(crate) struct Bind {
    pub(crate) mount: DetachedMount,
    pub(crate) shape: Shape,
}

/// What the place for a mount must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Directory,
    File,
}

/// Opens and clones all of it.
pub(crate) fn open(
    configuration: &Configuration,
    request: &SandboxRequest,
    descriptors: Descriptors<'_>,
) -> Result<Sources> {
    let Some(wanted) = &configuration.root else {
        return Ok(Sources { root: None, binds: BTreeMap::new() });
    };
    let mut binds = BTreeMap::new();
    for mount in &configuration.mounts {
        if let Content::Bind { source, reach } = &mount.content {
            let given = request.mount_sources.get(&mount.index).map(|index| descriptors.get(*index));
            let bind = match given {
                Some(descriptor) => bind(mount, source, *reach, descriptor?)?,
                None => bind(mount, source, *reach, open_path(&request.bundle.join(source))?.as_fd())?,
            };
            binds.insert(mount.index, bind);
        }
    }
    Ok(Sources { root: Some(root(wanted, request, descriptors)?), binds })
}

fn open_path(path: &Path) -> Result<std::os::fd::OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .or_fail("open a mount's source", path.display())
}

fn root(
    wanted: &config::Root,
    request: &SandboxRequest,
    descriptors: Descriptors<'_>,
) -> Result<DetachedMount> {
    let path = request.bundle.join(&wanted.path);
    let mount = match request.rootfs {
        Some(index) => clone(descriptors.get(index)?, Reach::Tree),
        None => clone(open_path(&path)?.as_fd(), Reach::Tree),
    };
    let mount = mount.or_fail("clone the root file system", path.display())?;
    if shape(mount.as_fd())? == Shape::File {
        return Err(invalid("root.path", format!("{} is not a directory", path.display())));
    }
    let no_devices = Change {
        set: MountAttrFlags::MOUNT_ATTR_NODEV,
        propagation: Some(wanted.propagation),
        ..Change::default()
    };
    mount.change(no_devices, Reach::Tree).or_fail("make the root file system `nodev`", path.display())?;
    Ok(mount)
}

fn bind(mount: &Mount, source: &Path, reach: Reach, descriptor: BorrowedFd<'_>) -> Result<Bind> {
    let step = "clone a mount's source";
    let stat = rustix::fs::fstat(descriptor).or_fail(step, source.display())?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
    if is_device && mount.own.set.contains(MountAttrFlags::MOUNT_ATTR_NODEV) {
        let field = format!("mounts[{}].options", mount.index);
        return Err(invalid(field, format!("{} is a device, and the mount is `nodev`", source.display()))
            .hint("add the option `dev` to give the container this device"));
    }
    let clone = clone(descriptor, reach).or_fail(step, source.display())?;
    change(&clone, mount, reach).or_fail("set a mount's attributes", source.display())?;
    let shape = if kind == FileType::Directory { Shape::Directory } else { Shape::File };
    Ok(Bind { mount: clone, shape })
}

/// One call where one is enough: what concerns the tree, then what concerns its top alone.
fn change(clone: &DetachedMount, mount: &Mount, reach: Reach) -> std::io::Result<()> {
    let (propagation, below) = mount.propagation;
    let of = |attributes: Attributes, propagation| Change {
        set: attributes.set,
        clear: attributes.clear,
        propagation,
        id_mapped: None,
    };
    if reach == Reach::Mount && mount.tree.is_none() {
        return clone.change(of(mount.own, Some(propagation)), Reach::Mount);
    }
    match below {
        Reach::Tree => {
            clone.change(of(mount.tree, Some(propagation)), Reach::Tree)?;
            if mount.own.is_none() { Ok(()) } else { clone.change(of(mount.own, None), Reach::Mount) }
        }
        Reach::Mount => {
            clone.change(of(mount.tree, None), Reach::Tree)?;
            clone.change(of(mount.own, Some(propagation)), Reach::Mount)
        }
    }
}

pub(crate) fn shape(file: BorrowedFd<'_>) -> Result<Shape> {
    let stat = rustix::fs::fstat(file).or_fail("look at a mount", "its root")?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(Shape::Directory),
        _ => Ok(Shape::File),
    }
}

/// A mount that is the container's alone: a clone of what the descriptor shows, or, where it is a mount that hangs
/// nowhere already, that one (older kernels clone only from the caller's own mount namespace: EINVAL).
fn clone(descriptor: BorrowedFd<'_>, reach: Reach) -> std::io::Result<DetachedMount> {
    match DetachedMount::clone_of(descriptor, reach) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && hangs_nowhere(descriptor) => {
            Ok(DetachedMount::from(descriptor.try_clone_to_owned()?))
        }
        result => result,
    }
}

/// Seen from nowhere, the root of a detached mount has the path `/`. What is attached must not be taken over:
/// its attributes would change on the host.
fn hangs_nowhere(descriptor: BorrowedFd<'_>) -> bool {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    std::fs::read_link(link).is_ok_and(|path| path == Path::new("/"))
}
