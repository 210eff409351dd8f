//! The root file system and what is mounted into it.

use std::path::{Path, PathBuf};

use super::Resolver;
use super::namespaces::maps_of;
use crate::plan::decided::Decided;
use crate::plan::host::RuntimeEntry;
use crate::plan::types::{
    Access, Execution, OverlayPlan, RootfsPlan, Submounts, TmpfsPlan, UpperPlan, VolumeIds, VolumePlan,
};
use crate::profile::values::{ByteSize, Id, UpperLayer};
use crate::profile::{
    self, DirectoryRootfs, IdMap, Origin, OverlayRootfs, Rootfs, RootfsSource, Tmpfs, Volume,
};

/// Size of `/dev/shm` unless the profile says otherwise: Docker's 64 MiB.
const SHM: u64 = 64 << 20;

/// Size of a tmpfs unless the profile says otherwise. The kernel's own default is half of the host's memory.
const TMPFS: u64 = 64 << 20;

/// Size of an overlay's upper tmpfs unless the profile says otherwise.
const UPPER: u64 = 64 << 20;

/// Mode of a tmpfs unless the profile says otherwise: everybody's, as `/tmp` is.
const TMPFS_MODE: u32 = 0o1777;

/// Places that the runtime fills itself. What lies below `/dev` is its own too, but for `/dev/shm` by `mounts.shm`.
const OWN: [&str; 4] = ["/", "/dev", "/proc", "/sys"];

/// Whether a place is one that the runtime fills itself.
pub(crate) fn belongs_to_runtime(target: &Path) -> bool {
    target == Path::new(OWN[0]) || OWN[1..].iter().any(|own| target.starts_with(own))
}

impl Resolver<'_> {
    pub(super) fn rootfs(&self) -> Decided<RootfsPlan> {
        if self.profile.namespaces.mount.is_some() {
            return self.decided("/namespaces/mount/path", RootfsPlan::Joined);
        }
        let plan = match self.profile.rootfs.source() {
            RootfsSource::HostRuntime => RootfsPlan::HostRuntime { entries: self.facts.runtime.clone() },
            RootfsSource::Directory(path) => RootfsPlan::Directory(path.as_path().to_owned()),
            RootfsSource::Overlay(overlay) => RootfsPlan::Overlay(overlay_plan(overlay)),
        };
        self.decided("/rootfs", plan)
    }

    pub(super) fn rootfs_access(&self) -> Decided<Access> {
        if self.profile.namespaces.mount.is_some() {
            return self.decided("/namespaces/mount/path", Access::ReadWrite);
        }
        match &self.profile.rootfs {
            Rootfs::HostRuntime(_) => self.decided("/rootfs", Access::ReadOnly),
            Rootfs::Directory(DirectoryRootfs { readonly: Some(false), .. }) => {
                self.decided("/rootfs/readonly", Access::ReadWrite)
            }
            Rootfs::Directory(DirectoryRootfs { readonly: None, overlay: Some(overlay), .. })
                if overlay.upper.is_some() =>
            {
                self.decided("/rootfs/overlay/upper", Access::ReadWrite)
            }
            Rootfs::Directory(_) => self.decided("/rootfs/readonly", Access::ReadOnly),
        }
    }

    pub(super) fn shm(&self) -> Decided<u64> {
        match self.profile.mounts.shm {
            Some(size) => self.decided("/mounts/shm", size.bytes()),
            None => Decided::new(SHM, Origin::BuiltIn("default")),
        }
    }

    pub(super) fn volumes(&mut self) -> Vec<Decided<VolumePlan>> {
        let mut volumes = Vec::new();
        for (index, volume) in self.profile.mounts.volumes.iter().enumerate() {
            let pointer = format!("/mounts/volumes/{index}");
            self.refuse_taken_place(&pointer, volume.target.as_path());
            self.refuse_ids_of_nobody(&pointer, volume);
            volumes.push(self.decided(&pointer, volume_plan(volume)));
        }
        volumes.sort_by_key(|volume| depth(&volume.value.target));
        volumes
    }

    pub(super) fn tmpfs(&mut self) -> Vec<Decided<TmpfsPlan>> {
        let mut mounts = Vec::new();
        for (index, tmpfs) in self.profile.mounts.tmpfs.iter().enumerate() {
            let pointer = format!("/mounts/tmpfs/{index}");
            self.refuse_taken_place(&pointer, tmpfs.target.as_path());
            mounts.push(self.decided(&pointer, tmpfs_plan(tmpfs)));
        }
        mounts.sort_by_key(|tmpfs| depth(&tmpfs.value.target));
        mounts
    }

    /// Something mounted over `/proc` would lie to whoever checks it (CVE-2019-16884); over `/` it would be the root; over
    /// what `host-runtime` shows it would silently take that away.
    pub(super) fn refuse_taken_place(&mut self, pointer: &str, target: &Path) {
        if belongs_to_runtime(target) {
            self.mistake(
                &format!("{pointer}/target"),
                format!("{} belongs to the runtime", target.display()),
                "choose a target outside of /dev, /proc and /sys; the size of /dev/shm is `mounts.shm`",
            );
        } else if self.facts.runtime.iter().any(|RuntimeEntry { path, .. }| path == target) {
            let rootfs = self.loaded.origins.of("/rootfs");
            self.mistake(
                &format!("{pointer}/target"),
                format!(
                    "{} is taken by the host's own, which `rootfs: host-runtime` ({rootfs}) shows there",
                    target.display()
                ),
                "choose another target, or a root file system of your own as `rootfs.path`",
            );
        }
    }

    fn refuse_ids_of_nobody(&mut self, pointer: &str, volume: &Volume) {
        if volume.idmap == IdMap::Container(true) && self.profile.namespaces.user.is_none() {
            self.mistake(
                &format!("{pointer}/idmap"),
                "there is no user namespace whose ids could be used",
                "add `namespaces.user`, or give the volume maps of its own: `idmap: {uidMap: …, gidMap: …}`",
            );
        }
    }
}

