//! Where the hierarchies are mounted: v1, hybrid or v2.

use std::cell::OnceCell;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};

use super::{Controller, KillBy, Version};

pub(super) const STANDARD: &str = "/sys/fs/cgroup";
const CGROUP_SUPER_MAGIC: u64 = 0x0027_e0eb;
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) version: Version,
    pub(crate) mount: PathBuf,
}

/// A mounted hierarchy and the controllers that it has, by their names in its version; a named one has `name=…`.
type Mounted = (Hierarchy, Vec<String>);

/// The hierarchies of this host. The standard places are asked directly; `/proc/self/mountinfo`, which may be long on a
/// busy host, is read only if they don't answer.
#[derive(Debug)]
pub(crate) struct Layout {
    mountinfo: OnceCell<Vec<Mounted>>,
    unified: OnceCell<bool>,
}

impl Layout {
    pub(crate) fn of_host() -> Self {
        Self { mountinfo: OnceCell::new(), unified: OnceCell::new() }
    }

    /// The hierarchy of a controller.
    ///
    /// # Errors
    /// `host-unfit` when none has it.
    pub(crate) fn find(&self, controller: Controller) -> Result<Hierarchy> {
        if self.is_unified() && controller.is_in_v2() {
            return Ok(Hierarchy { version: Version::V2, mount: STANDARD.into() });
        }
        // What was read once is asked first: a controller's own name may be a link to a hierarchy that it shares.
        let standard = Path::new(STANDARD).join(controller.v1_name());
        if self.mountinfo.get().is_none() && is_of_type(&standard, CGROUP_SUPER_MAGIC) {
            return Ok(Hierarchy { version: Version::V1, mount: standard });
        }
        let elsewhere = self.mounted().iter().find(|(hierarchy, controllers)| {
            controllers.iter().any(|one| one == controller.name_in(hierarchy.version))
        });
        elsewhere.map(|(hierarchy, _)| hierarchy.clone()).ok_or_else(|| {
            Error::new(ErrorCode::HostUnfit, "limit the container's resources")
                .on(format!("cgroup controller `{}`", controller.name()))
                .because("it is not mounted on this host")
                .hint(format!("mount a cgroup hierarchy that has it below {STANDARD}, or drop the limit"))
        })
    }

    /// The hierarchy whose groups restrict devices: that of v1, or else any of v2.
    ///
    /// # Errors
    /// `host-unfit` when there is neither.
    pub(crate) fn find_devices(&self) -> Result<Hierarchy> {
        if self.is_unified() {
            return Ok(Hierarchy { version: Version::V2, mount: STANDARD.into() });
        }
        self.find(Controller::Devices).or_else(|error| {
            let unified = self.mounted().iter().find(|(hierarchy, _)| hierarchy.version == Version::V2);
            unified.map(|(hierarchy, _)| hierarchy.clone()).ok_or(error)
        })
    }

    /// Every hierarchy of the host, once, with its controllers.
    pub(super) fn all(&self) -> &[Mounted] {
        self.mounted()
    }

    /// The hierarchy for a group without limits: on v2 always, so that the container sees a cgroup of its own; on v1
    /// only if its processes could not be found otherwise.
    pub(crate) fn bare(&self, kill_by: KillBy) -> Result<Option<Hierarchy>> {
        match (self.is_unified(), kill_by) {
            (true, _) | (_, KillBy::Cgroup) => self.find(Controller::Pids).map(Some),
            (false, KillBy::PidNamespace) => Ok(None),
        }
    }

    /// Where cgroup v2 is mounted, with controllers or without.
    pub(crate) fn unified(&self) -> Option<PathBuf> {
        if self.is_unified() {
            return Some(STANDARD.into());
        }
        let is_unified = |(hierarchy, _): &&(Hierarchy, _)| hierarchy.version == Version::V2;
        self.mounted().iter().find(is_unified).map(|(hierarchy, _)| hierarchy.mount.clone())
    }

    fn is_unified(&self) -> bool {
        *self.unified.get_or_init(|| is_of_type(Path::new(STANDARD), CGROUP2_SUPER_MAGIC))
    }

    fn mounted(&self) -> &[Mounted] {
        self.mountinfo.get_or_init(|| {
            let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            let mut found: Vec<Mounted> = Vec::new();
            for (hierarchy, controllers) in text.lines().filter_map(hierarchy) {
                // The same hierarchy may be mounted at several places.
                let known = |(other, others): &Mounted| {
                    other.version == hierarchy.version
                        && (hierarchy.version == Version::V2 || *others == controllers)
                };
                if !found.iter().any(known) {
                    found.push((hierarchy, controllers));
                }
            }
            for (hierarchy, controllers) in &mut found {
                if hierarchy.version == Version::V2 {
                    *controllers = available(&hierarchy.mount);
                }
            }
            found
        })
    }
}

/// Of which version the hierarchy is that a directory belongs to.
pub(super) fn version_of(directory: BorrowedFd<'_>) -> io::Result<Version> {
    match u64::try_from(rustix::fs::fstatfs(directory)?.f_type) {
        Ok(CGROUP_SUPER_MAGIC) => Ok(Version::V1),
        Ok(CGROUP2_SUPER_MAGIC) => Ok(Version::V2),
        _ => Err(io::Error::other("it is no cgroup")),
    }
}

fn is_of_type(path: &Path, magic: u64) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(magic))
}

fn available(mount: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// One line of mountinfo (`proc_pid_mountinfo(5)`); its super options hold the controllers of v1.
fn hierarchy(line: &str) -> Option<(Hierarchy, Vec<String>)> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let version = match after.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let mount = PathBuf::from(unescape(before.split(' ').nth(4)?));
    let is_controller =
        |option: &&str| !GENERAL_OPTIONS.contains(option) && !option.starts_with("release_agent=");
    let controllers = after.nth(1)?.split(',').filter(is_controller).map(str::to_owned).collect();
    Some((Hierarchy { version, mount }, controllers))
}

/// Options of a cgroup v1 mount that name no controller (kernel/cgroup/cgroup-v1.c, `cgroup1_fs_parameters`).
const GENERAL_OPTIONS: [&str; 8] =
    ["rw", "ro", "all", "none", "clone_children", "cpuset_v2_mode", "noprefix", "xattr"];

/// mountinfo writes space, tab, newline and backslash as octal escapes.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_v1_tells_its_controllers() {
        let line = "32 31 0:29 / /mnt/my\\040cgroups/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct";
        let (hierarchy, controllers) = hierarchy(line).unwrap();
        assert_eq!(hierarchy.mount, Path::new("/mnt/my cgroups/cpu"));
        assert_eq!(hierarchy.version, Version::V1);
        assert_eq!(controllers, ["cpu", "cpuacct"]);
        let line =
            "40 31 0:37 / /sys/fs/cgroup/systemd ro - cgroup cgroup rw,xattr,release_agent=/x,name=systemd";
        assert_eq!(super::hierarchy(line).unwrap().1, ["name=systemd"]);
    }

    #[test]
    fn other_file_systems_are_no_hierarchies() {
        assert_eq!(hierarchy("22 27 0:21 / /proc rw,relatime - proc proc rw"), None);
    }
}
