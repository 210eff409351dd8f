//! The directories that a root file system is made of, opened once, and laid over each other.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::Mode;
use nucleus_sys::calls;
use nucleus_sys::overlay::{self, Memory};
use rustix::fs::{AtFlags, Gid, Stat, StatxFlags, Uid, chownat, fstat, statx};
use rustix::io::Errno;

use crate::plan::{Access, Decided, OverlayPlan, UpperPlan};

/// The layers of a root file system, opened.
#[derive(Debug)]
pub(super) struct Layers {
    /// Those that are only read, the topmost first; one at least.
    lower: Vec<OwnedFd>,
    upper: Upper,
}

/// What takes what is written.
#[derive(Debug)]
enum Upper {
    None,
    Memory { size: u64 },
    Directory { upper: OwnedFd, work: OwnedFd },
}

impl Layers {
    /// A single directory.
    pub(super) fn of_directory(image: OwnedFd) -> Self {
        Self { lower: vec![image], upper: Upper::None }
    }

    /// Opens the directories of an overlay. One that is not written to has no upper layer: its directory is only read.
    ///
    /// # Errors
    /// `host-unfit`, naming the layer: it cannot be opened, lies in another, or cannot be what it shall be.
    pub(super) fn open(
        plan: &Decided<OverlayPlan>,
        access: Access,
        open: &dyn Fn(&Path) -> Result<OwnedFd>,
    ) -> Result<Self> {
        let opened = |path: &PathBuf| Ok((path.clone(), layer(path, plan, open)?));
        let mut lower = plan.value.lower.iter().map(opened).collect::<Result<Vec<_>>>()?;
        let upper = match (&plan.value.upper, access) {
            (None, _) | (Some(UpperPlan::Memory { .. }), Access::ReadOnly) => Upper::None,
            (Some(UpperPlan::Memory { size }), Access::ReadWrite) => Upper::Memory { size: *size },
            (Some(UpperPlan::Directory { path, .. }), Access::ReadOnly) => {
                lower.insert(0, opened(path)?);
                Upper::None
            }
            (Some(UpperPlan::Directory { path, work }), Access::ReadWrite) => {
                let written = [opened(path)?, opened(work)?];
                refuse_overlap(lower.iter().chain(&written), plan)?;
                let [(_, upper), (_, below)] = written;
                refuse_strange_work(&upper, &below, work, plan)?;
                Upper::Directory { upper, work: below }
            }
        };
        refuse_overlap(lower.iter(), plan)?;
        Ok(Self { lower: lower.into_iter().map(|(_, layer)| layer).collect(), upper })
    }

    /// The lowest of them: of a single directory, that one.
    pub(super) fn lowest(&self) -> BorrowedFd<'_> {
        self.lower[self.lower.len() - 1].as_fd()
    }

    /// All of them, the topmost first, without what does not exist yet.
    pub(super) fn all(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let upper = match &self.upper {
            Upper::Directory { upper, .. } => Some(upper.as_fd()),
            Upper::None | Upper::Memory { .. } => None,
        };
        upper.into_iter().chain(self.lower.iter().map(AsFd::as_fd))
    }

    /// Whether mount points that lack can be made by whoever needs them, in a layer that goes with the container.
    pub(super) fn takes_mount_points(&self) -> bool {
        matches!(self.upper, Upper::Memory { .. })
    }

    /// What there is to see, with nothing that could be written: for looking what lacks.
    pub(super) fn seen(&self) -> Result<OwnedFd> {
        let layers: Vec<_> = self.all().collect();
        match layers.as_slice() {
            [only] => only.try_clone_to_owned().map_err(|error| cannot(&error)),
            several => laid(several, &overlay::Upper::None),
        }
    }

    /// The root file system, with what lacks in it `provided`.
    pub(super) fn root(&self, provided: Option<BorrowedFd<'_>>) -> Result<OwnedFd> {
        let lower = self.lower.iter().map(AsFd::as_fd);
        match &self.upper {
            Upper::None => {
                let layers: Vec<_> = provided.into_iter().chain(lower).collect();
                match layers.as_slice() {
                    [only] => only.try_clone_to_owned().map_err(|error| cannot(&error)),
                    several => laid(several, &overlay::Upper::None),
                }
            }
            Upper::Memory { size } => {
                let layers: Vec<_> = provided.into_iter().chain(lower).collect();
                let memory = memory(*size, layers[0])?;
                laid(&layers, &overlay::Upper::Memory(&memory))
            }
            // The kernel remembers in the upper layer what lay right below it, so the one that is new each time comes last.
            Upper::Directory { upper, work } => {
                let layers: Vec<_> = lower.chain(provided).collect();
                laid(&layers, &overlay::Upper::Directory { upper: upper.as_fd(), work: work.as_fd() })
            }
        }
    }
}

fn layer(
    path: &Path,
    plan: &Decided<OverlayPlan>,
    open: &dyn Fn(&Path) -> Result<OwnedFd>,
) -> Result<OwnedFd> {
    open(path).map_err(|error| match error.code {
        ErrorCode::HostUnfit => unfit(path, plan, error.cause.unwrap_or_default())
            .hint("a layer is a directory; make it, or correct the profile"),
        _ => error,
    })
}

