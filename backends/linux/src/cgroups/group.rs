//! One directory in one hierarchy.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::{Mode, OFlags, Pid};
use rustix::io::Errno;

use super::layout::Hierarchy;
use super::{Controller, Setting, Without, devices, freezer, layout, members, v1, v2};
use crate::config::{DeviceRule, Limits};
use crate::fault::{OrFail, explain, system};

/// The version of a hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// The container's group in one hierarchy, not yet made.
#[derive(Debug)]
pub(crate) struct Group {
    hierarchy: Hierarchy,
    /// Below the hierarchy's mount, without a leading slash.
    place: PathBuf,
    directory: PathBuf,
    controllers: Vec<Controller>,
    /// Controllers of v2 that are switched on where the host lets us, though no limit needs them.
    welcome: Vec<Controller>,
    existing: Existing,
    maker: Maker,
    settings: Vec<Setting>,
    devices: Option<Vec<DeviceRule>>,
}

/// Who makes the directory, and hands controllers down to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Us,
    /// In the hierarchies that it knows: v2, and some of v1, which differ from release to release.
    Systemd,
}

/// What becomes of a directory that is there before we make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existing {
    /// It is another's.
    Refused,
    /// The engine made it, or an earlier try of ours did.
    Taken,
}

/// A group that exists.
#[derive(Debug)]
pub(crate) struct Made {
    directory: OwnedFd,
    path: PathBuf,
}

impl Group {
    pub(super) fn new(hierarchy: Hierarchy, place: &Path, controller: Option<Controller>) -> Self {
        let place = place.strip_prefix("/").unwrap_or(place).to_owned();
        let directory = hierarchy.mount.join(&place);
        Self {
            hierarchy,
            place,
            directory,
            controllers: controller.into_iter().collect(),
            welcome: Vec::new(),
            existing: Existing::Refused,
            maker: Maker::Us,
            settings: Vec::new(),
            devices: None,
        }
    }

    pub(super) fn is_in(&self, hierarchy: &Hierarchy) -> bool {
        self.hierarchy == *hierarchy
    }

    pub(super) fn add(&mut self, controller: Controller) {
        self.controllers.push(controller);
    }

    pub(super) fn welcome(&mut self, controllers: Vec<Controller>) {
        self.welcome = controllers;
    }

    pub(super) fn restrict_devices(&mut self, rules: Vec<DeviceRule>) {
        self.devices = Some(rules);
    }

    pub(super) fn set(&mut self, limits: &Limits) -> Result<()> {
        self.settings = match self.version() {
            Version::V1 => v1::settings(limits),
            Version::V2 => v2::settings(limits, &self.controllers)?,
        };
        self.settings.retain(|setting| self.controllers.contains(&setting.controller));
        Ok(())
    }

    pub(super) fn takes(&self, file: &str) -> bool {
        self.version() == Version::V2
            && self.settings.iter().any(|setting| setting.choices.iter().any(|(name, _)| name == file))
    }

    /// Two containers in one group would share limits and be killed together.
    pub(super) fn refuse_existing(&self) -> Result<()> {
        match rustix::fs::access(&self.directory, rustix::fs::Access::EXISTS) {
            Err(Errno::NOENT) => Ok(()),
            _ => Err(Error::new(ErrorCode::ContainerExists, "make the container's cgroup")
                .on(self.directory.display())
                .because("it exists already")
                .hint("another container has this id, or one was not removed: try `nucleus gc`")),
        }
    }

    /// An engine may have made the group before. It must be nobody's: two containers in one group would share limits and be
    /// killed together, and in a frozen one the first process would never run (as runc has it).
    pub(super) fn take_over(&mut self) -> Result<()> {
        self.existing = Existing::Taken;
        let directory = std::slice::from_ref(&self.directory);
        let refused = |cause: String| {
            Error::new(ErrorCode::ContainerExists, "take over the container's cgroup")
                .on(self.directory.display())
                .because(cause)
                .hint("give the container a `cgroupsPath` of its own")
        };
        if rustix::fs::access(&self.directory, rustix::fs::Access::EXISTS) == Err(Errno::NOENT) {
            return Ok(());
        }
        match members::pids(directory)?.as_slice() {
            [] if freezer::is_frozen(directory)? => Err(refused("it is frozen".to_owned())),
            [] => Ok(()),
            [first, ..] => Err(refused(format!("process {} stands in it", first.as_raw_nonzero()))),
        }
    }

    /// systemd makes the group before we come to it.
    pub(super) fn leave_to_systemd(&mut self) {
        self.existing = Existing::Taken;
        self.maker = Maker::Systemd;
    }

    pub(super) fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Whether it is the group of a host that has cgroup v2 alone.
    pub(super) fn is_unified(&self) -> bool {
        self.version() == Version::V2 && self.hierarchy.mount == Path::new(layout::STANDARD)
    }

    /// Whether the container's process can be born in it: there is one to be made by us, and it is of v2.
    pub(crate) fn can_be_born_in(&self) -> bool {
        self.version() == Version::V2 && self.maker == Maker::Us
    }

