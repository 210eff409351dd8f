//! What the sources of mounts lead to: opened once, looked at, and handed on as they were opened.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, fstatfs, major, minor};
use serde_json::Value;

use super::joined;
use super::policy::{Found, Reach, Shape, Source};
use super::tighten::is_dangerous;
use super::types::Submounts;
use crate::profile::Profile;
use crate::profile::values::PathPattern;

/// Magic numbers of file systems through which the kernel is spoken to: statfs(2), `linux/magic.h`.
const KERNEL: [u64; 16] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x6265_6570, // configfs
    0xde5e_81e4, // efivarfs
    0x6165_676c, // pstore
    0xf97c_ff8c, // selinuxfs
    0x0000_0187, // autofs
    0x4249_4e4d, // binfmt_misc
    0x6e73_6673, // nsfs
    0x0767_1821, // resctrl
];

/// The same by their names in `proc_pid_mountinfo(5)`, and the host's devices.
const KERNEL_NAMES: [&str; 16] = [
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "debugfs",
    "tracefs",
    "securityfs",
    "bpf",
    "configfs",
    "efivarfs",
    "pstore",
    "selinuxfs",
    "binfmt_misc",
    "resctrl",
    "devtmpfs",
    "fusectl",
];

/// Sockets at which engines, systemd and others that can do anything on the host take orders, by the ends of their paths.
const SOCKETS: [&str; 14] = [
    "docker.sock",
    "containerd.sock",
    "containerd.sock.ttrpc",
    "podman.sock",
    "crio.sock",
    "buildkitd.sock",
    "dockershim.sock",
    "cri-dockerd.sock",
    "libvirt-sock",
    "snapd.socket",
    "lxd/unix.socket",
    "incus/unix.socket",
    "system_bus_socket",
    "systemd/private",
];

/// Where they usually are.
const USUAL_SOCKETS: [&str; 15] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/containerd/containerd.sock.ttrpc",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/dockershim.sock",
    "/run/cri-dockerd.sock",
    "/run/libvirt/libvirt-sock",
    "/run/snapd.socket",
    "/var/lib/lxd/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
];

/// Where users' D-Bus daemons listen: each can have the user's systemd start anything.
const USERS: [&str; 2] = ["/run/user", "/var/run/user"];

/// Where nucleus keeps its containers unless it is told another place.
const USUAL_STATE: &str = "/run/nucleus";

/// What was opened of a plan or of a `config.json`.
#[derive(Debug, Default)]
pub struct Sources {
    /// What each source is, by its index among the profile's volumes or the mounts of `config.json`.
    pub found: BTreeMap<usize, Source>,
    /// Each as an `O_PATH` descriptor, where it could be opened.
    pub opened: BTreeMap<usize, OwnedFd>,
    /// What each directory is that the root is made of, by its field as a JSON pointer.
    pub roots: Vec<(String, Source)>,
    /// The same as `O_PATH` descriptors, by their paths as they are named, where they could be opened.
    pub opened_roots: BTreeMap<PathBuf, OwnedFd>,
    /// Namespaces to join as `O_PATH` descriptors, by the specification's names of their kinds, where they could be opened.
    pub namespaces: BTreeMap<String, OwnedFd>,
}

/// What sources are compared with: found out at the first question and once, however many sources there are.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// Where nucleus keeps its containers.
    state: &'a Path,
    states: OnceCell<[PathBuf; 2]>,
    sockets: OnceCell<Vec<PathBuf>>,
    kernel: OnceCell<Result<Vec<PathBuf>, String>>,
}

impl<'a> Surroundings<'a> {
    /// Looks at nothing yet. `state` is where nucleus keeps its containers.
    pub(crate) fn new(state: &'a Path) -> Self {
        Self { state, states: OnceCell::new(), sockets: OnceCell::new(), kernel: OnceCell::new() }
    }

    fn states(&self) -> &[PathBuf; 2] {
        self.states.get_or_init(|| [leads_to(self.state), leads_to(Path::new(USUAL_STATE))])
    }

    fn bound_sockets(&self) -> &[PathBuf] {
        self.sockets.get_or_init(bound_sockets)
    }

    /// Whether a file system of the kernel is mounted below a directory: a recursive bind would bring it along.
    fn holds_kernel(&self, directory: &Path) -> io::Result<bool> {
        let places = self.kernel.get_or_init(|| kernel_places().map_err(|error| error.to_string()));
        let places = places.as_ref().map_err(|why| io::Error::other(why.as_str()))?;
        Ok(places.iter().any(|place| place != directory && place.starts_with(directory)))
    }

