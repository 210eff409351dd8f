//! A group of cgroup v2 that the container shall manage itself belongs to its user (config-linux.md, "Cgroup ownership").

use nucleus_abi::Result;
use nucleus_sys::in_root::InRootPath;
use rustix::fs::{AtFlags, Uid, chownat};
use rustix::io::Errno;

use super::Made;
use crate::config::{Configuration, Content};
use crate::fault::OrFail;
use nucleus_sys::mount::MountAttrFlags;
use nucleus_sys::namespace::NamespaceSet;

/// What the kernel names in /sys/kernel/cgroup/delegate, where there is no such file.
const DELEGATED: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

/// Whose the group becomes, as an id of the host. "If and only if the cgroup filesystem is to be mounted read/write" in a
/// cgroup namespace of the container's own; without a user namespace that the document describes there is nobody to give to.
pub(crate) fn owner(configuration: &Configuration) -> Option<u32> {
    let place = InRootPath::new("/sys/fs/cgroup").ok()?;
    let is_writable = configuration.mounts.iter().any(|mount| {
        matches!(mount.content, Content::Cgroup)
            && mount.target == place
            && !mount.tree.then(mount.own).set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY)
    });
    let has_namespace = configuration.namespaces.new.contains(NamespaceSet::CGROUP);
    let users = &configuration.namespaces.ids.as_ref()?.users;
    (is_writable && has_namespace).then(|| users.to_host(configuration.process.uid)).flatten()
}

/// Gives the group's directory and the files with which it is divided to `owner`, no others: those hold its own limits.
pub(crate) fn delegate(group: &Made, owner: u32) -> Result<()> {
    let step = "give the container its cgroup";
    let listed = std::fs::read_to_string("/sys/kernel/cgroup/delegate");
    let listed = listed.as_deref().unwrap_or(DELEGATED);
    for name in std::iter::once("").chain(listed.lines()) {
        match chownat(group.directory(), name, Some(Uid::from_raw(owner)), None, AtFlags::EMPTY_PATH) {
            // "Not all files listed necessarily exist in every cgroup."
            Err(Errno::NOENT) if !name.is_empty() => {}
            result => result.or_fail(step, format!("uid {owner}: {name}"))?,
        }
    }
    Ok(())
}
