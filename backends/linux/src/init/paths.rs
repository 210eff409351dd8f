//! Masked and read-only paths.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::Result;
use nucleus_sys::OFlags;
use nucleus_sys::in_root::InRootPath;
use nucleus_sys::mount::{Change, DetachedMount, FsContext, MountAttrFlags, Reach};

use super::devices;
use super::own::Site;
use crate::fault::OrFail;
use crate::sources::{Shape, shape};

/// One mount that is attached at several places: the first time itself, then clones of it.
#[derive(Default)]
struct Stamp(Option<OwnedFd>);

impl Stamp {
    fn attach(
        &mut self,
        place: BorrowedFd<'_>,
        make: impl FnOnce() -> Result<DetachedMount>,
        path: &InRootPath,
    ) -> Result<()> {
        let step = "mask a path";
        let mount = match &self.0 {
            Some(attached) => DetachedMount::clone_of(attached.as_fd(), Reach::Mount).or_fail(step, path)?,
            None => make()?,
        };
        self.0 = Some(mount.attach(place).or_fail(step, path)?);
        Ok(())
    }
}

/// What files are masked with: a verified `/dev/null` (CVE-2025-31133), the container's own where it has one.
pub(super) struct Null(Stamp);

impl Null {
    pub(super) fn new(attached: Option<&OwnedFd>) -> Self {
        Self(Stamp(attached.and_then(|fd| fd.try_clone().ok())))
    }
}

/// Hides each path that exists: a file behind `/dev/null`, a directory behind an empty read-only tmpfs.
pub(super) fn mask<'p>(
    site: impl Fn(&'p InRootPath) -> Site<'p>,
    paths: &'p [InRootPath],
    null: &mut Null,
) -> Result<()> {
    let mut empty = Stamp::default();
    for path in paths {
        let Some(place) = open(&site(path), "mask a path")? else { continue };
        match shape(place.as_fd())? {
            Shape::File => null.0.attach(place.as_fd(), devices::clone_null, path)?,
            Shape::Directory => empty.attach(place.as_fd(), empty_directory, path)?,
        }
    }
    Ok(())
}

fn empty_directory() -> Result<DetachedMount> {
    let step = "make an empty directory to mask with";
    let context = FsContext::open("tmpfs").or_fail(step, "tmpfs")?;
    context.set("mode", "755").and_then(|context| context.set("nr_inodes", "1")).or_fail(step, "tmpfs")?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    context.mount(attributes).or_fail(step, "tmpfs")
}

/// Covers each path that exists by a read-only clone of itself and all that is mounted below.
pub(super) fn make_readonly<'p>(
    site: impl Fn(&'p InRootPath) -> Site<'p>,
    paths: &'p [InRootPath],
) -> Result<()> {
    let step = "make a path read-only";
    for path in paths {
        let Some(place) = open(&site(path), step)? else { continue };
        let clone = DetachedMount::clone_of(place.as_fd(), Reach::Tree).or_fail(step, path)?;
        let read_only = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() };
        clone.change(read_only, Reach::Tree).or_fail(step, path)?;
        clone.attach(place.as_fd()).or_fail(step, path)?;
    }
    Ok(())
}

/// `None` for a path that this kernel or image does not have.
fn open(site: &Site<'_>, step: &'static str) -> Result<Option<OwnedFd>> {
    match site.root.open(&site.path, OFlags::PATH) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        result => result.or_fail(step, site.target).map(Some),
    }
}