    pub(crate) fn version(&self) -> Version {
        self.hierarchy.version
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The name of the hierarchy's mount point, under which the container finds its group (v1).
    pub(crate) fn hierarchy_name(&self) -> Option<&str> {
        self.hierarchy.mount.file_name()?.to_str()
    }

    /// As [`Self::make`], also where an earlier try left the directory.
    pub(super) fn make_or_open(mut self) -> Result<Made> {
        self.existing = Existing::Taken;
        self.make()
    }

    /// Makes the directory and sets its limits. The ledger must hold the directory already.
    pub(crate) fn make(&self) -> Result<Made> {
        match (self.version(), self.maker) {
            (Version::V1, _) => v1::make_parents(&self.hierarchy.mount, &self.place, &self.controllers)?,
            // No process may come between systemd and what it delegates (systemd.io/CGROUP_DELEGATION).
            (Version::V2, Maker::Systemd) => {}
            (Version::V2, Maker::Us) => {
                v2::make_parents(&self.hierarchy.mount, &self.place, &self.controllers, &self.welcome)?;
            }
        }
        let made = make_directory(&self.directory, self.existing)?;
        if self.version() == Version::V1 && self.controllers.contains(&Controller::Cpuset) {
            v1::inherit_cpuset(&self.directory)?;
        }
        self.settings.iter().try_for_each(|setting| made.apply(setting))?;
        self.devices.as_deref().map_or(Ok(()), |rules| made.restrict_devices(self.version(), rules))?;
        Ok(made)
    }
}

fn make_directory(path: &Path, existing: Existing) -> Result<Made> {
    let step = "make the container's cgroup";
    match rustix::fs::mkdir(path, Mode::from(0o755)) {
        Err(Errno::EXIST) if existing == Existing::Taken => {}
        result => result.or_fail(step, path.display())?,
    }
    Made::open(path)
}

impl Made {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())
            .or_fail("open the container's cgroup", path.display())?;
        Ok(Self { directory, path: path.to_owned() })
    }

    pub(super) fn apply(&self, setting: &Setting) -> Result<()> {
        let mut missing = io::Error::from(Errno::NOENT);
        for (file, value) in &setting.choices {
            match write_at(self.directory.as_fd(), file, value) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => missing = error,
                result => return result.map_err(|error| self.refused(file, value, &error)),
            }
        }
        match (setting.without, &setting.choices[0]) {
            (Without::Ignored, _) => Ok(()),
            (Without::Refused, (file, value)) => Err(self.refused(file, value, &missing)),
        }
    }

    fn restrict_devices(&self, version: Version, rules: &[DeviceRule]) -> Result<()> {
        if version == Version::V2 {
            let directory = rustix::fs::open(&self.path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .or_fail("open the container's cgroup", self.path.display())?;
            return devices::attach(rules, directory.as_fd());
        }
        devices::list::writes(rules)?.into_iter().try_for_each(|(file, line)| {
            write_at(self.directory.as_fd(), file, &line).map_err(|error| {
                system(format!("restrict the container's devices: write `{line}`"), &error)
                    .on(self.path.join(file).display())
            })
        })
    }

    fn refused(&self, file: &str, value: &str, error: &io::Error) -> Error {
        let refused = Error::new(ErrorCode::SystemCall, format!("limit the container: write `{value}`"))
            .on(self.path.join(file).display())
            .because(explain(error));
        match error.raw_os_error() {
            Some(libc::ENOENT) if file.contains("memsw") => refused
                .hint("the kernel does not account for swap: boot with swapaccount=1, or drop the limit"),
            Some(libc::ENOENT) => {
                refused.hint("this kernel is built without the file's feature: drop the limit")
            }
            Some(libc::EBUSY) if file.starts_with("memory.") => {
                refused.hint("more is in use, and the kernel cannot reclaim it: end some processes first")
            }
            Some(libc::EOPNOTSUPP) => {
                refused.hint("this kernel has the file for old programs' sake only: drop the limit")
            }
            Some(libc::EINVAL | libc::ERANGE) => refused.hint(
                "the value is out of the kernel's range, or contradicts another limit: `swap` is not below `limit`, \
                `burst` is not above `quota`",
            ),
            _ => refused,
        }
    }

    /// The file of cgroup v1 through which a thread enters by itself: see [`enter`].
    pub(crate) fn door(&self) -> Result<OwnedFd> {
        rustix::fs::openat(&self.directory, "tasks", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .or_fail("open the door of the container's cgroup", self.path.join("tasks").display())
    }

    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Puts the calling thread, which must be its process's only one, into the group of cgroup v1 behind a door.
///
/// Writing a process id into `cgroup.procs` takes the kernel's lock on all forks, which waits for a grace period of RCU:
/// 5 to 30 ms. A thread that writes 0 into `tasks` moves itself, needs no lock (kernel/cgroup/cgroup.c,
/// `cgroup_procs_write_start`), and takes 30 µs. Who opened the file needs the permission, not who writes.
pub(crate) fn enter(door: BorrowedFd<'_>) -> Result<()> {
    rustix::io::write(door, b"0").map(drop).or_fail("enter the container's cgroup", "tasks")
}

/// Puts another process's only thread there: as slow as [`enter`] is fast.
pub(crate) fn put(door: BorrowedFd<'_>, process: Pid) -> Result<()> {
    let id = process.as_raw_nonzero().to_string();
    rustix::io::write(door, id.as_bytes()).map(drop).or_fail("enter the container's cgroup", "tasks")
}

/// Files of cgroupfs take one value with one write(2).
pub(super) fn write_at(directory: BorrowedFd<'_>, file: &str, value: &str) -> io::Result<()> {
    let opened = rustix::fs::openat(directory, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&opened, value.as_bytes())?;
    Ok(())
}
