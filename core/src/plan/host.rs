//! What resolving must know of the host. Each fact is asked only where the profile touches it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::joined::{Owner, owner};
use super::network::{UserspaceKind, UserspacePlan};
use super::places::Tree;
use super::policy::{Policy, Source};
use super::secrets::Swap;
use super::sources::{Sources, denied_places};
use super::tighten::EngineFacts;
use super::types::{DeviceKind, DeviceNumber};
use crate::profile::values::{DeviceRef, PathPattern};
use crate::profile::{
    Device, Io, Namespaces, NetworkMode, NetworkProgram, Profile, RootfsSource, Seccomp, Terminal,
};

/// Facts of the host that the plan depends on.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// The environment variables that the profile names in `envFrom`, where they are set.
    pub env: BTreeMap<String, String>,
    /// What there is of programs and libraries, where the root file system is `host-runtime`.
    pub runtime: Vec<RuntimeEntry>,
    /// Whether standard input is a terminal, where the profile leaves it to that.
    pub terminal: bool,
    /// The text of the seccomp file that the profile names, where it can be read.
    pub seccomp: Option<String>,
    /// The kinds of namespaces that the profile joins and that are nucleus' own: the host's, as far as it can tell.
    pub own_namespaces: BTreeSet<&'static str>,
    /// What the profile's `devices` are on the host.
    pub devices: BTreeMap<PathBuf, DeviceFact>,
    /// Numbers of the block devices that the profile names by path.
    pub block_devices: BTreeMap<String, (u32, u32)>,
    /// What the sources of the profile's volumes are, by their index; what is missing was not looked at.
    pub sources: BTreeMap<usize, Source>,
    /// What each directory is that the root is made of, by its field as a JSON pointer; what is missing was not looked at.
    pub roots: Vec<(String, Source)>,
    /// Where the links in `mounts.policy.deny` lead, by the pattern, if that is elsewhere.
    pub denied: BTreeMap<String, PathPattern>,
    /// The program that passes packets on, where the profile wants one and there is one.
    pub userspace: Option<UserspacePlan>,
    /// Whether the host may swap out what the profile keeps in memory as secrets.
    pub swap: Swap,
}

/// What there is at the path of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceFact {
    /// A device, with the permission bits of its node.
    Node(DeviceNumber, u32),
    /// A link, to here.
    Link(PathBuf),
    /// Something else.
    Other,
    /// Nothing.
    Missing,
    /// It cannot be opened, for this reason.
    Closed(String),
}

/// Something of the host that `host-runtime` shows at the same path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeEntry {
    /// The path, on the host and in the container.
    pub path: PathBuf,
    /// What it is.
    pub kind: RuntimeKind,
}

/// What a path of the host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeKind {
    /// A directory: mounted read-only.
    Directory,
    /// A file: mounted read-only.
    File,
    /// A link: made again, with this target.
    Link(PathBuf),
}

/// Programs and libraries, and the parts of `/etc` without which they do not work. Nothing of a user, no `shadow`.
const RUNTIME: [&str; 11] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/ssl/certs",
];

/// Looks for what `host-runtime` shows.
fn runtime_entries() -> Vec<RuntimeEntry> {
    RUNTIME.iter().filter_map(|path| runtime_entry(Path::new(path))).collect()
}

fn runtime_entry(path: &Path) -> Option<RuntimeEntry> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    let kind = if metadata.is_symlink() {
        RuntimeKind::Link(std::fs::read_link(path).ok()?)
    } else if metadata.is_dir() {
        RuntimeKind::Directory
    } else {
        RuntimeKind::File
    };
    Some(RuntimeEntry { path: path.to_owned(), kind })
}

/// The values of the named variables of our own environment, where they are set and are text.
fn env_of<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

/// Directories of programs that only root may write to.
const PROGRAMS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// The program that is wanted, or pasta where it is installed, else slirp4netns.
fn userspace(wanted: Option<NetworkProgram>) -> Option<UserspacePlan> {
    let known = [
        ("pasta", UserspaceKind::Pasta, NetworkProgram::Pasta),
        ("slirp4netns", UserspaceKind::Slirp4netns, NetworkProgram::Slirp4netns),
    ];
    let asked = known.into_iter().filter(|(.., program)| wanted.is_none_or(|wanted| wanted == *program));
    asked.map(|(name, kind, _)| (name, kind)).find_map(|(name, kind)| {
        let path =
            PROGRAMS.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.is_file())?;
        let output = std::process::Command::new(&path).arg("--version").env_clear().output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().trim().to_owned();
        Some(UserspacePlan { kind, path, version })
    })
}

/// Whether standard input is a terminal.
fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks the host what this profile depends on, and nothing else. `sources` are what was opened for it.
pub fn facts_for(profile: &Profile, sources: &Sources) -> HostFacts {
    let host_runtime = profile.rootfs.source() == RootfsSource::HostRuntime;
    HostFacts {
        env: env_of(profile.workload.env_from.iter().map(crate::profile::values::EnvName::as_str)),
        runtime: if host_runtime { runtime_entries() } else { Vec::new() },
        terminal: profile.workload.terminal == Terminal::Auto && stdin_is_terminal(),
        seccomp: match &profile.security.seccomp {
            Seccomp::File(file) => std::fs::read_to_string(file.file.as_path()).ok(),
            Seccomp::Named(_) => None,
        },
        own_namespaces: own_namespaces(&profile.namespaces, sources),
        sources: sources.found.clone(),
        roots: sources.roots.clone(),
        devices: profile.devices.iter().flatten().map(device).collect(),
        block_devices: block_devices(&profile.resources.io),
        denied: denied_places(&profile.mounts.policy.deny),
        userspace: (profile.network.mode == NetworkMode::Userspace)
            .then(|| userspace(profile.network.program))
            .flatten(),
        swap: if profile.secrets.is_empty() { Swap::Never } else { swap() },
    }
}

