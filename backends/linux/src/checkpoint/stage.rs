//! In criu's own mount namespace: root and mounts of the host are laid out where criu takes them from, each with the attributes
//! that the configuration gives it. Nobody else sees them, and they go with criu.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::mount::{self, DetachedMount, FsContext, MountAttrFlags, Propagation, Reach};
use nucleus_sys::namespace::{NamespaceSet, unshare};
use nucleus_sys::socket::Socket;
use nucleus_sys::{Mode, OFlags};

use super::mounts::{External, Shows};
use crate::cgroups::{self, Group};
use crate::config::{Access, Configuration, Content};
use crate::fault::{OrFail, invalid};
use crate::gate::{self, Word};
use crate::init::{cgroup_mount, devices, namespaces};
use crate::sources::{Bind, Shape, Sources, shape};
use crate::workload::each_process;

const STEP: &str = "lay out the container's mounts";

/// Where criu makes a directory for its mounts, under a name that it never tells.
const PASSING: &str = "/tmp";

/// Gives criu a `/tmp` of its own, which goes with it: what it makes there, a criu that is killed would leave behind. Of the
/// host's it shows only those entries in which the `needed` paths lie.
pub(super) fn own_tmp(needed: &[&Path]) -> Result<()> {
    let below = needed.iter().filter_map(|path| path.strip_prefix(PASSING).ok()?.components().next());
    let names: BTreeSet<_> = below.map(|name| name.as_os_str().to_owned()).collect();
    let mut shown = Vec::new();
    for name in names {
        let path = Path::new(PASSING).join(&name);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::empty()).or_fail(STEP, path.display())?;
        shown.push((
            name,
            DetachedMount::clone_of(opened.as_fd(), Reach::Tree).or_fail(STEP, path.display())?,
        ));
    }
    let place = rustix::fs::open(PASSING, directory_flags(), Mode::empty()).or_fail(STEP, PASSING)?;
    let top = memory()?.attach(place.as_fd()).or_fail(STEP, PASSING)?;
    shown.into_iter().try_for_each(|(name, mount)| {
        attach(mount, &top, &name.to_string_lossy(), Shape::Directory).map(drop)
    })
}

/// What is laid out.
pub(super) struct Stage<'a> {
    /// An empty directory of the container's, under which it lies.
    pub(super) directory: &'a Path,
    pub(super) configuration: &'a Configuration,
    pub(super) groups: &'a [Group],
    pub(super) external: &'a [External],
    pub(super) places: &'a [String],
    pub(super) id: &'a str,
}

/// Where criu finds the root, and what a key stands for.
pub(super) fn root_path(directory: &Path) -> PathBuf {
    directory.join("root")
}

pub(super) fn path_of(directory: &Path, external: &External) -> PathBuf {
    directory.join(&external.key)
}

impl Stage<'_> {
    /// Done in the process that becomes criu: what it has, the restored processes inherit.
    pub(super) fn build(&self, sources: Sources, gate: &Socket) -> Result<()> {
        let Some(doors) = gate::hear(gate, Word::Enter)? else {
            return Err(Error::new(ErrorCode::Protocol, STEP).because("the gate was closed"));
        };
        doors.iter().try_for_each(|door| cgroups::enter(door.as_fd()))?;
        let configuration = self.configuration;
        namespaces::new_keyring(self.id, configuration.keyring, configuration.seccomp.as_ref())?;
        each_process::take_on(&configuration.each_process)?;
        unshare(NamespaceSet::MOUNT).or_fail(STEP, "mount namespace")?;
        mount::set_root_propagation(Propagation::Private).or_fail(STEP, "/")?;
        self.lay_out(sources)
    }

    fn lay_out(&self, mut sources: Sources) -> Result<()> {
        let top = rustix::fs::open(self.directory, directory_flags(), Mode::empty());
        let top =
            memory()?.attach(top.or_fail(STEP, self.directory.display())?.as_fd()).or_fail(STEP, "tmpfs")?;
        if let Some(root) = sources.root.take() {
            let root = attach(root, &top, "root", Shape::Directory)?;
            self.make_places(Root::new(root.as_fd()), &sources)?;
            self.places.iter().try_for_each(|place| refuse_links(&root, place))?;
            if self.configuration.root.as_ref().is_some_and(|root| root.access == Access::ReadOnly) {
                make_passing(Root::new(root.as_fd()))?;
                let read_only =
                    mount::Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Default::default() };
                mount::change(root.as_fd(), read_only, Reach::Mount).or_fail(STEP, "the root file system")?;
            }
        }
        let mut trees = Vec::new();
        for external in self.external {
            self.attach(external, &mut sources, &mut trees, &top)?;
        }
        Ok(())
    }

    /// As when a container is made, what the image lacks for its mounts is added to it.
    fn make_places(&self, root: Root<'_>, sources: &Sources) -> Result<()> {
        let mounts = &self.configuration.mounts;
        let is_below = |path: &InRootPath, other: &InRootPath| {
            let (path, other) = (path.components(), other.components());
            path.len() > other.len() && path.starts_with(other)
        };
        for mount in mounts.iter().filter(|one| !mounts.iter().any(|two| is_below(&one.target, &two.target)))
        {
            let is_file = sources.binds.get(&mount.index).is_some_and(|bind| bind.shape == Shape::File);
            if is_file {
                root.create_file(&mount.target, Mode::from(0o644)).or_fail(STEP, &mount.target)?;
            } else {
                root.mkdir_all(&mount.target, Mode::from(0o755)).or_fail(STEP, &mount.target)?;
            }
        }
        Ok(())
    }

    fn attach(
        &self,
        external: &External,
        sources: &mut Sources,
        trees: &mut Vec<(usize, OwnedFd)>,
        top: &OwnedFd,
    ) -> Result<()> {
        let subject = &external.place;
        let (mount, shape) = match &external.shows {
            Shows::Device { major, minor } => (devices::clone_of_number((*major, *minor))?, Shape::File),
            Shows::Group { hierarchy } => (self.group(hierarchy, subject)?, Shape::Directory),
            Shows::Bind { mount, below, .. } => {
                // The whole tree lies beside: of it each key shows one mount.
                if let Some(Bind { mount: tree, shape }) = sources.binds.remove(mount) {
                    trees.push((*mount, attach(tree, top, &format!("tree{mount}"), shape)?));
                }
                let tree = trees.iter().find(|(index, _)| index == mount).map(|(_, tree)| tree);
                let tree = tree.ok_or_else(|| Error::new(ErrorCode::Protocol, STEP).on(subject))?;
                let shown = inner_mount(tree, below, *mount)?;
                let clone = DetachedMount::clone_of(shown.as_fd(), Reach::Mount).or_fail(STEP, subject)?;
                (clone, shape(shown.as_fd())?)
            }
        };
        attach(mount, top, &external.key, shape).map(drop)
    }

    fn group(&self, hierarchy: &str, subject: &str) -> Result<DetachedMount> {
        let mount = self.configuration.mounts.iter().find(|mount| matches!(mount.content, Content::Cgroup));
        let named = self.groups.iter().find(|group| group.hierarchy_name() == Some(hierarchy));
        let only = || self.groups.first().filter(|_| self.groups.len() == 1);
        match (mount, named.or_else(only)) {
            (Some(mount), Some(group)) => cgroup_mount::group(mount, group),
            _ => Err(invalid(
                "mounts",
                format!("the checkpoint shows a group at {subject}, and this host has no such hierarchy"),
            )),
        }
    }
}

