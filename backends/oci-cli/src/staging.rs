//! What the container takes from the host, made into mounts that hang nowhere, by whoever may see it; and their places.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nucleus_abi::{DescriptorIndex, Descriptors, Result, SandboxRequest};
use nucleus_linux::fault::{OrFail, invalid, unsupported};
use nucleus_sys::id_map::user_namespace;
use nucleus_sys::mount::{Change, DetachedMount, FsContext, MountAttrFlags, Propagation, Reach};
use nucleus_sys::{Mode, OFlags};
use rustix::fs::FileType;

use crate::config::{Bind, Rewritten, Root, bind_on, namespace_on, root_on};
use crate::monitor;

/// A mount, and its place on the stage.
pub(crate) struct Staged {
    mount: DetachedMount,
    place: PathBuf,
    kind: FileType,
}

/// Opens and clones all of it.
pub(crate) fn prepare(
    rewritten: &Rewritten,
    request: &SandboxRequest,
    descriptors: Descriptors<'_>,
    log: Option<DetachedMount>,
) -> Result<Vec<Staged>> {
    let stage = &rewritten.stage;
    let root = staged(self::root(&rewritten.root, request, descriptors)?, root_on(stage))?;
    let binds = rewritten.binds.iter().map(|bind| {
        let mount = match request.mount_sources.get(&bind.index) {
            Some(index) => self::bind(bind, descriptors.get(*index)?)?,
            None => self::bind(bind, open_path(&request.bundle.join(&bind.source))?.as_fd())?,
        };
        staged(mount, bind_on(stage, bind.index))
    });
    let tmpfs = rewritten.tmpfs.iter().map(|one| staged(one.make()?, bind_on(stage, one.index)));
    let namespaces = namespaces(request).map(|(kind, index)| {
        let mount = DetachedMount::clone_or_take(descriptors.get(index)?, Reach::Mount);
        staged(mount.or_fail("clone a namespace to join", kind)?, namespace_on(stage, kind))
    });
    let log = log.map(|log| staged(log, monitor::on(stage)));
    std::iter::once(Ok(root)).chain(binds).chain(tmpfs).chain(namespaces).chain(log).collect()
}

/// The namespaces to join that can have a place on the stage: a mount namespace cannot be mounted in one that is younger
/// (`mnt_ns_loop` in the kernel's `fs/namespace.c`), and is joined by its path.
pub(crate) fn namespaces(request: &SandboxRequest) -> impl Iterator<Item = (&str, DescriptorIndex)> {
    let all = request.namespaces.iter().map(|(kind, index)| (kind.as_str(), *index));
    all.filter(|(kind, _)| *kind != "mount")
}

fn staged(mount: DetachedMount, place: PathBuf) -> Result<Staged> {
    let stat = rustix::fs::fstat(mount.as_fd()).or_fail("look at a mount", place.display())?;
    Ok(Staged { mount, place, kind: FileType::from_raw_mode(stat.st_mode) })
}

/// Attaches all of it in this process's mount namespace, which must be its own: on a file system in memory that comes on top of
/// the stage's directory, so that the places are nowhere on disk.
pub(crate) fn attach(stage: &Path, staged: Vec<Staged>) -> Result<()> {
    empty(stage).or_fail("make the stage", stage.display())?;
    for Staged { mount, place, kind } in staged {
        let made: io::Result<()> = match kind {
            FileType::Directory => fs::create_dir(&place),
            _ => fs::File::create_new(&place).map(drop),
        };
        made.or_fail("make a place on the stage", place.display())?;
        let target = open_path(&place)?;
        mount.attach(target.as_fd()).or_fail("attach a mount on the stage", place.display())?;
    }
    Ok(())
}

/// Puts an empty file system on top of a directory.
pub(crate) fn empty(directory: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    let context = FsContext::open("tmpfs")?;
    context.set("mode", "0755")?;
    let empty = context.mount(MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID)?;
    empty.attach(directory.as_fd()).map(drop)
}

fn root(root: &Root, request: &SandboxRequest, descriptors: Descriptors<'_>) -> Result<DetachedMount> {
    let path = request.bundle.join(&root.path);
    let step = "clone the root file system";
    let mount = match request.rootfs {
        Some(index) => DetachedMount::clone_or_take(descriptors.get(index)?, Reach::Tree),
        None => DetachedMount::clone_or_take(open_path(&path)?.as_fd(), Reach::Tree),
    };
    let mount = mount.or_fail(step, path.display())?;
    let stat = rustix::fs::fstat(mount.as_fd()).or_fail(step, path.display())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(invalid("root.path", format!("{} is not a directory", path.display())));
    }
    let tree = Change {
        set: MountAttrFlags::MOUNT_ATTR_NODEV,
        propagation: Some(Propagation::Slave),
        ..Change::default()
    };
    mount.change(tree, Reach::Tree).or_fail("make the root file system `nodev`", path.display())?;
    if !root.own.is_empty() {
        let own = Change { set: root.own, ..Change::default() };
        mount.change(own, Reach::Mount).or_fail("make the root file system read-only", path.display())?;
    }
    Ok(mount)
}

fn bind(bind: &Bind, source: BorrowedFd<'_>) -> Result<DetachedMount> {
    let name = bind.source.display();
    let mount = DetachedMount::clone_or_take(source, bind.reach).or_fail("clone a mount's source", &name)?;
    if let Some((ids, reach)) = &bind.ids {
        let namespace = user_namespace(&ids.users, &ids.groups)
            .or_fail("make the user namespace of an id-mapped mount", &name)?;
        let change = Change { id_mapped: Some(namespace.as_fd()), ..Change::default() };
        mount.change(change, *reach).map_err(|error| {
            unsupported(
                format!("mounts[{}].options: idmap", bind.index),
                format!("the ids of {name} cannot be mapped: {}", nucleus_linux::fault::explain(&error)),
            )
        })?;
    }
    let change = Change { set: bind.tree, propagation: bind.propagation, ..Change::default() };
    mount.change(change, bind.reach).or_fail("set a mount's attributes", name)?;
    Ok(mount)
}

fn open_path(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .or_fail("open a mount's source", path.display())
}
