//! Maps between the ids of a user namespace and those of its parent (`user_namespaces(7)`).

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::process::Pid;

use crate::clone::{Clone3, spawn};
use crate::namespace::{self, Namespace, NamespaceSet};
use crate::procfs::{ProcBase, ProcFs};

/// `UID_GID_MAP_MAX_EXTENTS` of the kernel (five before Linux 4.15).
const MAX_LINES: usize = 340;
/// The kernel takes a map in one write of less than a page.
const MAX_TEXT: usize = 4096;

/// `size` ids that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMapping {
    /// First id inside the user namespace.
    pub container: u32,
    /// First id in the parent user namespace.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// A valid map: what the kernel would refuse with a bare EINVAL can't be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap(Vec<IdMapping>);

/// Why mappings are no map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidIdMap {
    /// There is no line.
    Empty,
    /// There are more than 340 lines, or their text fills a page.
    TooLong,
    /// A line maps no ids.
    NoIds(IdMapping),
    /// A line reaches the id 4294967295, which means "no id".
    Overflow(IdMapping),
    /// Two lines share an id of the container or of the host.
    Overlap(IdMapping, IdMapping),
}

impl fmt::Display for IdMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.container, self.host, self.size)
    }
}

impl fmt::Display for InvalidIdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the map has no line"),
            Self::TooLong => f.write_str("the map has more than 340 lines or 4095 bytes"),
            Self::NoIds(line) => write!(f, "the line `{line}` maps no ids"),
            Self::Overflow(line) => {
                write!(f, "the line `{line}` reaches the id 4294967295, which means `no id`")
            }
            Self::Overlap(one, other) => write!(f, "the lines `{one}` and `{other}` share ids"),
        }
    }
}

impl std::error::Error for InvalidIdMap {}

impl IdMap {
    /// Checks the mappings by the kernel's rules.
    pub fn new(mappings: Vec<IdMapping>) -> Result<Self, InvalidIdMap> {
        match mappings.len() {
            0 => return Err(InvalidIdMap::Empty),
            1..=MAX_LINES => {}
            _ => return Err(InvalidIdMap::TooLong),
        }
        mappings.iter().try_for_each(|line| check_line(*line))?;
        check_overlap(&mappings, |line| line.container)?;
        check_overlap(&mappings, |line| line.host)?;
        let map = Self(mappings);
        if map.to_string().len() < MAX_TEXT { Ok(map) } else { Err(InvalidIdMap::TooLong) }
    }

    /// The lines.
    pub fn mappings(&self) -> &[IdMapping] {
        &self.0
    }

    /// The host's id for an id of the container; `None` if it is not mapped.
    pub fn to_host(&self, container: u32) -> Option<u32> {
        self.0.iter().find_map(|line| {
            let offset = container.checked_sub(line.container)?;
            (offset < line.size).then(|| line.host + offset)
        })
    }
}

impl fmt::Display for IdMap {
    /// The text of `/proc/<pid>/uid_map`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn check_line(line: IdMapping) -> Result<(), InvalidIdMap> {
    let fits = |first: u32| first.checked_add(line.size).is_some();
    match line.size {
        0 => Err(InvalidIdMap::NoIds(line)),
        _ if fits(line.container) && fits(line.host) => Ok(()),
        _ => Err(InvalidIdMap::Overflow(line)),
    }
}

fn check_overlap(lines: &[IdMapping], first: impl Fn(&IdMapping) -> u32) -> Result<(), InvalidIdMap> {
    let mut sorted: Vec<&IdMapping> = lines.iter().collect();
    sorted.sort_unstable_by_key(|line| first(line));
    let clash = sorted.windows(2).find(|pair| first(pair[0]) + pair[0].size > first(pair[1]));
    clash.map_or(Ok(()), |pair| Err(InvalidIdMap::Overlap(*pair[0], *pair[1])))
}

/// Whether processes in the user namespace may call setgroups(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetGroups {
    /// They may.
    Allow,
    /// They may not: the kernel demands it of a writer without `CAP_SETGID` in the parent namespace, because
    /// dropping a group could grant what the group was denied.
    Deny,
}

/// Writes both maps of a process that was just cloned into a new user namespace, once and for all.
///
/// Errors: EPERM if the writer may not map these ids; EPERM too if the namespace has its maps already.
pub fn write_maps(
    proc: &ProcFs,
    process: Pid,
    users: &IdMap,
    groups: &IdMap,
    set_groups: SetGroups,
) -> io::Result<()> {
    let of = ProcBase::Process(process);
    if set_groups == SetGroups::Deny {
        proc.write(of, "setgroups", b"deny")?;
    }
    proc.write(of, "uid_map", users.to_string().as_bytes())?;
    proc.write(of, "gid_map", groups.to_string().as_bytes())
}