/// Where criu puts the old root while it exchanges them (`cr_pivot_root` in its `mount.c`). In a root that is writable it makes a
/// directory where there is none.
fn make_passing(root: Root<'_>) -> Result<()> {
    let path = InRootPath::new(PASSING).expect("a plain path");
    match root.open(&path, OFlags::PATH) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            root.mkdir_all(&path, Mode::from(0o755)).map(drop).or_fail(STEP, PASSING)
        }
        _ => Ok(()),
    }
}

const fn directory_flags() -> OFlags {
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC)
}

fn memory() -> Result<DetachedMount> {
    let context = FsContext::open("tmpfs").or_fail(STEP, "tmpfs")?;
    context.set("mode", "700").or_fail(STEP, "tmpfs")?;
    context.mount(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV).or_fail(STEP, "tmpfs")
}

fn attach(mount: DetachedMount, top: &OwnedFd, name: &str, shape: Shape) -> Result<OwnedFd> {
    let path = InRootPath::new(name).expect("a plain name");
    let top = Root::new(top.as_fd());
    let place = match shape {
        Shape::Directory => top.mkdir_all(&path, Mode::from(0o700)),
        Shape::File => top.create_file(&path, Mode::from(0o600)),
    };
    mount.attach(place.or_fail(STEP, name)?.as_fd()).or_fail(STEP, name)
}

/// What is mounted at a path below a mount; the mount itself for the empty path.
fn inner_mount(tree: &OwnedFd, below: &str, index: usize) -> Result<OwnedFd> {
    if below.is_empty() {
        return tree.try_clone().or_fail(STEP, below);
    }
    let missing = || {
        invalid(
            format!("mounts[{index}].source"),
            format!("the checkpoint has a mount below it at {below}, and there is none"),
        )
    };
    let path = InRootPath::new(below).map_err(std::io::Error::other).or_fail(STEP, below)?;
    let found = Root::new(tree.as_fd()).open_no_follow(&path, OFlags::PATH).map_err(|_| missing())?;
    let is_root =
        rustix::fs::statx(&found, c"", rustix::fs::AtFlags::EMPTY_PATH, rustix::fs::StatxFlags::empty())
            .or_fail(STEP, below)?
            .stx_attributes
            .contains(rustix::fs::StatxAttributes::MOUNT_ROOT);
    if is_root { Ok(found) } else { Err(missing()) }
}

/// criu goes to a place by its path: a link that took a directory's place since would lead it elsewhere.
fn refuse_links(root: &OwnedFd, place: &str) -> Result<()> {
    let path = InRootPath::new(place).map_err(std::io::Error::other).or_fail(STEP, place)?;
    let mut here = root.try_clone().or_fail(STEP, place)?;
    for name in path.components() {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        here = rustix::fs::openat(&here, name, flags, Mode::empty()).or_fail(STEP, place)?;
        let mode = rustix::fs::fstat(&here).or_fail(STEP, place)?.st_mode;
        if rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::Symlink {
            return Err(Error::new(ErrorCode::HostileImage, STEP)
                .on(place)
                .because("a symbolic link has taken the place of a directory since the checkpoint"));
        }
    }
    Ok(())
}
