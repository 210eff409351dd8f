//! `mounts`: what may be mounted where, with the flags that the profile promises, and the Landlock rules that follow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nucleus_abi::{LandlockRule, Result};
use serde_json::{Value, json};

use super::EngineFacts;
use super::document::{Document, invalid};
use crate::plan::bounds::{Bounds, LandlockBound};
use crate::plan::landlock::default_rules;
use crate::plan::policy::{Objection, Policy, Source, rule};
use crate::plan::types::{Access, Execution, Submounts, TmpfsPlan, VolumePlan};

/// File systems that a container may have new, and the one place of those through which the kernel is spoken to:
/// elsewhere no mask and no read-only path would cover them.
const NEW: [(&str, Option<&str>); 7] = [
    ("tmpfs", None),
    ("devpts", None),
    ("mqueue", None),
    ("proc", Some("/proc")),
    ("sysfs", Some("/sys")),
    ("cgroup", Some("/sys/fs/cgroup")),
    ("cgroup2", Some("/sys/fs/cgroup")),
];
/// File systems of the kernel that are read-only: what can be written there concerns the host.
const READ_ONLY: [&str; 3] = ["sysfs", "cgroup", "cgroup2"];
/// New file systems that are part of every container.
const STANDARD: [(&str, &str); 7] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("tmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("cgroup", "/sys/fs/cgroup"),
    ("cgroup2", "/sys/fs/cgroup"),
];
/// Options that let mounts out to the host.
const SHARED: [&str; 2] = ["shared", "rshared"];
/// Options that undo what is forced.
const LOOSE: [(&str, &str); 3] = [("nosuid", "suid"), ("nodev", "dev"), ("ro", "rw")];

pub(super) fn tighten(document: &mut Document<'_>, bounds: &Bounds, facts: &EngineFacts) -> Result<()> {
    let mut mounts = document.list("mounts")?.to_vec();
    for (index, mount) in mounts.iter_mut().enumerate() {
        let field = format!("mounts[{index}]");
        let options = options(mount, &field)?;
        let kind = Kind::of(mount, &options);
        if let Some((asked, hint)) = objection(mount, &options, kind) {
            document.refuse(&field, asked, &bounds.held.profile, hint);
        }
        for objection in objections(&bounds.held.mounts, mount, kind, (index, facts)) {
            document.object(&field, &objection, &bounds.held.profile);
        }
        let forced = forced(mount, kind).iter().fold(options.clone(), |options, flag| force(options, flag));
        if forced != options {
            mount["options"] = json!(forced);
        }
    }
    if mounts.is_empty() { Ok(()) } else { document.set("mounts", mounts, &bounds.held.profile.decided) }
}

/// What a mount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind<'m> {
    /// A file or directory of the host.
    Bind,
    /// One with all that is mounted below it.
    RecursiveBind,
    /// A new file system.
    New(&'m str),
}

impl<'m> Kind<'m> {
    fn of(mount: &'m Value, options: &[String]) -> Self {
        let kind = text(mount, "type");
        let has = |name: &str| options.iter().any(|option| option == name);
        match kind {
            _ if has("rbind") => Self::RecursiveBind,
            _ if has("bind") => Self::Bind,
            // A source without a type is the host's, and then everything below it comes along.
            "bind" | "" | "none" => Self::RecursiveBind,
            kind => Self::New(kind),
        }
    }
}

/// What the profile's mount policy has against a mount.
fn objections(
    policy: &Policy,
    mount: &Value,
    kind: Kind<'_>,
    known: (usize, &EngineFacts),
) -> Vec<Objection> {
    let destination = Path::new(text(mount, "destination"));
    let (index, facts) = known;
    let target = || policy.target(destination).and_then(|()| policy.place(destination, facts.place(index)));
    let verdicts = match kind {
        Kind::New(name) if is_standard(name, destination) => return Vec::new(),
        Kind::New(name) => [policy.kind(name), target(), Ok(())],
        Kind::Bind | Kind::RecursiveBind => {
            let source = policy.known(&facts.source(index), Policy::source).map(drop);
            [policy.kind("bind"), target(), source]
        }
    };
    verdicts.into_iter().filter_map(std::result::Result::err).collect()
}

/// What every container has, whatever else is mounted (config-linux.md, "Default Filesystems"; its devices and groups).
fn is_standard(kind: &str, destination: &Path) -> bool {
    STANDARD.iter().any(|(known, place)| *known == kind && destination == Path::new(place))
}

/// By which rule each bind mount is there, by its field; what is refused is not among them.
pub(super) fn admitted(
    document: &Document<'_>,
    bounds: &Bounds,
    facts: &EngineFacts,
) -> BTreeMap<String, String> {
    let policy = &bounds.held.mounts;
    let mounts = document.list("mounts").unwrap_or_default().iter().enumerate();
    let allowed = mounts.filter_map(|(index, _)| match facts.sources.get(&index)? {
        source @ Source::Found(found) => {
            let ground = policy.known(source, Policy::source).ok()?;
            let why = format!("{}, allowed by {}", found.path.display(), rule(policy, ground));
            Some((format!("mounts[{index}].source"), why))
        }
        Source::Hidden(_) | Source::Closed(_) => None,
    });
    allowed.collect()
}

