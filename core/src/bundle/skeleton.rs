//! The private root of a `host-runtime` container, as a list of things to make. Pure.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::plan::{Identity, Plan, RuntimeEntry, RuntimeKind};

use super::identity::Accounts;
use super::provided::{Place, PlaceKind};

/// One thing to make in the private root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A directory with a mode.
    Directory(PathBuf, u32),
    /// A link with its target.
    Link(PathBuf, PathBuf),
    /// A file with a mode and its content.
    File(PathBuf, u32, String),
}

impl Item {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Directory(path, _) | Self::Link(path, _) | Self::File(path, ..) => path,
        }
    }
}

/// Directories that programs expect, but for the mount points, which follow from the mounts.
const DIRECTORIES: [(&str, u32); 9] = [
    ("/etc", 0o755),
    ("/home", 0o755),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/srv", 0o755),
    ("/tmp", 0o1777),
    ("/var", 0o755),
    ("/var/lib", 0o755),
    ("/var/tmp", 0o1777),
];

/// Links in its `/etc`.
const ETC_LINKS: [(&str, &str); 2] =
    [("/etc/mtab", "../proc/self/mounts"), ("/etc/os-release", "../usr/lib/os-release")];

/// Everything that the private root holds, parents before children.
pub(super) fn skeleton(plan: &Plan, entries: &[RuntimeEntry], places: &[Place]) -> Vec<Item> {
    let mut items: Vec<Item> =
        DIRECTORIES.iter().map(|(path, mode)| Item::Directory(path.into(), *mode)).collect();
    items.extend(etc(plan));
    items.extend(links(entries).map(|(path, target)| Item::Link(path.to_owned(), target.to_owned())));
    let files = entries.iter().filter(|entry| entry.kind == RuntimeKind::File);
    items.extend(files.map(|entry| Item::File(entry.path.clone(), 0o644, String::new())));
    for place in places {
        add_place(&mut items, &place.path, place.kind, places);
    }
    add_place(&mut items, &plan.process.cwd.value, PlaceKind::Directory, places);
    items
}

/// Its links, each with its target.
pub(super) fn links(entries: &[RuntimeEntry]) -> impl Iterator<Item = (&Path, &Path)> {
    let own = ETC_LINKS.iter().map(|(path, target)| (Path::new(path), Path::new(target)));
    own.chain(entries.iter().filter_map(|entry| match &entry.kind {
        RuntimeKind::Link(target) => Some((entry.path.as_path(), target.as_path())),
        RuntimeKind::Directory | RuntimeKind::File => None,
    }))
}

/// Adds a place and the directories above it, unless they are there, or lie inside what will be mounted.
fn add_place(items: &mut Vec<Item>, place: &Path, kind: PlaceKind, mounts: &[Place]) {
    let mut above: Vec<&Path> = place.ancestors().filter(|path| path.parent().is_some()).collect();
    above.reverse();
    for path in above {
        let is_end = path.as_os_str() == place.as_os_str();
        match items.iter().find(|item| is_same(item.path(), path)) {
            Some(Item::Directory(..)) => {}
            Some(_) => return,
            None if is_end && kind == PlaceKind::File => {
                items.push(Item::File(path.to_owned(), 0o644, String::new()));
            }
            None => items.push(Item::Directory(path.to_owned(), 0o755)),
        }
        // Below a mount, the mounted file system must have the rest.
        if !is_end && mounts.iter().any(|mount| is_same(&mount.path, path)) {
            return;
        }
    }
}

/// Compares as text: the plan's paths are normal, and comparing hundreds of them part by part took a tenth of the time
/// before the clone.
fn is_same(one: &Path, other: &Path) -> bool {
    one.as_os_str() == other.as_os_str()
}

/// A minimal `/etc`: nothing of the host's accounts, no `shadow`.
fn etc(plan: &Plan) -> Vec<Item> {
    let file = |path: &str, text: String| Item::File(path.into(), 0o644, text);
    let hostname = plan.process.hostname.as_ref().map_or("nucleus", |name| name.value.as_str());
    vec![
        file("/etc/passwd", passwd(plan)),
        file("/etc/group", group(plan)),
        file("/etc/hostname", format!("{hostname}\n")),
        file("/etc/hosts", format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost {hostname}\n")),
        file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        Item::Directory("/etc/ssl".into(), 0o755),
    ]
}

/// The account files of the private root.
pub(super) fn accounts(plan: &Plan) -> Accounts {
    Accounts { passwd: passwd(plan), group: group(plan) }
}

fn passwd(plan: &Plan) -> String {
    let mut text =
        String::from("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n");
    if let Identity::Id(uid) = plan.process.user.value.user
        && !matches!(uid, 0 | 65534)
    {
        let gid = match plan.process.user.value.group {
            Some(Identity::Id(gid)) => gid,
            _ => 0,
        };
        let _ = writeln!(text, "workload:x:{uid}:{gid}:workload:/:/bin/sh");
    }
    text
}

fn group(plan: &Plan) -> String {
    let mut text = String::from("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n");
    if let Some(Identity::Id(gid)) = plan.process.user.value.group
        && !matches!(gid, 0 | 5 | 65534)
    {
        let _ = writeln!(text, "workload:x:{gid}:");
    }
    text
}
