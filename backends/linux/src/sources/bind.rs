//! One bind mount.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nucleus_abi::{Error, Result};
use nucleus_sys::mount::{Change, DetachedMount, MountAttrFlags, Reach};
use rustix::fs::FileType;

use super::Shape;
use super::changes::{self, Peers};
use super::id_mapped::IdMapper;
use crate::config::{IdSource, Mount, Source};
use crate::fault::{OrFail, explain, invalid, system, unsupported};

/// A bind mount, ready to be attached.
#[derive(Debug)]
pub(crate) struct Bind {
    pub(crate) mount: DetachedMount,
    pub(crate) shape: Shape,
}

/// What the configuration says of one.
pub(super) struct Wanted<'a> {
    pub(super) mount: &'a Mount,
    pub(super) source: &'a Path,
    pub(super) reach: Reach,
    pub(super) id_mapped: Option<&'a (IdSource, Reach)>,
    pub(super) peers: Peers,
}

/// Magic number of procfs, statfs(2).
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

impl<'a> Wanted<'a> {
    /// Makes it from what `descriptor` shows.
    pub(super) fn from(&self, descriptor: BorrowedFd<'_>, ids: &mut IdMapper<'a>) -> Result<Bind> {
        let step = "clone a mount's source";
        let stat = rustix::fs::fstat(descriptor).or_fail(step, self.source.display())?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let shown = match kind {
            FileType::CharacterDevice | FileType::BlockDevice => Source::Device,
            _ => Source::Other,
        };
        self.refuse_useless_device(shown)?;
        self.refuse_false_proc(descriptor)?;
        let clone =
            DetachedMount::clone_or_take(descriptor, self.reach).or_fail(step, self.source.display())?;
        self.map_ids(&clone, ids)?;
        for call in changes::calls(self.mount, shown, self.reach, self.peers) {
            clone.change(call.change(), call.reach).map_err(|error| self.cannot_change(&error))?;
        }
        let shape = if kind == FileType::Directory { Shape::Directory } else { Shape::File };
        Ok(Bind { mount: clone, shape })
    }

    fn field(&self, key: &str) -> String {
        format!("mounts[{}].{key}", self.mount.index)
    }

    fn refuse_useless_device(&self, shown: Source) -> Result<()> {
        let set = self.mount.tree.then(self.mount.devices.attributes(shown)).then(self.mount.own).set;
        if shown == Source::Device && set.contains(MountAttrFlags::MOUNT_ATTR_NODEV) {
            let cause = format!("{} is a device, and the mount is `nodev`", self.source.display());
            return Err(invalid(self.field("options"), cause)
                .hint("add the option `dev` to give the container this device"));
        }
        Ok(())
    }

    /// What lies on `/proc` is believed by the container's tools (CVE-2019-16884).
    fn refuse_false_proc(&self, descriptor: BorrowedFd<'_>) -> Result<()> {
        if self.mount.target.to_string() != "/proc" {
            return Ok(());
        }
        match rustix::fs::fstatfs(descriptor)
            .or_fail("look at a mount's source", self.source.display())?
            .f_type
        {
            PROC_SUPER_MAGIC => Ok(()),
            _ => Err(invalid(
                self.field("source"),
                format!("{} is no procfs, and goes to /proc", self.source.display()),
            )),
        }
    }

    fn map_ids(&self, clone: &DetachedMount, ids: &mut IdMapper<'a>) -> Result<()> {
        let Some((from, reach)) = self.id_mapped else { return Ok(()) };
        let namespace = ids.namespace(self.mount.index, from)?;
        let change = Change { id_mapped: Some(namespace.as_fd()), ..Change::default() };
        clone.change(change, *reach).map_err(|error| self.cannot_map(&error))
    }

    /// `mount_setattr(2)`: EINVAL for a file system that has no id mapping, EPERM for one that is mapped already, or that a
    /// user namespace owns in which the caller has no rights.
    fn cannot_map(&self, error: &std::io::Error) -> Error {
        let source = self.source.display();
        let cause = match error.raw_os_error() {
            Some(libc::EINVAL) => format!(
                "this kernel can't map the ids of the file system of {source}, or of one mounted below it (EINVAL)"
            ),
            Some(libc::EPERM) => format!(
                "the ids of {source} are mapped already, or its file system is not nucleus' to map (EPERM)"
            ),
            _ => format!("{source}: {}", explain(error)),
        };
        unsupported(self.field("options: idmap"), cause)
            .hint("leave the id mapping out, or move the source to a file system that has it, such as ext4, xfs, btrfs or tmpfs")
    }

    /// In a user namespace, `ro`, `nosuid`, `nodev`, `noexec` and the access time mode of the host's mounts are locked
    /// (`mount_namespaces(7)`): what is not named stays as it is, and naming the contrary is refused.
    fn cannot_change(&self, error: &std::io::Error) -> Error {
        let failed = system("set a mount's attributes", error).on(self.source.display());
        let clears = !(self.mount.own.clear | self.mount.tree.clear).is_empty();
        match error.raw_os_error() {
            Some(libc::EPERM) if clears => failed
                .because(format!("{}: the host has locked an attribute that they clear (EPERM)", self.field("options")))
                .hint("leave out those of `rw`, `suid`, `dev`, `exec` and the access time mode that contradict the host's mount"),
            _ => failed,
        }
    }
}