    /// Whether an engine's socket lies below a directory: at a usual place, or bound by somebody who runs (`/proc/net/unix`).
    /// A walk through the directory would cost more than a whole start.
    fn holds_engine(&self, directory: &Path) -> bool {
        let usual = USUAL_SOCKETS.iter().map(Path::new);
        usual.filter(|socket| socket.starts_with(directory)).any(is_socket)
            || self.bound_sockets().iter().any(|socket| socket.starts_with(directory))
    }

    /// Whether a socket is an engine's: by its path, or because it is the same file as one that is.
    fn is_engine(&self, path: &Path, stat: &Stat) -> bool {
        is_engine(path)
            || USUAL_SOCKETS.iter().any(|usual| is_same(stat, Path::new(usual)))
            || self.bound_sockets().iter().any(|bound| is_same(stat, bound))
    }
}

impl Sources {
    fn add(&mut self, index: usize, path: &Path, submounts: Submounts, host: &Surroundings<'_>) {
        let (found, opened) = look(path, submounts, host);
        self.found.insert(index, found);
        self.opened.extend(opened.map(|opened| (index, opened)));
    }

    /// A root brings along all that is mounted below it.
    fn add_root(&mut self, field: String, path: PathBuf, host: &Surroundings<'_>) {
        let (found, opened) = look(&path, Submounts::Included, host);
        self.roots.push((field, found));
        self.opened_roots.extend(opened.map(|opened| (path, opened)));
    }
}

/// Opens and looks at the sources of an engine's bind mounts, at its root, and at the namespaces that it joins. A relative one counts from the bundle, as
/// the specification says. `state` is where nucleus keeps its containers.
pub fn look_at_document(config: &Value, bundle: &Path, state: &Path) -> Sources {
    let (mut sources, host) = (Sources::default(), Surroundings::new(state));
    let mounts = config.get("mounts").and_then(Value::as_array);
    for (index, mount) in mounts.into_iter().flatten().enumerate() {
        let Some(submounts) = bind(mount) else { continue };
        let source = mount.get("source").and_then(Value::as_str).unwrap_or_default();
        sources.add(index, &bundle.join(source), submounts, &host);
    }
    if let Some(root) = config.pointer("/root/path").and_then(Value::as_str) {
        sources.add_root("/root/path".to_owned(), bundle.join(root), &host);
    }
    let namespaces = config.pointer("/linux/namespaces").and_then(Value::as_array);
    let by_path = |entry: &'_ Value| {
        let text = |key| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        Some((text("type")?, PathBuf::from(text("path")?)))
    };
    let by_path: Vec<_> = namespaces.into_iter().flatten().filter_map(by_path).collect();
    sources.namespaces = joined::open(by_path.iter().map(|(kind, path)| (kind.as_str(), path.as_path())));
    sources
}

/// Opens the namespaces that a profile joins, and nothing else.
pub fn look_at_namespaces(profile: &Profile) -> Sources {
    Sources { namespaces: joined::open(profile.namespaces.joined().into_iter()), ..Sources::default() }
}

/// Opens and looks at the sources of a profile's volumes and, behind them, of its context, at what its root is made of, and at
/// the namespaces that it joins.
/// `state` is where nucleus keeps its containers.
pub fn look_at_profile(profile: &Profile, state: &Path) -> Sources {
    let (mut sources, host) = (look_at_namespaces(profile), Surroundings::new(state));
    for (index, volume) in profile.mounts.volumes.iter().enumerate() {
        let submounts = if volume.recursive { Submounts::Included } else { Submounts::LeftOut };
        sources.add(index, volume.source.as_path(), submounts, &host);
    }
    if let Some(context) = &profile.context {
        sources.add(profile.mounts.volumes.len(), context.source.as_path(), Submounts::LeftOut, &host);
    }
    for (field, directory) in profile.rootfs.source().directories() {
        sources.add_root(field, directory.as_path().to_owned(), &host);
    }
    sources
}

/// Whether a mount is a bind mount, and of how much: mount(8), and the specification's empty type.
fn bind(mount: &Value) -> Option<Submounts> {
    let options = mount.get("options").and_then(Value::as_array);
    let has = |name: &str| options.into_iter().flatten().any(|option| option == name);
    match mount.get("type").and_then(Value::as_str).unwrap_or_default() {
        _ if has("rbind") => Some(Submounts::Included),
        _ if has("bind") => Some(Submounts::LeftOut),
        "bind" | "" | "none" => Some(Submounts::Included),
        _ => None,
    }
}

