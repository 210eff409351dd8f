//! Namespaces that are joined by their paths: opened once, so that the one that was compared with the host's is the one that
//! is joined, wherever its path leads by then.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, Stat, fstat, stat};

/// Namespaces as `O_PATH` descriptors, by the runtime specification's names of their kinds; what cannot be opened is missing.
pub(super) type Joined = BTreeMap<String, OwnedFd>;

/// Opens those of kinds and paths. Of a kind that is named twice, which no backend takes, none is opened.
pub(super) fn open<'a>(named: impl Iterator<Item = (&'a str, &'a Path)>) -> Joined {
    let mut opened = BTreeMap::new();
    for (kind, path) in named {
        let again = opened.contains_key(kind);
        let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        opened.insert(kind.to_owned(), found.ok().filter(|_| !again));
    }
    opened.into_iter().filter_map(|(kind, found)| Some((kind, found?))).collect()
}

/// Whose namespace it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nucleus' own, or that of the host's first process.
    Host,
    /// Somebody else's, or no namespace at all, as the backend will say.
    Other,
    /// It cannot be examined. What an operator names the backend will refuse by its path; an engine's may be the host's.
    Unknown,
}

/// Whose namespace of a kind was opened.
pub(super) fn owner(kind: &str, joined: &Joined) -> Owner {
    let file = match kind {
        "mount" => "mnt",
        "network" => "net",
        other => other,
    };
    let of = |process: &str| stat(Path::new("/proc").join(process).join("ns").join(file)).ok().map(identity);
    let found = joined.get(kind).and_then(|opened| fstat(opened.as_fd()).ok()).map(identity);
    of_identity(found, [of("self"), of("1")])
}

/// `hosts` are nucleus' own and that of process 1, at which only who has `CAP_SYS_PTRACE` may look (`proc_pid_ns(5)`).
fn of_identity(found: Option<(u64, u64)>, hosts: [Option<(u64, u64)>; 2]) -> Owner {
    match found {
        None => Owner::Unknown,
        found if hosts.contains(&found) => Owner::Host,
        Some(_) => Owner::Other,
    }
}

/// Device and inode: two names of one namespace have the same, namespaces(7).
fn identity(stat: Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_namespaces_are_our_own_and_its_first_process_s() {
        let [own, first, other] = [Some((4, 1)), Some((4, 2)), Some((4, 3))];
        assert_eq!([of_identity(own, [own, first]), of_identity(first, [own, first])], [Owner::Host; 2]);
        assert_eq!(of_identity(None, [own, None]), Owner::Unknown);
        assert_eq!([of_identity(other, [own, first]), of_identity(other, [own, None])], [Owner::Other; 2]);
    }

    #[test]
    fn a_path_is_followed_to_its_namespace() {
        let leads_to = |kind, path| owner(kind, &open([(kind, Path::new(path))].into_iter()));
        assert_eq!(leads_to("network", "/proc/self/ns/net"), Owner::Host);
        assert_eq!(leads_to("mount", "/proc/thread-self/ns/mnt"), Owner::Host);
        assert_eq!(leads_to("pid", "/proc/self/ns/no-such-namespace"), Owner::Unknown);
        assert_eq!(leads_to("network", "/proc/self/ns/uts"), Owner::Other);
    }

    #[test]
    fn of_a_kind_that_is_named_twice_nothing_is_known() {
        let twice =
            [("network", Path::new("/proc/self/ns/uts")), ("network", Path::new("/proc/self/ns/net"))];
        assert_eq!(owner("network", &open(twice.into_iter())), Owner::Unknown);
    }

    #[test]
    fn what_was_opened_stays_where_its_path_led() {
        let link = std::env::temp_dir().join(format!("nucleus-joined-{}", std::process::id()));
        std::os::unix::fs::symlink("/proc/self/ns/uts", &link).unwrap();
        let opened = open([("network", link.as_path())].into_iter());
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("/proc/self/ns/net", &link).unwrap();
        let now = open([("network", link.as_path())].into_iter());
        std::fs::remove_file(&link).unwrap();
        assert_eq!([owner("network", &opened), owner("network", &now)], [Owner::Other, Owner::Host]);
    }
}
