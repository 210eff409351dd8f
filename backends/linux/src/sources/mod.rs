//! What the container takes from the host, made into mounts that hang nowhere before the container exists: opened once,
//! by whoever may see it, and with its attributes set before anybody inside can (CVE-2021-30465).

mod bind;
mod changes;
mod id_mapped;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nucleus_abi::{Descriptors, Result, SandboxRequest};
use nucleus_sys::mount::{Change, DetachedMount, MountAttrFlags, Propagation, Reach};
use nucleus_sys::{Mode, OFlags};
use rustix::fs::FileType;

use crate::config::{self, Configuration, Content};
use crate::fault::{OrFail, invalid, unsupported};
use crate::joining::Target;
use changes::Peers;
use id_mapped::IdMapper;

pub(crate) use bind::Bind;

/// Everything that comes from the host.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The root file system; `None` if the mount namespace is joined.
    pub(crate) root: Option<DetachedMount>,
    /// Bind mounts, by their index in `mounts`.
    pub(crate) binds: BTreeMap<usize, Bind>,
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
    joins: &[Target],
    request: &SandboxRequest,
    descriptors: Descriptors<'_>,
) -> Result<Sources> {
    let Some(wanted) = &configuration.root else {
        return Ok(Sources { root: None, binds: BTreeMap::new() });
    };
    check_label(configuration)?;
    let root = root(wanted, request, descriptors)?;
    Ok(Sources { root: Some(root), binds: binds(configuration, joins, request, descriptors)? })
}

fn binds(
    configuration: &Configuration,
    joins: &[Target],
    request: &SandboxRequest,
    descriptors: Descriptors<'_>,
) -> Result<BTreeMap<usize, Bind>> {
    let mut ids = IdMapper::new(&configuration.namespaces, joins);
    let peers = Peers::of(&configuration.namespaces);
    let mut binds = BTreeMap::new();
    for mount in &configuration.mounts {
        let Content::Bind { source, reach, id_mapped } = &mount.content else { continue };
        let wanted = bind::Wanted { mount, source, reach: *reach, id_mapped: id_mapped.as_ref(), peers };
        let bind = match request.mount_sources.get(&mount.index) {
            Some(index) => wanted.from(descriptors.get(*index)?, &mut ids)?,
            None => wanted.from(open_path(&request.bundle.join(source))?.as_fd(), &mut ids)?,
        };
        binds.insert(mount.index, bind);
    }
    Ok(binds)
}

fn open_path(path: &Path) -> Result<OwnedFd> {
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
        Some(index) => DetachedMount::clone_or_take(descriptors.get(index)?, Reach::Tree),
        None => DetachedMount::clone_or_take(open_path(&path)?.as_fd(), Reach::Tree),
    };
    let mount = mount.or_fail("clone the root file system", path.display())?;
    if shape(mount.as_fd())? == Shape::File {
        return Err(invalid("root.path", format!("{} is not a directory", path.display())));
    }
    // As a peer of the host's mount it would show the host what is mounted in the container. What the workload makes of
    // it, a peer of its own mounts or none to be cloned, it becomes at the end.
    let propagation = match wanted.propagation.0 {
        Propagation::Slave => Propagation::Slave,
        Propagation::Private | Propagation::Shared | Propagation::Unbindable => Propagation::Private,
    };
    let no_devices =
        Change { set: MountAttrFlags::MOUNT_ATTR_NODEV, propagation: Some(propagation), ..Change::default() };
    mount.change(no_devices, Reach::Tree).or_fail("make the root file system `nodev`", path.display())?;
    Ok(mount)
}

/// Without `SELinux` no file system would understand the label, or worse, none would be asked to.
fn check_label(configuration: &Configuration) -> Result<()> {
    match &configuration.mount_label {
        Some(label) if !Path::new("/sys/fs/selinux/enforce").exists() => Err(unsupported(
            "linux.mountLabel",
            format!("`{label}` is a label of SELinux, which this kernel does not have or has switched off"),
        )),
        _ => Ok(()),
    }
}

pub(crate) fn shape(file: BorrowedFd<'_>) -> Result<Shape> {
    let stat = rustix::fs::fstat(file).or_fail("look at a mount", "its root")?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(Shape::Directory),
        _ => Ok(Shape::File),
    }
}