/// Makes a user namespace with these maps and nobody in it, for mounts to map their owners by (`MOUNT_ATTR_IDMAP`).
///
/// Only a process can be given maps: one is cloned, and ended as soon as its namespace is held.
///
/// Errors: EPERM if the caller may not map these ids; ENOSPC at a limit of /proc/sys/user.
pub fn user_namespace(users: &IdMap, groups: &IdMap) -> io::Result<OwnedFd> {
    let (mut reader, writer) = io::pipe()?;
    let writer = Cell::new(Some(writer));
    let proc = ProcFs::open()?;
    let args = Clone3 { namespaces: NamespaceSet::USER, ..Clone3::default() };
    let child = spawn(args, || {
        // It ends with the caller, whose writing end is then the last.
        drop(writer.take());
        i32::from(reader.read(&mut [0]).is_err())
    })?;
    let made = write_maps(&proc, child.pid, users, groups, SetGroups::Allow)
        .and_then(|()| namespace::open(&proc, ProcBase::Process(child.pid), Namespace::User));
    drop(writer);
    child.pidfd.wait()?;
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;
    use crate::testing::in_child;
    use proptest::prelude::*;
    use std::os::fd::AsFd;

    const fn line(container: u32, host: u32, size: u32) -> IdMapping {
        IdMapping { container, host, size }
    }

    #[test]
    fn what_the_kernel_refuses_is_named() {
        let error = |lines: &[IdMapping]| IdMap::new(lines.to_vec()).unwrap_err();
        assert_eq!(error(&[]), InvalidIdMap::Empty);
        assert_eq!(error(&[line(0, 0, 0)]), InvalidIdMap::NoIds(line(0, 0, 0)));
        assert_eq!(error(&[line(1, 0, u32::MAX)]), InvalidIdMap::Overflow(line(1, 0, u32::MAX)));
        let (low, high) = (line(0, 1000, 10), line(9, 5000, 1));
        assert_eq!(error(&[high, low]), InvalidIdMap::Overlap(low, high));
        assert_eq!(
            error(&[line(0, 5, 2), line(9, 6, 1)]),
            InvalidIdMap::Overlap(line(0, 5, 2), line(9, 6, 1))
        );
        let many: Vec<_> = (0..341).map(|id| line(id, id, 1)).collect();
        assert_eq!(error(&many), InvalidIdMap::TooLong);
        let wide: Vec<_> = (0..340).map(|id| line(4_000_000_000 + id, 4_000_000_000 + id, 1)).collect();
        assert_eq!(error(&wide), InvalidIdMap::TooLong);
        assert!(IdMap::new(vec![line(0, 0, u32::MAX)]).is_ok());
    }

    #[test]
    fn ids_translate() {
        let map = IdMap::new(vec![line(0, 1000, 1), line(1, 100_000, 65_535)]).unwrap();
        assert_eq!(map.to_string(), "0 1000 1\n1 100000 65535\n");
        assert_eq!(
            [0, 1, 65_535, 65_536].map(|id| map.to_host(id)),
            [Some(1000), Some(100_000), Some(165_534), None]
        );
    }

    /// Writes the map for a child that does nothing but wait.
    fn kernel_takes(map: &IdMap) -> io::Result<()> {
        let (mut gate, _opener) = std::io::pipe()?;
        let args = Clone3 { namespaces: NamespaceSet::USER, cgroup: None, ..Clone3::default() };
        let child = spawn(args, || i32::from(gate.read(&mut [0]).is_err()))?;
        let written = write_maps(&ProcFs::open()?, child.pid, map, map, SetGroups::Deny);
        child.pidfd.send_signal(Signal::KILL)?;
        child.pidfd.wait()?;
        written
    }

    #[test]
    fn a_mount_shows_the_owners_that_the_namespace_maps() {
        use crate::mount::{Change, FsContext, MountAttrFlags, Reach};
        use rustix::fs::{Gid, Mode, OFlags, Uid, openat};
        in_child(|| {
            let map = IdMap::new(vec![line(1000, 3000, 10)]).unwrap();
            let namespace = user_namespace(&map, &map).unwrap();
            let tmpfs = FsContext::open("tmpfs").unwrap().mount(MountAttrFlags::empty()).unwrap();
            let new = OFlags::CREATE | OFlags::WRONLY;
            let file = openat(&tmpfs, "file", new, Mode::RUSR).unwrap();
            rustix::fs::fchown(&file, Some(Uid::from_raw(1001)), Some(Gid::from_raw(1002))).unwrap();
            drop(file);
            let change = Change { id_mapped: Some(namespace.as_fd()), ..Change::default() };
            tmpfs.change(change, Reach::Mount).unwrap();
            let stat = rustix::fs::statat(&tmpfs, "file", rustix::fs::AtFlags::empty()).unwrap();
            assert_eq!((stat.st_uid, stat.st_gid), (3001, 3002));
            assert_eq!(
                rustix::process::wait(rustix::process::WaitOptions::NOHANG).unwrap_err().raw_os_error(),
                libc::ECHILD
            );
        });
    }

    #[test]
    fn the_kernel_takes_a_long_map() {
        in_child(|| {
            let map = IdMap::new((0..300).map(|id| line(id, 100_000 + id, 1)).collect()).unwrap();
            kernel_takes(&map).unwrap();
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn what_we_accept_the_kernel_accepts(
            lines in prop::collection::vec((0u32..50, 0u32..50, 1u32..8), 1..5),
        ) {
            let lines = lines.into_iter().map(|(container, host, size)| line(container, host, size)).collect();
            if let Ok(map) = IdMap::new(lines) {
                in_child(|| kernel_takes(&map).unwrap());
            }
        }
    }
}
