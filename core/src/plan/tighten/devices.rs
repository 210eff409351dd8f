//! `linux.devices` and `linux.resources.devices`: no device through which the host can be reached.

use nucleus_abi::Result;
use serde_json::Value;

use super::document::{Document, whole};
use crate::plan::bounds::Held;

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
        let numbers = (number(device, "major"), number(device, "minor"));
        if is_dangerous(kind(device), numbers) {
            let path = device.get("path").and_then(Value::as_str).unwrap_or_default();
            let asked = format!("{path} reaches the host");
            document.refuse(&format!("linux.devices[{index}]"), asked, &held.profile, "leave the device out");
        }
    }
    rules(document, held)
}

/// The rules of the device controller.
pub(super) fn rules(document: &mut Document<'_>, held: &Held) -> Result<()> {
    for (index, rule) in document.list("linux.resources.devices")?.to_vec().iter().enumerate() {
        let allows = rule.get("allow").and_then(Value::as_bool) == Some(true);
        // mknod(2) alone opens nothing: engines allow it for every device, and the root is `nodev`.
        let opens = rule.get("access").and_then(Value::as_str).is_none_or(|access| access != "m");
        if allows && opens && is_dangerous(kind(rule), (number(rule, "major"), number(rule, "minor"))) {
            let field = format!("linux.resources.devices[{index}]");
            document.refuse(
                &field,
                "it allows devices that reach the host",
                &held.profile,
                "leave the rule out",
            );
        }
    }
    Ok(())
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