/// Why no container may have a mount, and what to do.
fn objection(mount: &Value, options: &[String], kind: Kind<'_>) -> Option<(String, &'static str)> {
    let destination = Path::new(text(mount, "destination"));
    let has = |names: &[&str]| options.iter().find(|option| names.contains(&option.as_str()));
    if let Some(shared) = has(&SHARED) {
        return Some((
            format!("`{shared}` lets mounts of the container out to the host"),
            "use `private` or `slave`",
        ));
    }
    if has(&["remount"]).is_some() {
        return Some((
            "`remount` changes what an earlier entry mounted".to_owned(),
            "say it in the first entry",
        ));
    }
    if destination.components().any(|part| part == std::path::Component::ParentDir) {
        let asked = format!("{} holds `..`", destination.display());
        return Some((asked, "name the place itself"));
    }
    match kind {
        Kind::New(name) => match NEW.iter().find(|(known, _)| *known == name) {
            None => Some((
                format!("`{name}` is a file system that reaches the host"),
                "mount it on the host, and bind it",
            )),
            Some((_, Some(place))) if destination != Path::new(place) => {
                Some((format!("`{name}` has its place at {place} only"), "mount it there, or leave it out"))
            }
            Some(_) => None,
        },
        Kind::Bind | Kind::RecursiveBind => None,
    }
}

fn text<'m>(mount: &'m Value, key: &str) -> &'m str {
    mount.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn options(mount: &Value, field: &str) -> Result<Vec<String>> {
    match mount.get("options") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => serde_json::from_value(list.clone())
            .map_err(|_| invalid(format!("{field}.options"), "is not a list of texts")),
    }
}

/// The device nodes are in `/dev`, so `nodev` is not for it. What comes along with a mount gets its flags too.
fn forced(mount: &Value, kind: Kind<'_>) -> Vec<&'static str> {
    let in_dev = Path::new(text(mount, "destination")).starts_with("/dev");
    let mut flags = match (kind, in_dev) {
        (Kind::RecursiveBind, true) => vec!["rnosuid"],
        (Kind::RecursiveBind, false) => vec!["rnosuid", "rnodev"],
        (_, true) => vec!["nosuid"],
        (_, false) => vec!["nosuid", "nodev"],
    };
    if matches!(kind, Kind::New(name) if READ_ONLY.contains(&name)) {
        flags.push("ro");
    }
    flags
}

/// The last word among contrary options counts (mount(8)), so the loose one goes.
fn force(options: Vec<String>, flag: &str) -> Vec<String> {
    let plain = |option: &str| LOOSE.iter().find(|(forced, _)| *forced == option).map(|(_, loose)| *loose);
    let loose = plain(flag).or_else(|| plain(flag.strip_prefix('r')?)).unwrap_or_default();
    let contrary = |option: &String| option == loose || option.strip_prefix('r') == Some(loose);
    let mut kept: Vec<String> = options.into_iter().filter(|option| !contrary(option)).collect();
    let stronger = format!("r{flag}");
    if !kept.iter().any(|option| option == flag || *option == stronger) {
        kept.push(flag.to_owned());
    }
    kept
}

/// The rules for the container as it will be: called last.
pub(super) fn landlock(document: &Document<'_>, bounds: &Bounds) -> Option<Vec<LandlockRule>> {
    match &bounds.landlock.as_ref()?.value {
        LandlockBound::Listed(rules) => Some(rules.clone()),
        LandlockBound::FromMounts => {
            let mounts = document.list("mounts").unwrap_or_default();
            let root = document.get("root.readonly").and_then(Value::as_bool);
            let root = if root == Some(true) { Access::ReadOnly } else { Access::ReadWrite };
            let volumes: Vec<VolumePlan> = mounts.iter().filter_map(volume).collect();
            Some(default_rules(root, volumes.iter(), std::iter::empty::<&TmpfsPlan>()))
        }
    }
}

/// A writable mount of whatever kind, as Landlock's default rules see it.
fn volume(mount: &Value) -> Option<VolumePlan> {
    let target = PathBuf::from(mount.get("destination")?.as_str()?);
    let options = options(mount, "mounts").ok()?;
    let has = |names: [&str; 2]| options.iter().any(|option| names.contains(&option.as_str()));
    Some(VolumePlan {
        source: PathBuf::new(),
        target,
        access: if has(["ro", "rro"]) { Access::ReadOnly } else { Access::ReadWrite },
        execution: if has(["noexec", "rnoexec"]) { Execution::Denied } else { Execution::Allowed },
        submounts: Submounts::Included,
        id_map: None,
    })
}