/// Opens a source, following links, and says what was opened. From here on only the descriptor counts.
pub(crate) fn look(path: &Path, submounts: Submounts, host: &Surroundings<'_>) -> (Source, Option<OwnedFd>) {
    match rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Err(errno) => (Source::Closed(errno), None),
        Ok(opened) => match examine(&opened, submounts, host) {
            Ok(found) => (Source::Found(found), Some(opened)),
            Err(error) => (Source::Hidden(error.to_string()), Some(opened)),
        },
    }
}

fn examine(source: &OwnedFd, submounts: Submounts, host: &Surroundings<'_>) -> io::Result<Found> {
    let stat = fstat(source)?;
    let path = whereabouts(source, &stat)?;
    let shape = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Shape::Directory,
        _ => Shape::File,
    };
    let magic = u64::try_from(fstatfs(source)?.f_type).unwrap_or_default() & 0xffff_ffff;
    let reach = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice if is_node_dangerous("c", &stat) => Reach::Device,
        FileType::CharacterDevice => Reach::Files,
        FileType::BlockDevice => Reach::Device,
        FileType::Socket if host.is_engine(&path, &stat) => Reach::Engine,
        _ if is_same(&stat, Path::new("/")) => Reach::Root,
        _ if KERNEL.contains(&magic) || is_same(&stat, Path::new("/dev")) => Reach::Kernel,
        _ if is_near(&path, shape, host.states()) => Reach::State,
        FileType::Directory if submounts == Submounts::Included && host.holds_kernel(&path)? => Reach::Kernel,
        FileType::Directory if host.holds_engine(&path) => Reach::Engine,
        _ => Reach::Files,
    };
    Ok(Found { path, shape, reach })
}

/// Where an opened file lies (`proc_pid_fd(5)`). The path of one that was removed, that hangs nowhere, or that another mount
/// namespace shows says nothing about this one, so it must lead to the same file again.
fn whereabouts(source: &OwnedFd, stat: &Stat) -> io::Result<PathBuf> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", source.as_raw_fd()))?;
    if is_same(stat, &path) { Ok(path) } else { Err(io::Error::other("it is not where its path says")) }
}

fn is_node_dangerous(kind: &str, stat: &Stat) -> bool {
    let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
    is_dangerous(kind, (Some(i128::from(major)), Some(i128::from(minor))))
}

fn is_same(stat: &Stat, path: &Path) -> bool {
    rustix::fs::stat(path).is_ok_and(|other| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino))
}

/// Whether a source is one of the directories, lies in one, or holds one.
fn is_near(path: &Path, shape: Shape, directories: &[PathBuf]) -> bool {
    let near = |directory: &PathBuf| {
        path.starts_with(directory) || shape == Shape::Directory && directory.starts_with(path)
    };
    directories.iter().any(near)
}

/// A path with the links in as much of it as is there resolved.
fn leads_to(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for directory in path.ancestors() {
        if let Ok(resolved) = directory.canonicalize() {
            return missing.into_iter().rev().fold(resolved, |path: PathBuf, name| path.join(name));
        }
        missing.extend(directory.file_name());
    }
    path.to_owned()
}

/// Where the links in these patterns lead, by the text of the pattern, if that is elsewhere: `/var/run` is often `/run`.
pub(super) fn denied_places(patterns: &[PathPattern]) -> BTreeMap<String, PathPattern> {
    let elsewhere = patterns.iter().filter_map(|pattern| {
        let resolved = leads_to(&pattern.fixed());
        (resolved != pattern.fixed()).then(|| (pattern.to_string(), pattern.moved_to(&resolved)))
    });
    elsewhere.collect()
}

/// Where file systems of the kernel are mounted.
fn kernel_places() -> io::Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    let places = table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let place = fields.nth(4)?;
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        KERNEL_NAMES.iter().any(|name| name.as_bytes() == kind).then(|| unescaped(place))
    });
    Ok(places.collect())
}

/// Blanks and the like stand as `\\040` in mountinfo.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits =
            after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsStr::from_bytes(&bytes))
}

/// Sockets of engines to which somebody listens, where the links in their paths lead.
fn bound_sockets() -> Vec<PathBuf> {
    let table = std::fs::read("/proc/net/unix").unwrap_or_default();
    let paths = table.split(|byte| *byte == b'\n').filter_map(|line| {
        let start = line.iter().position(|byte| *byte == b'/')?;
        let path = Path::new(OsStr::from_bytes(&line[start..]));
        is_engine(path).then(|| leads_to(path))
    });
    paths.collect()
}

