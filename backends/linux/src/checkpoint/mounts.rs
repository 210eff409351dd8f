//! Mounts of the container that criu can neither write into its images nor make anew, for they show what belongs to the host:
//! each gets a key, and [`super::restore`] puts something of the same kind in its place.
//!
//! Keys are ours alone, and say nothing: criu looks a mount up by the text `mnt[PLACE]:`, so that a place which holds `]:` could
//! pass for another's key, and a path in a key for another path (runc and crun, 2026).

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::OFlags;
use nucleus_sys::device::Special;
use nucleus_sys::in_root::{InRootPath, Root};
use serde::{Deserialize, Serialize};

use crate::config::{Configuration, Content};
use crate::fault::{OrFail, unsupported};
use crate::init::devices::is_standard;

const STEP: &str = "look at the container's mounts";

/// One mount of the container, from mountinfo (`proc_pid_mountinfo(5)`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    id: u64,
    parent: u64,
    /// Device number of its file system.
    device: String,
    /// What of the file system it shows.
    root: String,
    place: String,
    kind: String,
}

/// A mount that comes from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct External {
    pub(super) key: String,
    /// Where it is in the container.
    pub(super) place: String,
    pub(super) shows: Shows,
}

/// What such a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shows {
    /// An entry of `mounts`, or what is mounted below its source.
    Bind { mount: usize, destination: String, below: String },
    /// One of the container's groups, by the name of its hierarchy.
    Group { hierarchy: String },
    /// A standard device of the host.
    Device { major: u32, minor: u32 },
}

/// What the container's configuration made of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Configured<'c> {
    Bind(usize, &'c InRootPath),
    Groups,
    Other,
}

/// What was found of the container's mounts.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) external: Vec<External>,
    /// The ids of all of them.
    pub(super) ids: Vec<u64>,
    /// The places of those that lie on the root file system itself.
    pub(super) on_root: Vec<String>,
}

/// Looks at them.
pub(super) fn external(configuration: &Configuration, mountinfo: &str, root: Root<'_>) -> Result<Found> {
    let seen = parse(mountinfo).ok_or_else(|| Error::new(ErrorCode::Protocol, STEP).on("mountinfo"))?;
    let mut configured = BTreeMap::new();
    for mount in &configuration.mounts {
        let Some(id) = id_at(root, &mount.target)? else { continue };
        let made = match &mount.content {
            Content::Bind { .. } => Configured::Bind(mount.index, &mount.target),
            Content::Cgroup => Configured::Groups,
            Content::New(_) | Content::Remount(_) => Configured::Other,
        };
        // A remount is what it was before.
        configured.entry(id).or_insert(made);
    }
    let device = |place: &str| device_at(root, place);
    let external = list(&seen, &configured, device)?;
    let ids = seen.iter().map(|mount| mount.id).collect();
    let top = seen.iter().find(|mount| mount.place == "/").map(|top| top.id);
    let on_root = seen.iter().filter(|mount| Some(mount.parent) == top && Some(mount.id) != top);
    Ok(Found { external, ids, on_root: on_root.map(|mount| mount.place.clone()).collect() })
}

fn list(
    seen: &[Seen],
    configured: &BTreeMap<u64, Configured<'_>>,
    device: impl Fn(&str) -> Result<Option<(u32, u32)>>,
) -> Result<Vec<External>> {
    let mut list = Vec::new();
    for mount in seen.iter().filter(|mount| mount.place != "/") {
        let Some(shows) = shows(mount, seen, configured, &device)? else { continue };
        if mount.place.contains("]:") {
            return Err(unsupported(
                "mounts",
                format!("{}: criu cannot tell a place with `]:` from another's key", mount.place),
            )
            .hint("mount it somewhere else"));
        }
        list.push(External { key: format!("m{}", list.len()), place: mount.place.clone(), shows });
    }
    Ok(list)
}

fn shows(
    mount: &Seen,
    seen: &[Seen],
    configured: &BTreeMap<u64, Configured<'_>>,
    device: &impl Fn(&str) -> Result<Option<(u32, u32)>>,
) -> Result<Option<Shows>> {
    let nearest = nearest(mount, seen, configured);
    let is_group = mount.kind == "cgroup" || mount.kind == "cgroup2";
    match nearest {
        Some((top, Configured::Bind(index, destination))) => {
            let below = mount.place.strip_prefix(&top.place).unwrap_or_default().trim_start_matches('/');
            return Ok(Some(Shows::Bind {
                mount: index,
                destination: destination.to_string(),
                below: below.to_owned(),
            }));
        }
        Some((_, Configured::Groups)) if is_group => {
            let hierarchy = mount.place.rsplit('/').next().unwrap_or_default().to_owned();
            return Ok(Some(Shows::Group { hierarchy }));
        }
        _ => {}
    }
    // Where the whole file system is mounted too, criu makes the one of the other.
    if seen.iter().any(|other| other.device == mount.device && other.root == "/") {
        return Ok(None);
    }
    match device(&mount.place)? {
        Some((major, minor)) if is_standard((major, minor)) => Ok(Some(Shows::Device { major, minor })),
        _ => Err(unsupported(
            "the container's mounts",
            format!(
                "{} shows {} of a file system of the host's, and no entry of `mounts` says so",
                mount.place, mount.root
            ),
        )),
    }
}

