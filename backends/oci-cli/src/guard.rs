//! What a runtime may write to while it makes a container.
//!
//! Some make names in the container's root by path (runc CVE-2026-41579). Whoever exchanges names of the image meanwhile for
//! links chooses where on the host they are made, but not where nothing can be made.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nucleus_sys::mount::{self, Change, DetachedMount, MountAttrFlags, Reach};
use nucleus_sys::{Mode, OFlags};

/// What runtimes write to that lies in no directory of files: other processes' attributes, cgroups.
const OF_THE_KERNEL: [&str; 2] = ["/proc", "/sys"];

/// Makes all mounts of this process's namespace read-only, which must be private; but not the kernel's own, nor what lies in
/// the directory `kept`.
pub(crate) fn close_host(kept: &Path) -> io::Result<()> {
    let open = |path: &Path| -> io::Result<OwnedFd> {
        Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    };
    let kernels = OF_THE_KERNEL.into_iter().map(|path| (Path::new(path), Reach::Tree));
    // Clones, for of what is mounted below them some may have been read-only before.
    let open_ones = kernels.chain([(kept, Reach::Mount)]).map(|(path, reach)| {
        let directory = open(path)?;
        Ok((DetachedMount::clone_of(directory.as_fd(), reach)?, directory))
    });
    let open_ones = open_ones.collect::<io::Result<Vec<_>>>()?;
    let read_only = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() };
    mount::change(open(Path::new("/"))?.as_fd(), read_only, Reach::Tree)?;
    open_ones.into_iter().try_for_each(|(mount, place)| mount.attach(place.as_fd()).map(drop))
}
