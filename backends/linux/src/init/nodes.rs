//! `linux.devices`: nodes that the container has beyond the standard ones.
//!
//! The root file system is `nodev`, and our `/dev` too unless device rules grant more than the usual, so that what the image
//! brings or the workload makes is no device. A node is made in our `/dev`, where the image has no say, and shown at its path by a mount of its own, the only
//! one on which it is a device. Where the kernel lets nobody make nodes, as in a user namespace, the host's own is shown.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::device::Special;
use nucleus_sys::in_root::Root;
use nucleus_sys::mount::{Change, DetachedMount, MountAttrFlags, Reach};
use nucleus_sys::{Mode, OFlags};
use rustix::fs::{AtFlags, Gid, StatVfsMountFlags, Uid};

use super::{devices, mounts};
use crate::config::Node;
use crate::fault::{OrFail, explain, invalid, system};

const STEP: &str = "make a device node";
/// Where a node that belongs elsewhere is made; it is gone before the workload starts.
const PASSING: &CStr = c".nucleus-node";
/// `ptmx` shows the devpts that it lies on, or beside: the container's own is there already.
const PTMX: Special = Special::Char(5, 2);

/// Adds them, in order.
pub(super) fn add(root: Root<'_>, nodes: &[Node]) -> Result<()> {
    let dev = devices::open(root).or_fail(STEP, "/dev")?;
    nodes.iter().try_for_each(|node| if is_there(root, node)? { Ok(()) } else { show(root, &dev, node) })
}

/// For a container whose `/dev` is the host's, to which nothing is added: the nodes must be there.
pub(super) fn check(root: Root<'_>, nodes: &[Node]) -> Result<()> {
    nodes.iter().try_for_each(|node| match root.open(&node.path, OFlags::PATH) {
        Ok(found) if is(node, &found)? => Ok(()),
        _ => Err(invalid(format!("linux.devices[{}].path", node.index), format!("there is no such device at {}", node.path))
            .hint("`mounts` puts a directory of the host at /dev, to which nothing is added: leave that out, or add the device there")),
    })
}

fn is(node: &Node, found: &OwnedFd) -> Result<bool> {
    Ok(Special::of(found.as_fd()).or_fail(STEP, &node.path)? == Some(node.special))
}

/// Whether the node is there and usable, as asked for. "If a file already exists at `path` that does not match the
/// requested device, the runtime MUST generate an error" (config-linux.md, "Devices").
fn is_there(root: Root<'_>, node: &Node) -> Result<bool> {
    let found = match root.open(&node.path, OFlags::PATH) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(false),
        result => result.or_fail(STEP, &node.path)?,
    };
    if !is(node, &found)? {
        let cause = format!("{} is there already, and is something else", node.path);
        return Err(invalid(format!("linux.devices[{}].path", node.index), cause));
    }
    let stat = rustix::fs::fstat(&found).or_fail(STEP, &node.path)?;
    let as_asked = (stat.st_mode & 0o7777, (stat.st_uid, stat.st_gid)) == (node.mode, node.owner);
    Ok((as_asked || node.special == PTMX) && is_usable(&found, node)?)
}

fn show(root: Root<'_>, dev: &OwnedFd, node: &Node) -> Result<()> {
    let (parent, name) = root.parent(&node.path).or_fail(STEP, &node.path)?;
    let in_dev = device(&parent)? == device(dev)? && !exists(&parent, name);
    let (directory, name) = if in_dev { (&parent, name) } else { (dev, PASSING) };
    match made(directory, name, node) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => attach(root, hosts(node)?, node),
        Err(error) => Err(not_made(node, &error)),
        Ok(()) if in_dev && is_usable(directory, node)? => Ok(()),
        Ok(()) => {
            attach(root, as_device(directory, name, node)?, node)?;
            if in_dev {
                return Ok(());
            }
            // Only now: what is unlinked can't be attached any more.
            rustix::fs::unlinkat(dev, PASSING, AtFlags::empty()).or_fail(STEP, &node.path)
        }
    }
}

fn attach(root: Root<'_>, mount: DetachedMount, node: &Node) -> Result<()> {
    let place = root.create_file(&node.path, Mode::from(0o666));
    mounts::attach(mount, &place.or_fail("make the place for a device", &node.path)?, &node.path)
}

/// Whether nodes on its mount are devices.
fn is_usable(file: &OwnedFd, node: &Node) -> Result<bool> {
    let mount = rustix::fs::fstatvfs(file).or_fail(STEP, &node.path)?;
    Ok(!mount.f_flag.contains(StatVfsMountFlags::NODEV))
}

fn device(file: &OwnedFd) -> Result<u64> {
    Ok(rustix::fs::fstat(file).or_fail(STEP, "/dev")?.st_dev)
}

fn exists(directory: &OwnedFd, name: &CStr) -> bool {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

fn made(directory: &OwnedFd, name: &CStr, node: &Node) -> std::io::Result<()> {
    node.special.make(directory.as_fd(), name, Mode::from(0o600))?;
    let (user, group) = node.owner;
    let owner = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
    rustix::fs::chownat(directory, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(rustix::fs::chmodat(directory, name, Mode::from_raw_mode(node.mode), AtFlags::empty())?)
}

fn not_made(node: &Node, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EINVAL) => invalid(
            format!("linux.devices[{}]", node.index),
            format!("the user namespace does not map its owner, {}:{} (EINVAL)", node.owner.0, node.owner.1),
        ),
        _ => system(STEP, error).on(&node.path),
    }
}

/// A mount of the node alone, with the attributes of `/dev` but `nodev`.
fn as_device(directory: &OwnedFd, name: &CStr, node: &Node) -> Result<DetachedMount> {
    let mount = DetachedMount::clone_at(directory.as_fd(), name, Reach::Mount).or_fail(STEP, &node.path)?;
    let usable = Change { clear: MountAttrFlags::MOUNT_ATTR_NODEV, ..Change::default() };
    mount.change(usable, Reach::Mount).or_fail(STEP, &node.path)?;
    Ok(mount)
}

/// The host's node under the same path, verified; read-only, so that mode and owner of the host's stay as they are.
fn hosts(node: &Node) -> Result<DetachedMount> {
    let step = "take over a device node";
    let unfit = |cause: String| {
        Error::new(ErrorCode::HostUnfit, step).on(format!("{} of the host", node.path)).because(cause)
    };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::open(node.path.to_string(), flags, Mode::empty()).map_err(|errno| {
        unfit(format!("no node can be made here, and the host's: {}", explain(&errno.into())))
    })?;
    if !is(node, &found)? {
        return Err(unfit(format!(
            "no node can be made here, and the host's is not the {:?} that `linux.devices` names",
            node.special
        )));
    }
    let clone = DetachedMount::clone_of(found.as_fd(), Reach::Mount).or_fail(step, &node.path)?;
    devices::keep(&clone).or_fail(step, &node.path)?;
    Ok(clone)
}
