//! The way of one more process into the groups of a container that exists.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, ExecRequest, Result};
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::{Mode, OFlags};

use super::Version;
use super::group::enter;
use super::layout::{Layout, STANDARD, version_of};
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

/// Which groups below the container's own are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Below<'a> {
    everywhere: Option<&'a Path>,
    /// By the name of a controller of cgroup v1, or `name=` and that of a hierarchy without any.
    single: &'a BTreeMap<String, PathBuf>,
}

impl<'a> Below<'a> {
    pub(crate) fn of(request: &'a ExecRequest) -> Self {
        Self { everywhere: request.cgroup.as_deref(), single: &request.cgroups }
    }

    /// The one that is meant where the container's group is `directory`.
    fn at(self, directory: &Path) -> Option<&'a Path> {
        let single = self.single.iter().find(|(name, _)| is_in(directory, name));
        single.map(|(_, path)| path.as_path()).or(self.everywhere)
    }

    /// Controllers can share a hierarchy, in which a process has one group.
    ///
    /// # Errors
    /// `invalid-argument`, naming two paths for one hierarchy.
    fn refuse_contradiction(self, directories: &[PathBuf]) -> Result<()> {
        let two = directories.iter().find_map(|directory| {
            let mut here = self.single.iter().filter(|(name, _)| is_in(directory, name));
            let first = here.next()?;
            Some((first, here.find(|other| other.1 != first.1)?))
        });
        let Some((one, other)) = two else { return Ok(()) };
        let written = |(name, path): (&String, &PathBuf)| format!("{name}:{}", path.display());
        Err(Error::new(ErrorCode::InvalidArgument, "find the group for the process")
            .on(format!("{} and {}", written(one), written(other)))
            .because("both controllers are in one hierarchy, and a process has one group in each")
            .hint("give both the same path, or name one of them"))
    }

    /// # Errors
    /// `invalid-argument`, naming a controller in whose hierarchy the container has no group.
    fn refuse_unknown(self, directories: &[PathBuf]) -> Result<()> {
        let unknown = |name: &&String| !directories.iter().any(|directory| is_in(directory, name));
        match self.single.keys().find(unknown) {
            None => Ok(()),
            Some(name) => Err(Error::new(ErrorCode::InvalidArgument, "find the group for the process")
                .on(format!("{name}:{}", self.single[name].display()))
                .because("the container has no group in a hierarchy of cgroup v1 with this controller")
                .hint("leave the controller out: the path then holds for all of them")),
        }
    }
}

/// Those of cgroup v1 (cgroups(7)): no hierarchy without controllers is mounted under one of their names.
const CONTROLLERS: [&str; 14] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];

/// Whether a group lies in the hierarchy of a controller of cgroup v1, which is mounted under the names of its controllers; one
/// without any under its own name, which is written `name=` and the name (cgroups(7)).
fn is_in(directory: &Path, controller: &str) -> bool {
    let below = directory.strip_prefix(STANDARD).ok();
    let mount = below.and_then(|below| below.components().next()?.as_os_str().to_str());
    mount.is_some_and(|mount| match controller.strip_prefix("name=") {
        Some(name) => mount == name && !CONTROLLERS.contains(&mount),
        None => mount.split(',').any(|own| own == controller),
    })
}

impl Entrance {
    /// Opens the container's groups, or the groups `below` them, which must exist.
    ///
    /// # Errors
    /// `invalid-argument` for a path that leads nowhere below; `system-call`.
    pub(crate) fn open(directories: &[PathBuf], below: &Below<'_>) -> Result<Self> {
        let mut entrance = Self { unified: None, doors: Vec::new() };
        below.refuse_unknown(directories)?;
        below.refuse_contradiction(directories)?;
        for path in directories {
            let group = open_directory(path)?;
            let group = match below.at(path) {
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
    fn a_controller_is_found_by_the_mount_of_its_hierarchy() {
        let group = Path::new("/sys/fs/cgroup/cpu,cpuacct/web");
        assert!(is_in(group, "cpu") && is_in(group, "cpuacct"));
        assert!(!is_in(group, "pu") && !is_in(group, "web") && !is_in(group, "pids"));
        assert!(is_in(Path::new("/sys/fs/cgroup/systemd/web"), "name=systemd"));
        assert!(!is_in(group, "name=cpu") && !is_in(Path::new("/sys/fs/cgroup/pids/web"), "name=pids"));
        // On cgroup v2 alone, what follows is the container's.
        assert!(!is_in(Path::new("/sys/fs/cgroup"), "cpu"));
    }

    #[test]
    fn a_single_hierarchy_goes_its_own_way() {
        let single = BTreeMap::from([("pids".to_owned(), PathBuf::from("a"))]);
        let below = Below { everywhere: None, single: &single };
        let (pids, memory) = (Path::new("/sys/fs/cgroup/pids/web"), Path::new("/sys/fs/cgroup/memory/web"));
        assert_eq!((below.at(pids), below.at(memory)), (Some(Path::new("a")), None));
        below.refuse_unknown(&[pids.to_owned(), memory.to_owned()]).unwrap();
        let error = below.refuse_unknown(&[memory.to_owned()]).unwrap_err();
        assert_eq!(error.subject.as_deref(), Some("pids:a"));
    }

    #[test]
    fn two_ways_in_one_hierarchy_contradict() {
        let group = [PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/web")];
        let refused = |cpuacct: &str| {
            let paths = [("cpu", "/a"), ("cpuacct", cpuacct)];
            let single = paths.map(|(name, path)| (name.to_owned(), PathBuf::from(path))).into();
            Below { everywhere: None, single: &single }.refuse_contradiction(&group)
        };
        refused("/a").unwrap();
        let error = refused("/b").unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert_eq!(error.subject.as_deref(), Some("cpu:/a and cpuacct:/b"));
    }

    #[test]
    fn the_line_of_v2_tells_the_place() {
        assert_eq!(unified_place("4:pids:/a\n0::/web/init.scope\n"), Some("web/init.scope"));
        assert_eq!(unified_place("0::/\n"), Some(""));
        assert_eq!(unified_place("0::/../other\n"), None);
        assert_eq!(unified_place("4:pids:/a\n"), None);
    }
}