fn is_engine(path: &Path) -> bool {
    let is_users = || path.ends_with("bus") && USERS.iter().any(|users| path.starts_with(users));
    SOCKETS.iter().any(|socket| path.ends_with(socket)) || is_users()
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach_of(source: &str, submounts: Submounts) -> Option<Reach> {
        match look(Path::new(source), submounts, &Surroundings::new(Path::new("/run/nowhere/state"))).0 {
            Source::Found(found) => Some(found.reach),
            Source::Hidden(_) | Source::Closed(_) => None,
        }
    }

    fn scratch(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("nucleus-sources-{name}-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        directory.canonicalize().unwrap()
    }

    #[test]
    fn the_hosts_root_kernel_devices_sockets_and_state_are_told_from_files_whatever_their_path() {
        let directory = scratch("reach");
        let link = directory.join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        let deep = directory.join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        let socket = deep.join("docker.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let beside = directory.join("beside");
        std::fs::create_dir(&beside).unwrap();
        // By its name nobody could tell.
        let linked = beside.join("innocent");
        std::fs::hard_link(&socket, &linked).unwrap();
        for (source, expected) in [
            ("/", Some(Reach::Root)),
            (link.to_str().unwrap(), Some(Reach::Root)),
            ("/proc/sys", Some(Reach::Kernel)),
            ("/sys", Some(Reach::Kernel)),
            ("/sys/fs/cgroup", Some(Reach::Kernel)),
            ("/dev", Some(Reach::Kernel)),
            ("/dev/null", Some(Reach::Files)),
            ("/dev/kmsg", Some(Reach::Device)),
            (socket.to_str().unwrap(), Some(Reach::Engine)),
            (linked.to_str().unwrap(), Some(Reach::Engine)),
            (directory.to_str().unwrap(), Some(Reach::Engine)),
            (beside.to_str().unwrap(), Some(Reach::Files)),
            ("/run", Some(Reach::State)),
            ("/usr", Some(Reach::Files)),
            ("/nonexistent", None),
        ] {
            assert_eq!(reach_of(source, Submounts::Included), expected, "{source}");
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn sockets_that_take_orders_are_known_by_the_ends_of_their_paths() {
        for (path, expected) in [
            ("/run/containerd/containerd.sock.ttrpc", true),
            ("/srv/cri-dockerd.sock", true),
            ("/run/libvirt/libvirt-sock", true),
            ("/var/snap/lxd/common/lxd/unix.socket", true),
            ("/srv/app/unix.socket", false),
            ("/run/snapd.socket", true),
            ("/run/systemd/private", true),
            ("/run/user/1000/systemd/private", true),
            ("/srv/app/private", false),
            ("/run/user/1000/bus", true),
            ("/var/run/user/1000/bus", true),
            ("/srv/app/bus", false),
            ("/srv/app/my-docker.sock", false),
        ] {
            assert_eq!(is_engine(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn the_state_is_near_whatever_lies_in_it_and_whatever_holds_it() {
        let state = [PathBuf::from("/run/x/state")];
        for (path, shape, expected) in [
            ("/run/x/state", Shape::Directory, true),
            ("/run/x/state/web/secret", Shape::File, true),
            ("/run/x", Shape::Directory, true),
            ("/run/x/stat", Shape::Directory, false),
            ("/run/x/other", Shape::Directory, false),
        ] {
            assert_eq!(is_near(Path::new(path), shape, &state), expected, "{path}");
        }
    }

    #[test]
    fn a_removed_file_has_no_place() {
        let directory = scratch("removed");
        let opened = rustix::fs::open(&directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let stat = fstat(&opened).unwrap();
        assert_eq!(whereabouts(&opened, &stat).unwrap(), directory);
        std::fs::remove_dir(&directory).unwrap();
        assert!(whereabouts(&opened, &stat).is_err());
    }

    #[test]
    fn the_links_in_a_denied_path_are_followed_as_far_as_it_is_there() {
        let directory = scratch("denied");
        let (real, link) = (directory.join("real"), directory.join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let pattern: PathPattern = format!("{}/missing/*/key", link.display()).parse().unwrap();
        let places = denied_places(std::slice::from_ref(&pattern));
        let expected = format!("{}/missing/*/key", real.display());
        assert_eq!(places.get(&pattern.to_string()).map(ToString::to_string), Some(expected));
        assert!(denied_places(&["/usr/**".parse().unwrap()]).is_empty());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_place_in_mountinfo_is_read_back() {
        assert_eq!(unescaped(b"/a\\040b\\134c"), Path::new("/a b\\c"));
    }
}
