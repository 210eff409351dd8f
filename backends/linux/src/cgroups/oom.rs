//! Descriptors that become readable when a group runs out of memory, or goes.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nucleus_abi::Result;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::fault::OrFail;

/// Watches the first of the groups that counts memory; `None` if none does.
///
/// # Errors
/// What the kernel reports.
pub(crate) fn watch_memory(directories: &[PathBuf]) -> Result<Option<OwnedFd>> {
    let having = |file: &str| directories.iter().find(|directory| directory.join(file).exists());
    let watch = match (having("memory.oom_control"), having("memory.events")) {
        (Some(directory), _) => (watch_v1(directory), directory),
        (None, Some(directory)) => (watch_v2(directory), directory),
        (None, None) => return Ok(None),
    };
    watch.0.or_fail("watch for the out-of-memory killer", watch.1.display()).map(Some)
}

/// The kernel takes hold of the eventfd, and signals it too when the group is removed (cgroup-v1/cgroups.rst, "Notification
/// API"; memory.rst, "OOM Control").
fn watch_v1(directory: &Path) -> io::Result<OwnedFd> {
    let event = eventfd(0, EventfdFlags::CLOEXEC)?;
    let control = File::open(directory.join("memory.oom_control"))?;
    let registration = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    fs::write(directory.join("cgroup.event_control"), registration)?;
    Ok(event)
}

/// Files of v2 tell of their change as modified files do (cgroup-v2.rst, "Core Interface Files"). The removal of a group
/// tells nobody on most kernels; but before, `cgroup.events` says that its last process has gone.
fn watch_v2(directory: &Path) -> io::Result<OwnedFd> {
    let watch = inotify::init(CreateFlags::CLOEXEC)?;
    for file in ["memory.events", "cgroup.events"] {
        inotify::add_watch(&watch, directory.join(file), WatchFlags::MODIFY | WatchFlags::DELETE_SELF)?;
    }
    Ok(watch)
}
