//! `mounts`: flags that the profile promises, and Landlock rules that follow from them.

use std::path::{Path, PathBuf};

use nucleus_abi::{LandlockRule, Result};
use serde_json::{Value, json};

use super::document::{Document, invalid};
use crate::plan::bounds::{Bounds, LandlockBound};
use crate::plan::landlock::default_rules;
use crate::plan::types::{Access, Execution, Submounts, TmpfsPlan, VolumePlan};

/// File systems of the kernel: what can be written there concerns the host.
const KERNEL: [&str; 3] = ["sysfs", "cgroup", "cgroup2"];
/// Options that let mounts out to the host.
const SHARED: [&str; 2] = ["shared", "rshared"];
/// Options that undo what is forced.
const LOOSE: [(&str, &str); 3] = [("nosuid", "suid"), ("nodev", "dev"), ("ro", "rw")];

pub(super) fn tighten(document: &mut Document<'_>, bounds: &Bounds) -> Result<()> {
    let mut mounts = document.list("mounts")?.to_vec();
    for (index, mount) in mounts.iter_mut().enumerate() {
        let field = format!("mounts[{index}]");
        let options = options(mount, &field)?;
        if let Some(shared) = options.iter().find(|option| SHARED.contains(&option.as_str())) {
            let asked = format!("`{shared}` lets mounts of the container out to the host");
            document.refuse(&field, asked, &bounds.held.profile, "use `private` or `slave`");
        }
        let forced = forced(mount).into_iter().fold(options.clone(), force);
        if forced != options {
            mount["options"] = json!(forced);
        }
    }
    if mounts.is_empty() { Ok(()) } else { document.set("mounts", mounts, &bounds.held.profile.decided) }
}

fn options(mount: &Value, field: &str) -> Result<Vec<String>> {
    match mount.get("options") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => serde_json::from_value(list.clone())
            .map_err(|_| invalid(format!("{field}.options"), "is not a list of texts")),
    }
}

/// The device nodes are in `/dev`, so `nodev` is not for it.
fn forced(mount: &Value) -> Vec<&'static str> {
    let mut flags = vec!["nosuid"];
    let destination = mount.get("destination").and_then(Value::as_str).unwrap_or_default();
    if !Path::new(destination).starts_with("/dev") {
        flags.push("nodev");
    }
    if mount.get("type").and_then(Value::as_str).is_some_and(|kind| KERNEL.contains(&kind)) {
        flags.push("ro");
    }
    flags
}

/// The last word among contrary options counts (mount(8)), so the loose one goes.
fn force(options: Vec<String>, flag: &str) -> Vec<String> {
    let recursive = |option: &str| option.strip_prefix('r').unwrap_or_default().to_owned();
    let loose = LOOSE.iter().find(|(forced, _)| *forced == flag).map(|(_, loose)| *loose).unwrap_or_default();
    let contrary = |option: &String| option == loose || recursive(option) == loose;
    let mut kept: Vec<String> = options.into_iter().filter(|option| !contrary(option)).collect();
    let recursive_flag = format!("r{flag}");
    if !kept.iter().any(|option| option == flag || *option == recursive_flag) {
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
    })
}
