//! The way of one more process into the groups of a container that exists.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::{Mode, OFlags};

use super::Version;
use super::group::enter;
use super::layout::{Layout, version_of};
use crate::fault::OrFail;

const STEP: &str = "open the container's cgroup";

/// The open groups of a container.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// The group of cgroup v2, in which the process is born.
    unified: Option<OwnedFd>,
    /// Those of cgroup v1, which it enters by itself.
    doors: Vec<OwnedFd>,
}

impl Entrance {
    /// Opens the container's groups, or the groups `below` them, which must exist in each hierarchy.
    ///
    /// # Errors
    /// `invalid-argument` for a path that leads nowhere below; `system-call`.
    pub(crate) fn open(directories: &[PathBuf], below: Option<&Path>) -> Result<Self> {
        let mut entrance = Self { unified: None, doors: Vec::new() };
        for path in directories {
            let group = open_directory(path)?;
            let group = match below {
                Some(below) => open_below(&group, path, below)?,
                None => group,
            };
            match version_of(group.as_fd()).or_fail(STEP, path.display())? {
                Version::V1 => entrance.doors.push(door(&group, path)?),
                Version::V2 => entrance.unified = Some(group),
            }
        }
        Ok(entrance)
    }

    /// The group for the clone.
    pub(crate) fn unified(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// Puts the calling thread, which must be its process's only one, into the groups of v1.
    pub(crate) fn enter(&self) -> Result<()> {
        self.doors.iter().try_for_each(|door| enter(door.as_fd()))
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).or_fail(STEP, path.display())
}

/// `..` leads no further up than the container's own group: the group is the root for the lookup.
fn open_below(group: &OwnedFd, path: &Path, below: &Path) -> Result<OwnedFd> {
    let wrong = |cause: String| {
        Error::new(ErrorCode::InvalidArgument, "find the group for the process")
            .on(path.join(below.strip_prefix("/").unwrap_or(below)).display())
            .because(cause)
            .hint("name a group that exists below the container's own")
    };
    let place = InRootPath::new(below).map_err(|error| wrong(error.to_string()))?;
    Root::new(group.as_fd())
        .open(&place, OFlags::PATH | OFlags::DIRECTORY)
        .map_err(|error| wrong(crate::fault::explain(&error)))
}

fn door(group: &OwnedFd, path: &Path) -> Result<OwnedFd> {
    rustix::fs::openat(group, "tasks", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .or_fail("open the door of the container's cgroup", path.join("tasks").display())
}

/// The group of cgroup v2 in which a process stands. `None` where this host has no cgroup v2.
pub(crate) fn unified_of(pid: u32) -> Result<Option<OwnedFd>> {
    let file = format!("/proc/{pid}/cgroup");
    let text = fs::read_to_string(&file).or_fail("find the group of a process", &file)?;
    let Some(mount) = Layout::of_host().unified() else { return Ok(None) };
    // The line of v2 has no controllers (cgroups(7), "/proc/pid/cgroup").
    let place = text.lines().find_map(|line| line.strip_prefix("0::/"));
    place.map(|place| open_directory(&mount.join(place))).transpose()
}
