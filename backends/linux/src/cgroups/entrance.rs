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

/// The group of cgroup v2 in which a process stands.
///
/// # Errors
/// `host-unfit` where it can't be seen from here; `system-call`.
pub(crate) fn unified_of(pid: u32) -> Result<OwnedFd> {
    let file = format!("/proc/{pid}/cgroup");
    let text = fs::read_to_string(&file).or_fail("find the group of a process", &file)?;
    let place = unified_place(&text).zip(Layout::of_host().unified());
    let (place, mount) = place.ok_or_else(|| {
        Error::new(ErrorCode::HostUnfit, "find the group of a process")
            .on(&file)
            .because("its group of cgroup v2 lies outside of what nucleus sees")
    })?;
    open_directory(&mount.join(place))
}

/// The line of v2 has no controllers; a group outside of our cgroup namespace begins with `/..` (cgroups(7),
/// `cgroup_namespaces(7)`).
fn unified_place(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::/")).filter(|place| !place.starts_with(".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_v2_tells_the_place() {
        assert_eq!(unified_place("4:pids:/a\n0::/web/init.scope\n"), Some("web/init.scope"));
        assert_eq!(unified_place("0::/\n"), Some(""));
        assert_eq!(unified_place("0::/../other\n"), None);
        assert_eq!(unified_place("4:pids:/a\n"), None);
    }
}
