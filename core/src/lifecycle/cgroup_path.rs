//! Where a container's cgroup stands, and whose a cgroup is.

use std::io;
use std::path::{Component, Path, PathBuf};

use nucleus_abi::{CgroupManager, CgroupPlacement, ContainerId, Error, ErrorCode, Hierarchies, Result};
use rustix::rand::{GetRandomFlags, getrandom};

/// The group that holds those of all containers.
const ALL: &str = "nucleus";

/// The slice of systemd that containers belong to unless somebody says otherwise.
const SLICE: &str = "system.slice";

/// A new place below the root of each hierarchy: the container's id and something random.
///
/// Ids are unique below one state root only, and the hierarchies are the host's: without the random part, two containers
/// of one id would meet in one group, and undoing the one would kill the other.
///
/// # Errors
/// What getrandom(2) reports.
pub(super) fn new(id: &ContainerId) -> io::Result<PathBuf> {
    let mut random = [0_u8; 4];
    getrandom(&mut random, GetRandomFlags::empty())?;
    Ok(Path::new("/").join(ALL).join(format!("{id}.{:08x}", u32::from_ne_bytes(random))))
}

/// Who makes the groups of an engine's containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupDriver {
    /// The backend, as directories.
    #[default]
    Cgroupfs,
    /// systemd, as scopes.
    Systemd,
}

/// Where an engine wants a container's groups: `linux.cgroupsPath`, as runc reads it.
///
/// # Errors
/// `config-invalid`, naming the field.
pub(super) fn of_engine(
    driver: CgroupDriver,
    wanted: Option<&str>,
    id: &ContainerId,
) -> Result<CgroupPlacement> {
    let (path, manager) = match driver {
        CgroupDriver::Cgroupfs => (directory(wanted, id)?, CgroupManager::Cgroupfs),
        CgroupDriver::Systemd => scope(wanted, id)?,
    };
    Ok(CgroupPlacement { path, hierarchies: Hierarchies::All, manager })
}

