//! `linux.devices` and `linux.resources.devices`: no device through which the host can be reached.

use nucleus_abi::Result;
use serde_json::Value;

use super::document::{Document, whole};
use super::limits::Excess;
use crate::plan::bounds::{Bound, DeviceBound, Held};

/// Major number of memory devices, mem(4).
const MEMORY: i128 = 1;
/// null, zero, full, random and urandom: the memory devices that every container has.
const HARMLESS_MEMORY: [i128; 5] = [3, 5, 7, 8, 9];
/// Major number of miscellaneous devices.
const MISCELLANEOUS: i128 = 10;
/// fuse, net/tun, and kvm: devices with which a workload harms itself alone (Documentation/admin-guide/devices.txt).
const HARMLESS_MISCELLANEOUS: [i128; 3] = [229, 200, 232];
/// Terminals of the asking process, and pseudoterminals, pts(4).
const TERMINALS: [i128; 10] = [5, 136, 137, 138, 139, 140, 141, 142, 143, 128];

pub(super) fn tighten(document: &mut Document<'_>, held: &Held) -> Result<()> {
    for (index, device) in document.list("linux.devices")?.to_vec().iter().enumerate() {
        let path = device.get("path").and_then(Value::as_str).unwrap_or_default();
        let field = format!("linux.devices[{index}]");
        match standing(device, held) {
            Standing::Allowed => {}
            Standing::Dangerous => {
                let asked = format!("{path} reaches the host");
                document.refuse(
                    &field,
                    asked,
                    &held.profile,
                    "leave the device out, or name it in the profile's `devices`",
                );
            }
            Standing::Unlisted(list) => {
                let asked = format!("{path} is not among the profile's `devices`");
                document.refuse(&field, asked, list, "leave the device out, or name it there");
            }
        }
    }
    rules(document, held, Excess::Lowered)
}

/// The rules of the device controller. What a profile that lists devices does not list is no longer allowed; in an update,
/// where somebody waits for an answer, it is refused.
pub(super) fn rules(document: &mut Document<'_>, held: &Held, excess: Excess) -> Result<()> {
    let rules = document.list("linux.resources.devices")?.to_vec();
    let mut kept = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let field = format!("linux.resources.devices[{index}]");
        let allows = rule.get("allow").and_then(Value::as_bool) == Some(true);
        // mknod(2) alone opens nothing: engines allow it for every device, and the root is `nodev`.
        let opens = access(rule) != "m";
        match standing(rule, held) {
            Standing::Dangerous if allows && opens => {
                let asked = "it allows devices that reach the host";
                document.refuse(&field, asked, &held.profile, "leave the rule out");
            }
            Standing::Unlisted(list) if allows && opens && excess == Excess::Refused => {
                let asked = "it allows more than the profile's `devices`";
                document.refuse(&field, asked, list, "leave the rule out, or name the device there");
            }
            Standing::Unlisted(_) if allows && opens => {}
            _ => kept.push(rule.clone()),
        }
    }
    match &held.devices {
        Some(list) if kept.len() < rules.len() => {
            document.set("linux.resources.devices", kept, &list.decided)
        }
        _ => Ok(()),
    }
}

/// What a profile says of a node, or of a rule.
enum Standing<'h> {
    /// The profile names it, or every container has it, or the profile leaves harmless ones to the engine.
    Allowed,
    /// It is not in the list that the profile has.
    Unlisted(&'h Bound<Vec<DeviceBound>>),
    /// The host can be reached through it.
    Dangerous,
}

fn standing<'h>(device: &Value, held: &'h Held) -> Standing<'h> {
    let (kind, numbers) = (kind(device), (number(device, "major"), number(device, "minor")));
    let asked = access(device);
    let is_listed = |list: &Bound<Vec<DeviceBound>>| {
        list.value.iter().any(|listed| {
            (listed.kind == kind || (listed.kind == "c" && kind == "u"))
                && numbers == (Some(listed.major.into()), Some(listed.minor.into()))
                && asked.chars().all(|letter| letter == 'm' || listed.access.contains(letter))
        })
    };
    match &held.devices {
        Some(list) if is_listed(list) => Standing::Allowed,
        _ if is_dangerous(kind, numbers) => Standing::Dangerous,
        Some(list) if !is_standard(kind, numbers) => Standing::Unlisted(list),
        _ => Standing::Allowed,
    }
}

/// What is asked for of a device: nothing for a node, everything for a rule that does not say.
fn access(device: &Value) -> &str {
    let is_rule = device.get("allow").is_some();
    match device.get("access").and_then(Value::as_str) {
        None | Some("") if is_rule => "rwm",
        access => access.unwrap_or_default(),
    }
}

/// What every container has.
fn is_standard(kind: &str, numbers: (Option<i128>, Option<i128>)) -> bool {
    let is_terminal = |major| TERMINALS.contains(&major);
    match (kind, numbers) {
        ("p", _) => true,
        ("c" | "u", (Some(MEMORY), Some(minor))) => HARMLESS_MEMORY.contains(&minor),
        ("c" | "u", (Some(major), _)) => is_terminal(major),
        _ => false,
    }
}

fn kind(device: &Value) -> &str {
    device.get("type").and_then(Value::as_str).unwrap_or("a")
}

/// A number; `None` is "all".
fn number(device: &Value, key: &str) -> Option<i128> {
    device.get(key).and_then(whole).filter(|number| *number >= 0)
}

/// Whether a node of this type and these numbers reaches the host; `None` is "all".
pub(in crate::plan) fn is_dangerous(kind: &str, numbers: (Option<i128>, Option<i128>)) -> bool {
    match (kind, numbers) {
        ("p", _) => false,
        ("c" | "u", (Some(MEMORY), Some(minor))) => !HARMLESS_MEMORY.contains(&minor),
        ("c" | "u", (Some(MISCELLANEOUS), Some(minor))) => !HARMLESS_MISCELLANEOUS.contains(&minor),
        ("c" | "u", (Some(major), _)) => !TERMINALS.contains(&major) && !is_accelerator(major),
        // Block devices hold the host's file systems; "all" holds them too.
        _ => true,
    }
}

/// Graphics and sound, which engines hand to workloads by name: drm, nvidia, alsa.
fn is_accelerator(major: i128) -> bool {
    [226, 195, 116].contains(&major)
}
