//! Where a container's cgroup stands, and whose a cgroup is.

use std::io;
use std::path::{Component, Path, PathBuf};

use nucleus_abi::ContainerId;
use rustix::rand::{GetRandomFlags, getrandom};

/// The group that holds those of all containers.
const ALL: &str = "nucleus";

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
}
