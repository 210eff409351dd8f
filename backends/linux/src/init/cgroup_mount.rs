//! `/sys/fs/cgroup`: the container's own groups and nobody else's, whatever the options say (CVE-2023-25809). Without `ro`
//! the container can write to its own group, where no `release_agent` lies (CVE-2022-0492; cgroups(7): only in the root of
//! a hierarchy).

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nucleus_abi::Result;
use nucleus_sys::Mode;
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::mount::{self, Change, DetachedMount, MountAttrFlags, Propagation, Reach};
use nucleus_sys::namespace::NamespaceSet;

use super::mounts;
use super::own::Site;
use crate::cgroups::{Group, Version};
use crate::config::{Configuration, Datum, FileSystem, Mount};
use crate::fault::OrFail;

/// What it is in any case; read-only too if the mount says so.
const ATTRIBUTES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

pub(super) fn mount(
    root: Root<'_>,
    mount: &Mount,
    configuration: &Configuration,
    groups: &[Group],
) -> Result<()> {
    let attributes = ATTRIBUTES | mount.tree.then(mount.own).set;
    let place = mounts::directory(&Site::new(root, &mount.target))?;
    let has_namespace = configuration.namespaces.new.contains(NamespaceSet::CGROUP);
    match groups {
        [only] if only.version() == Version::V2 && has_namespace => {
            let unified = FileSystem::new("cgroup2", "cgroup", Vec::new());
            mounts::attach(mounts::make(&unified, attributes, &mount.target)?, &place, &mount.target)
        }
        [only] if only.version() == Version::V2 => {
            mounts::attach(subtree(only, attributes)?, &place, &mount.target)
        }
        groups => hierarchies(groups, attributes, &place, &mount.target),
    }
}

/// v1: one directory for each hierarchy in which the container has a group; the others would show the host's.
fn hierarchies(
    groups: &[Group],
    attributes: MountAttrFlags,
    place: &OwnedFd,
    target: &InRootPath,
) -> Result<()> {
    let step = "show a cgroup";
    let tmpfs = FileSystem::new("tmpfs", "cgroup", vec![Datum::new("mode", "755")]);
    let writable = attributes.difference(MountAttrFlags::MOUNT_ATTR_RDONLY);
    let top =
        mounts::make(&tmpfs, writable, target)?.attach(place.as_fd()).or_fail("attach a mount", target)?;
    for group in groups {
        let Some(name) = group.hierarchy_name() else { continue };
        let path = InRootPath::new(name).map_err(std::io::Error::other).or_fail(step, target)?;
        let place = Root::new(top.as_fd()).mkdir_all(&path, Mode::from(0o755)).or_fail(step, target)?;
        mounts::attach(subtree(group, attributes)?, &place, target)?;
        // `cpu,cpuacct` is looked for by either name, as on the host.
        for alias in name.split(',').filter(|alias| *alias != name) {
            rustix::fs::symlinkat(name, &top, alias).or_fail(step, target)?;
        }
    }
    let all = Change { set: attributes, ..Change::default() };
    mount::change(top.as_fd(), all, Reach::Mount).or_fail("set a mount's attributes", target)
}

/// The container's group in one hierarchy, as [`mount`] shows it.
pub(crate) fn group(mount: &Mount, group: &Group) -> Result<DetachedMount> {
    subtree(group, ATTRIBUTES | mount.tree.then(mount.own).set)
}

/// A clone of the group's directory, found by its path on the host: the host's mounts are still there, below.
fn subtree(group: &Group, attributes: MountAttrFlags) -> Result<DetachedMount> {
    let step = "show the container its cgroup";
    let subject = group.directory().display();
    let path = CString::new(group.directory().as_os_str().as_bytes()).unwrap_or_default();
    let clone = DetachedMount::clone_at(rustix::fs::CWD, &path, Reach::Mount).or_fail(step, &subject)?;
    let change = Change { set: attributes, propagation: Some(Propagation::Private), ..Change::default() };
    clone.change(change, Reach::Mount).or_fail(step, &subject)?;
    Ok(clone)
}