/// An absolute path counts from the root of each hierarchy. So does one that is not: the specification leaves it to us
/// where it begins, and our own group is the engine's, whose limits are not meant for its containers.
fn directory(wanted: Option<&str>, id: &ContainerId) -> Result<PathBuf> {
    let wanted = wanted.unwrap_or(id.as_str());
    let mut path = PathBuf::from("/");
    for part in Path::new(wanted).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => return Err(invalid(wanted, "`..` leads out of it")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    // The group of the whole host is nobody's container.
    if path.file_name().is_none() {
        return Err(invalid(wanted, "it names no group"));
    }
    // Below it others are made at any time, and would go with this one.
    if path == Path::new("/").join(ALL) {
        return Err(invalid(wanted, "it is the group above those of `nucleus run`"));
    }
    Ok(path)
}

/// `slice:prefix:name` is the scope `prefix-name.scope` of that slice.
fn scope(wanted: Option<&str>, id: &ContainerId) -> Result<(PathBuf, CgroupManager)> {
    let default = format!("{SLICE}:{ALL}:{id}");
    let wanted = wanted.unwrap_or(&default);
    let parts: Vec<&str> = wanted.split(':').collect();
    let [slice, prefix, name] = parts.as_slice() else {
        return Err(invalid(wanted, "with systemd it has the form slice:prefix:name"));
    };
    let slice = if slice.is_empty() { SLICE } else { slice };
    let unit = match *prefix {
        "" => format!("{name}.scope"),
        prefix => format!("{prefix}-{name}.scope"),
    };
    if name.is_empty() || unit.contains('/') {
        return Err(invalid(wanted, "its name is no name of a unit"));
    }
    let path = expand(slice).ok_or_else(|| invalid(wanted, "its slice is no name of a slice"))?.join(&unit);
    Ok((path, CgroupManager::Systemd { slice: slice.to_owned(), unit }))
}

/// The directory of a slice: `a-b.slice` lies in `a.slice`, systemd.slice(5).
fn expand(slice: &str) -> Option<PathBuf> {
    let name = slice.strip_suffix(".slice")?;
    if name == "-" {
        return Some(PathBuf::from("/"));
    }
    if name.contains('/') || name.split('-').any(str::is_empty) {
        return None;
    }
    let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
    Some(ends.fold(PathBuf::from("/"), |path, end| path.join(format!("{}.slice", &name[..end]))))
}

fn invalid(path: &str, cause: &str) -> Error {
    Error::new(ErrorCode::ConfigInvalid, "choose the container's cgroup")
        .on(format!("config.json: linux.cgroupsPath: `{path}`"))
        .because(cause)
}

/// Whether a directory of a hierarchy can be this container's: a ledger must not make us kill others. `places` are those
/// that engines chose for it.
pub(super) fn is_of(directory: &Path, id: &ContainerId, places: &[&Path]) -> bool {
    is_ours(directory, id) || places.iter().any(|place| is_at(directory, place))
}

/// Whether the directory is a hierarchy's mount followed by the place. A place without a name would be the whole host.
fn is_at(directory: &Path, place: &Path) -> bool {
    let plain = |path: &Path| !path.components().any(|part| part == Component::ParentDir);
    match place.strip_prefix("/") {
        Ok(below) if below.file_name().is_some() && plain(directory) && plain(below) => {
            directory.ends_with(below)
        }
        _ => false,
    }
}

/// The place of a directory of a hierarchy, if it is the container's and was chosen by us.
pub(super) fn own(directory: &Path, id: &ContainerId) -> Option<PathBuf> {
    is_ours(directory, id).then(|| Path::new("/").join(ALL).join(directory.file_name().unwrap_or_default()))
}

fn is_ours(directory: &Path, id: &ContainerId) -> bool {
    let parent = directory.parent().and_then(Path::file_name);
    let own =
        directory.file_name().and_then(|name| name.to_str()?.strip_prefix(id.as_str())?.strip_prefix('.'));
    parent.is_some_and(|parent| parent == ALL)
        && own.is_some_and(|random| random.len() == 8 && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_container_has_a_place_of_its_own_and_is_recognised_there() {
        let id: ContainerId = "web".parse().unwrap();
        let (one, other) = (new(&id).unwrap(), new(&id).unwrap());
        assert_ne!(one, other);
        let directory = Path::new("/sys/fs/cgroup/pids").join(one.strip_prefix("/").unwrap());
        assert!(is_of(&directory, &id, &[]));
        assert!(!is_of(&directory, &"we".parse().unwrap(), &[]));
    }

    #[test]
    fn nobody_elses_group_is_a_containers() {
        let id: ContainerId = "web".parse().unwrap();
        for other in [
            "/sys/fs/cgroup/pids/victim",
            "/sys/fs/cgroup/nucleus",
            "/sys/fs/cgroup/nucleus/web",
            "/sys/fs/cgroup/other/web.00000000",
            "/sys/fs/cgroup/nucleus/web.1/..",
            "/sys/fs/cgroup/nucleus/webx.00000000",
        ] {
            assert!(!is_of(Path::new(other), &id, &[]), "{other}");
        }
    }

    #[test]
    fn an_engines_place_is_the_containers_and_nothing_above_or_beside_it() {
        let id: ContainerId = "web".parse().unwrap();
        let at = |directory: &str, place: &str| is_of(Path::new(directory), &id, &[Path::new(place)]);
        assert!(at("/sys/fs/cgroup/pids/machine/pod1/web", "/machine/pod1/web"));
        assert!(!at("/sys/fs/cgroup/pids/machine/pod1", "/machine/pod1/web"));
        assert!(!at("/sys/fs/cgroup/pids/machine/pod1/conmon", "/machine/pod1/web"));
        assert!(!at("/sys/fs/cgroup/pids", "/"));
        assert!(!at("/sys/fs/cgroup/pids/..", "/.."));
        assert!(!at("/sys/fs/cgroup/pids/a/../web", "/../web"));
        assert!(!at("/sys/fs/cgroup/pids/web", "web"), "a place begins with a slash");
    }

    fn placed(driver: CgroupDriver, wanted: &str) -> Result<CgroupPlacement> {
        of_engine(driver, Some(wanted).filter(|wanted| !wanted.is_empty()), &"web".parse().unwrap())
    }

    #[test]
    fn an_engines_path_counts_from_the_root_of_each_hierarchy() {
        let path = |wanted| placed(CgroupDriver::Cgroupfs, wanted).map(|placement| placement.path);
        assert_eq!(path("/pod/web"), Ok("/pod/web".into()));
        assert_eq!(path("pod/./web/"), Ok("/pod/web".into()));
        assert_eq!(path(""), Ok("/web".into()));
        for wrong in ["/", ".", "/pod/..", "../web", "nucleus", "/nucleus/"] {
            assert_eq!(path(wrong).unwrap_err().code, ErrorCode::ConfigInvalid, "{wrong}");
        }
    }

    #[test]
    fn a_scope_lies_in_the_directories_of_its_slice() {
        let scope = |wanted| {
            let placement = placed(CgroupDriver::Systemd, wanted)?;
            let CgroupManager::Systemd { slice, unit } = placement.manager else { panic!("no scope") };
            Ok::<_, Error>((placement.path.to_str().unwrap().to_owned(), slice, unit))
        };
        let is =
            |path: &str, slice: &str, unit: &str| Ok((path.to_owned(), slice.to_owned(), unit.to_owned()));
        assert_eq!(scope(""), is("/system.slice/nucleus-web.scope", "system.slice", "nucleus-web.scope"));
        assert_eq!(
            scope("a-b-c.slice:cri:7"),
            is("/a.slice/a-b.slice/a-b-c.slice/cri-7.scope", "a-b-c.slice", "cri-7.scope")
        );
        assert_eq!(scope("-.slice::x"), is("/x.scope", "-.slice", "x.scope"));
        assert_eq!(scope(":p:x"), is("/system.slice/p-x.scope", "system.slice", "p-x.scope"));
        for wrong in
            ["/pod/web", "a:b", "a.slice:p:", "a:p:x", "a--b.slice:p:x", "a/b.slice:p:x", "a.slice:p:../x"]
        {
            assert_eq!(scope(wrong).unwrap_err().code, ErrorCode::ConfigInvalid, "{wrong}");
        }
    }
}