fn overlay_plan(overlay: &OverlayRootfs) -> OverlayPlan {
    let upper = overlay.upper.as_ref().map(|upper| match upper {
        UpperLayer::Tmpfs => UpperPlan::Memory { size: overlay.size.map_or(UPPER, ByteSize::bytes) },
        UpperLayer::Directory(path) => UpperPlan::Directory {
            path: path.as_path().to_owned(),
            // That there is one the profile's own rules have seen to.
            work: overlay.work.as_ref().map_or_else(PathBuf::new, |work| work.as_path().to_owned()),
        },
    });
    OverlayPlan { lower: overlay.lower.iter().map(|path| path.as_path().to_owned()).collect(), upper }
}

fn depth(path: &Path) -> usize {
    path.components().count()
}

pub(super) fn execution(allowed: bool) -> Execution {
    if allowed { Execution::Allowed } else { Execution::Denied }
}

fn volume_plan(volume: &Volume) -> VolumePlan {
    VolumePlan {
        source: volume.source.as_path().to_owned(),
        target: volume.target.as_path().to_owned(),
        access: match volume.mode {
            profile::Access::ReadOnly => Access::ReadOnly,
            profile::Access::ReadWrite => Access::ReadWrite,
        },
        execution: execution(volume.exec),
        submounts: if volume.recursive { Submounts::Included } else { Submounts::LeftOut },
        id_map: match &volume.idmap {
            IdMap::Container(false) => None,
            IdMap::Container(true) => Some(VolumeIds::Container),
            IdMap::Maps(maps) => Some(VolumeIds::Maps(maps_of(maps))),
        },
    }
}

fn tmpfs_plan(tmpfs: &Tmpfs) -> TmpfsPlan {
    TmpfsPlan {
        target: tmpfs.target.as_path().to_owned(),
        size: tmpfs.size.map_or(TMPFS, ByteSize::bytes),
        mode: tmpfs.mode.map_or(TMPFS_MODE, crate::profile::values::FileMode::bits),
        uid: tmpfs.uid.map(Id::as_u32),
        gid: tmpfs.gid.map(Id::as_u32),
        inodes: tmpfs.inodes.and_then(|inodes| u64::try_from(inodes.get()).ok()),
        execution: execution(tmpfs.exec),
    }
}