/// Asks the host what bounding this `config.json` depends on.
pub fn engine_facts(config: &serde_json::Value, sources: &Sources, policy: &Policy) -> EngineFacts {
    let namespaces = config.pointer("/linux/namespaces").and_then(serde_json::Value::as_array);
    let own = |entry: &serde_json::Value| {
        let (kind, _) = (entry.get("type")?.as_str()?, entry.get("path")?.as_str()?);
        (owner(kind, &sources.namespaces) != Owner::Other).then(|| kind.to_owned())
    };
    EngineFacts {
        own_namespaces: namespaces.into_iter().flatten().filter_map(own).collect(),
        sources: sources.found.clone(),
        root: sources.roots.first().map(|(_, root)| root.clone()),
        places: if policy.allow_targets.is_some() { places(config, sources) } else { BTreeMap::new() },
    }
}

/// Where each mount goes, in the order in which they are made: each can lie behind a link of the image or of an earlier one.
fn places(
    config: &serde_json::Value,
    sources: &Sources,
) -> BTreeMap<usize, std::result::Result<PathBuf, String>> {
    let mounts = config.get("mounts").and_then(serde_json::Value::as_array);
    let targets = mounts.into_iter().flatten().map(|mount| {
        Path::new(mount.get("destination").and_then(serde_json::Value::as_str).unwrap_or_default())
    });
    let Some(root) = sources.opened_roots.values().next() else {
        let why = || Err("the root file system was not opened".to_owned());
        return targets.enumerate().map(|(index, _)| (index, why())).collect();
    };
    let mut tree = Tree::new(Some(root.as_fd()));
    let place = |(index, target): (usize, &Path)| {
        let place = tree.lead(target).map(|lead| lead.place);
        if let Ok(place) = &place {
            tree.mount(place.clone(), sources.opened.get(&index).map(AsFd::as_fd));
        }
        (index, place.map_err(|error| error.to_string()))
    };
    targets.enumerate().map(place).collect()
}

fn own_namespaces(namespaces: &Namespaces, sources: &Sources) -> BTreeSet<&'static str> {
    let kinds = namespaces.joined().into_iter().map(|(kind, _)| kind);
    kinds.filter(|kind| owner(kind, &sources.namespaces) == Owner::Host).collect()
}

/// A link is not followed: a device of the host is what stands at its path, not where somebody points.
fn device(device: &Device) -> (PathBuf, DeviceFact) {
    let path = device.path.as_path();
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::open(path, flags, Mode::empty()).and_then(|opened| rustix::fs::fstat(&opened));
    let fact = match found {
        Err(Errno::NOENT | Errno::NOTDIR) => DeviceFact::Missing,
        Err(errno) => DeviceFact::Closed(std::io::Error::from(errno).to_string()),
        Ok(stat) => {
            let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            let node = |kind| DeviceFact::Node(DeviceNumber { kind, major, minor }, stat.st_mode & 0o777);
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::CharacterDevice => node(DeviceKind::Character),
                FileType::BlockDevice => node(DeviceKind::Block),
                FileType::Symlink => DeviceFact::Link(std::fs::read_link(path).unwrap_or_default()),
                _ => DeviceFact::Other,
            }
        }
    };
    (path.to_owned(), fact)
}

/// tmpfs has `noswap` since Linux 6.4, and takes it in the host's own user namespace alone.
fn swap() -> Swap {
    let has_none = |text: String| text.lines().count() <= 1;
    if std::fs::read_to_string("/proc/swaps").is_ok_and(has_none) {
        return Swap::Never;
    }
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if map.split_whitespace().nth(2) != Some("4294967295") {
        return Swap::Possible("nucleus runs in a user namespace");
    }
    match release(rustix::system::uname().release().to_str().unwrap_or_default()) {
        Some(version) if version >= (6, 4) => Swap::Never,
        _ => Swap::Possible("the kernel is older than 6.4"),
    }
}

fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn block_devices(io: &Io) -> BTreeMap<String, (u32, u32)> {
    let operations = [&io.read_iops, &io.write_iops].into_iter().flat_map(BTreeMap::keys);
    let devices = [&io.read_bps, &io.write_bps].into_iter().flat_map(BTreeMap::keys).chain(operations);
    devices
        .filter_map(|device| match device {
            DeviceRef::Path(path) => Some((device.to_string(), block_device(path.as_path())?)),
            DeviceRef::Numbers(..) => None,
        })
        .collect()
}

fn block_device(path: &Path) -> Option<(u32, u32)> {
    let metadata = std::fs::metadata(path).ok()?;
    let device = metadata.rdev();
    metadata.file_type().is_block_device().then(|| (rustix::fs::major(device), rustix::fs::minor(device)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_a_version_and_more() {
        assert_eq!([release("6.18.1"), release("6.1.0-38-amd64")], [Some((6, 18)), Some((6, 1))]);
        assert_eq!([release("6"), release("")], [None, None]);
    }
}
