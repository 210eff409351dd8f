//! What the sources of an engine's bind mounts lead to: opened once, looked at, and handed on as they were opened.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, fstatfs, major, minor};
use serde_json::Value;

use super::tighten::{Reach, is_dangerous};

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

/// Sockets at which engines and systemd take orders.
const SOCKETS: [&str; 8] = [
    "docker.sock",
    "containerd.sock",
    "podman.sock",
    "crio.sock",
    "buildkitd.sock",
    "dockershim.sock",
    "system_bus_socket",
    "private",
];

/// The sources of the bind mounts of a `config.json`, by the index of the mount.
#[derive(Debug, Default)]
pub struct Sources {
    /// What each leads to.
    pub reach: BTreeMap<usize, Reach>,
    /// Each as an `O_PATH` descriptor, where it could be opened.
    pub opened: BTreeMap<usize, OwnedFd>,
}

/// Opens and looks at the sources. A relative one counts from the bundle, as the specification says.
pub fn look_at_sources(config: &Value, bundle: &Path) -> Sources {
    let mut sources = Sources::default();
    let mounts = config.get("mounts").and_then(Value::as_array);
    for (index, mount) in mounts.into_iter().flatten().enumerate().filter(|(_, mount)| is_bind(mount)) {
        let source = mount.get("source").and_then(Value::as_str).unwrap_or_default();
        match open(&bundle.join(source)) {
            Ok(opened) => {
                sources.reach.insert(index, reach(&opened).unwrap_or(Reach::Unknown));
                sources.opened.insert(index, opened);
            }
            Err(_) => drop(sources.reach.insert(index, Reach::Unknown)),
        }
    }
    sources
}

fn is_bind(mount: &Value) -> bool {
    let kind = mount.get("type").and_then(Value::as_str).unwrap_or_default();
    let options = mount.get("options").and_then(Value::as_array);
    let named = options.into_iter().flatten().any(|option| option == "bind" || option == "rbind");
    named || matches!(kind, "bind" | "" | "none")
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

fn reach(source: &OwnedFd) -> io::Result<Reach> {
    let stat = fstat(source)?;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", source.as_raw_fd()))?;
    let magic = u64::try_from(fstatfs(source)?.f_type).unwrap_or_default() & 0xffff_ffff;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice if is_node_dangerous("c", &stat) => Reach::Device,
        FileType::CharacterDevice => Reach::Files,
        FileType::BlockDevice => Reach::Device,
        FileType::Socket if is_engine(path.file_name()) => Reach::Engine,
        _ if is_same(&stat, Path::new("/")) => Reach::Root,
        _ if KERNEL.contains(&magic) || is_same(&stat, Path::new("/dev")) => Reach::Kernel,
        FileType::Directory if holds_kernel(&path)? => Reach::Kernel,
        FileType::Directory if holds_engine(source)? => Reach::Engine,
        _ => Reach::Files,
    })
}

fn is_node_dangerous(kind: &str, stat: &Stat) -> bool {
    let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
    is_dangerous(kind, (Some(i128::from(major)), Some(i128::from(minor))))
}

fn is_same(stat: &Stat, path: &Path) -> bool {
    rustix::fs::stat(path).is_ok_and(|other| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino))
}

/// Whether a file system of the kernel is mounted below a directory: a recursive bind would bring it along.
fn holds_kernel(directory: &Path) -> io::Result<bool> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    Ok(table.split(|byte| *byte == b'\n').any(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let place = fields.nth(4).map(unescaped);
        let kind = fields.skip_while(|field| *field != b"-").nth(1);
        let is_kernel = kind.is_some_and(|kind| KERNEL_NAMES.iter().any(|name| name.as_bytes() == kind));
        is_kernel && place.is_some_and(|place| place != directory && place.starts_with(directory))
    }))
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

/// Whether an engine's socket lies in a directory, or in one right below it, as in `/run`.
fn holds_engine(directory: &OwnedFd) -> io::Result<bool> {
    let path = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
    let holds = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.filter(|entry| is_engine(Some(&entry.file_name()))).any(|entry| is_socket(&entry))
    };
    if holds(Path::new(&path)) {
        return Ok(true);
    }
    let below =
        std::fs::read_dir(&path)?.flatten().filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir()));
    // A volume with very many directories is no directory of sockets.
    Ok(below.take(512).any(|entry| holds(&entry.path())))
}

fn is_engine(name: Option<&OsStr>) -> bool {
    name.and_then(OsStr::to_str).is_some_and(|name| SOCKETS.contains(&name))
}

fn is_socket(entry: &std::fs::DirEntry) -> bool {
    use std::os::unix::fs::FileTypeExt;
    entry.file_type().is_ok_and(|kind| kind.is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach_of(source: &str) -> Reach {
        let config = serde_json::json!({"mounts": [{"destination": "/x", "type": "bind", "source": source}]});
        look_at_sources(&config, Path::new("/"))[0]
    }

    impl std::ops::Index<usize> for Sources {
        type Output = Reach;

        fn index(&self, index: usize) -> &Reach {
            &self.reach[&index]
        }
    }

    #[test]
    fn the_hosts_root_kernel_and_devices_are_told_from_files_whatever_their_path() {
        let directory = std::env::temp_dir().join(format!("nucleus-sources-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let link = directory.join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(directory.join("docker.sock")).unwrap();
        for (source, expected) in [
            ("/", Reach::Root),
            (link.to_str().unwrap(), Reach::Root),
            ("/proc/sys", Reach::Kernel),
            ("/sys", Reach::Kernel),
            ("/sys/fs/cgroup", Reach::Kernel),
            ("/dev", Reach::Kernel),
            ("/dev/null", Reach::Files),
            ("/dev/kmsg", Reach::Device),
            (directory.to_str().unwrap(), Reach::Engine),
            ("/usr", Reach::Files),
            ("/nonexistent", Reach::Unknown),
        ] {
            assert_eq!(reach_of(source), expected, "{source}");
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_place_in_mountinfo_is_read_back() {
        assert_eq!(unescaped(b"/a\\040b\\134c"), Path::new("/a b\\c"));
    }
}