/// The configured mount that it is, or on which it lies.
fn nearest<'a, 'c>(
    mount: &'a Seen,
    seen: &'a [Seen],
    configured: &BTreeMap<u64, Configured<'c>>,
) -> Option<(&'a Seen, Configured<'c>)> {
    let mut here = mount;
    loop {
        if let Some(made) = configured.get(&here.id) {
            return Some((here, *made));
        }
        here = seen.iter().find(|above| above.id == here.parent && above.place != "/")?;
    }
}

/// The id of the mount at a path of the container; `None` where there is nothing any more.
fn id_at(root: Root<'_>, path: &InRootPath) -> Result<Option<u64>> {
    match root.open(path, OFlags::PATH) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        opened => id_of(&opened.or_fail(STEP, path)?).or_fail(STEP, path).map(Some),
    }
}

fn id_of(file: &OwnedFd) -> std::io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    mount_id(&text).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// `mnt_id` of an fdinfo, `proc_pid_fdinfo(5)`.
pub(super) fn mount_id(fdinfo: &str) -> Option<u64> {
    fdinfo.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

fn device_at(root: Root<'_>, place: &str) -> Result<Option<(u32, u32)>> {
    let path = InRootPath::new(place).map_err(std::io::Error::other).or_fail(STEP, place)?;
    let file = root.open_no_follow(&path, OFlags::PATH).or_fail(STEP, place)?;
    match Special::of(file.as_fd()).or_fail(STEP, place)? {
        Some(Special::Char(major, minor)) => Ok(Some((major, minor))),
        _ => Ok(None),
    }
}

fn parse(mountinfo: &str) -> Option<Vec<Seen>> {
    mountinfo.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Seen> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ');
    let mut next = || fields.next();
    Some(Seen {
        id: next()?.parse().ok()?,
        parent: next()?.parse().ok()?,
        device: next()?.to_owned(),
        root: unescape(next()?)?,
        place: unescape(next()?)?,
        kind: after.split(' ').next()?.to_owned(),
    })
}

/// Blanks and backslashes are written as three octal digits. `None` for what is no text: criu is told of places as text.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(3)?;
        bytes.push(u8::from_str_radix(digits, 8).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
        43 45 254:0 /srv/rootfs / rw,nodev - ext4 /dev/vda rw\n\
        44 43 254:0 /srv/files /files rw,nodev - ext4 /dev/vda rw\n\
        46 44 0:50 / /files/sub\\040dir rw - tmpfs tmpfs rw\n\
        47 44 0:51 / /files/cache rw - tmpfs tmpfs rw\n\
        68 43 0:40 / /proc rw - proc proc rw\n\
        70 43 0:6 /null /dev/null ro - devtmpfs devtmpfs rw\n\
        72 68 0:6 /null /proc/keys ro - devtmpfs devtmpfs rw\n\
        87 68 0:40 /sys /proc/sys ro - proc proc rw\n";

    fn path(text: &str) -> InRootPath {
        InRootPath::new(text).unwrap()
    }

    fn listed(mountinfo: &str) -> Result<Vec<External>> {
        let files = path("/files");
        let configured =
            [(44, Configured::Bind(3, &files)), (47, Configured::Other), (68, Configured::Other)];
        list(&parse(mountinfo).unwrap(), &configured.into(), |place| {
            Ok((place == "/dev/null" || place == "/proc/keys").then_some((1, 3)))
        })
    }

    #[test]
    fn what_belongs_to_the_host_gets_a_key_that_says_nothing() {
        let found: Vec<_> =
            listed(MOUNTINFO).unwrap().into_iter().map(|one| (one.key, one.place, one.shows)).collect();
        let bind =
            |below: &str| Shows::Bind { mount: 3, destination: "/files".to_owned(), below: below.to_owned() };
        let null = Shows::Device { major: 1, minor: 3 };
        let expected = [
            ("m0", "/files", bind("")),
            ("m1", "/files/sub dir", bind("sub dir")),
            ("m2", "/dev/null", null.clone()),
            ("m3", "/proc/keys", null),
        ];
        assert_eq!(found, expected.map(|(key, place, shows)| (key.to_owned(), place.to_owned(), shows)));
    }

    #[test]
    fn a_place_that_could_pass_for_a_key_is_refused() {
        let error = listed(&MOUNTINFO.replace("/files/sub", "/files/sub]:x")).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotSupported);
        assert!(error.to_string().contains("/files/sub]:x dir"), "{error}");
        // What criu makes itself needs no key.
        listed(&MOUNTINFO.replace("/files/cache", "/files/ca]:che")).unwrap();
    }

    #[test]
    fn what_nobody_asked_for_and_is_the_hosts_is_refused() {
        let error = listed(&MOUNTINFO.replace("/proc/keys", "/proc/other")).unwrap_err();
        assert!(error.to_string().contains("/proc/other"), "{error}");
    }

    #[test]
    fn a_descriptors_mount_is_read() {
        assert_eq!(mount_id("pos:\t0\nflags:\t02\nmnt_id:\t24\nino:\t3\n"), Some(24));
        assert_eq!(unescape("a\\134b\\040"), Some("a\\b ".to_owned()));
        assert_eq!(unescape("a\\13"), None);
    }
}