/// Its root looks like the one that it lies on.
fn memory(size: u64, model: BorrowedFd<'_>) -> Result<Memory> {
    let make = || {
        let Stat { st_mode, st_uid, st_gid, .. } = fstat(model)?;
        let memory = Memory::new(size, Mode::from_raw_mode(st_mode & 0o7777))?;
        let owner = (Some(Uid::from_raw(st_uid)), Some(Gid::from_raw(st_gid)));
        chownat(memory.upper(), c"", owner.0, owner.1, AtFlags::EMPTY_PATH)?;
        Ok(memory)
    };
    make().map_err(|error: io::Error| cannot(&error))
}

/// The kernel moves what it prepared from one to the other, and prepares it in an empty directory.
fn refuse_strange_work(
    upper: &OwnedFd,
    work: &OwnedFd,
    path: &Path,
    plan: &Decided<OverlayPlan>,
) -> Result<()> {
    let mount = |directory: &OwnedFd| -> io::Result<(u32, u32, u64)> {
        let found = statx(directory, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
        let found = found.map_err(|errno| calls::named(errno.into()))?;
        Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_mnt_id))
    };
    let same = || Ok(mount(upper)? == mount(work)?);
    if !same().map_err(|error: io::Error| unfit(path, plan, error))? {
        return Err(unfit(path, plan, "it does not lie on the same mount as the upper directory")
            .hint("put `work` beside `upper`"));
    }
    let link = format!("/proc/self/fd/{}", work.as_raw_fd());
    let entries = fs::read_dir(link).map_err(|error| unfit(path, plan, error))?;
    // What the kernel itself leaves there.
    let foreign = |name: &std::ffi::OsString| name != "work" && name != "index";
    match entries.flatten().map(|entry| entry.file_name()).find(foreign) {
        None => Ok(()),
        Some(name) => Err(unfit(path, plan, format!("it is not empty: it holds {}", name.display()))
            .hint("`work` is for the kernel alone: name an empty directory")),
    }
}

/// Layers inside each other: what is written to one would appear in another, which the kernel must not see change.
fn refuse_overlap<'a>(
    layers: impl Iterator<Item = &'a (PathBuf, OwnedFd)>,
    plan: &Decided<OverlayPlan>,
) -> Result<()> {
    let real = |(path, layer): &'a (PathBuf, OwnedFd)| {
        let real = fs::read_link(format!("/proc/self/fd/{}", layer.as_raw_fd()));
        real.map(|real| (path, real)).map_err(|error| unfit(path, plan, error))
    };
    let layers = layers.map(real).collect::<Result<Vec<_>>>()?;
    for (index, (path, real)) in layers.iter().enumerate() {
        let around = layers.iter().enumerate().find(|(other, (_, outer))| {
            *other != index && real.starts_with(outer) && (real != outer || *other < index)
        });
        if let Some((_, (outer, _))) = around {
            let cause = if outer == path {
                "it is named twice".to_owned()
            } else {
                format!("it lies in another layer, {}", outer.display())
            };
            return Err(unfit(path, plan, cause).hint("give each layer a directory of its own"));
        }
    }
    Ok(())
}

fn laid(layers: &[BorrowedFd<'_>], upper: &overlay::Upper<'_>) -> Result<OwnedFd> {
    let made = overlay::mount(layers, upper).and_then(|mount| mount.as_fd().try_clone_to_owned());
    made.map_err(|error| cannot(&error))
}

fn cannot(error: &io::Error) -> Error {
    let failed = Error::new(ErrorCode::HostUnfit, "lay the layers of the root file system over each other");
    if let Some(call) = calls::behind(error) {
        return failed.because(call);
    }
    match Errno::from_io_error(error) {
        Some(Errno::NODEV) => failed
            .because("the kernel has no overlayfs (ENODEV)")
            .hint("load its module `overlay`, or use a plain directory as `rootfs.path`, with the mount points in it"),
        Some(Errno::BUSY) => failed
            .because("another container has the upper or the work directory (EBUSY)")
            .hint("give each container an `upper` and a `work` of its own, or `upper: tmpfs`"),
        Some(Errno::STALE) => failed
            .because("what is in the upper directory belongs to other lower layers than these (ESTALE)")
            .hint("name the layers that it was used with, or begin with an empty `upper` and `work`"),
        Some(Errno::LOOP) => failed.because("one layer lies in another (ELOOP)"),
        Some(Errno::INVAL) => failed
            .because("the kernel takes one of the directories for no layer (EINVAL)")
            .hint("an upper layer must be on a local file system with extended attributes, such as ext4, xfs, btrfs or tmpfs; no more than one overlay can lie below another"),
        _ => failed.because(error),
    }
}

fn unfit(path: &Path, plan: &Decided<OverlayPlan>, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::HostUnfit, "open a layer of the root file system")
        .on(format!("{} ({})", path.display(), plan.origin))
        .because(cause)
}
