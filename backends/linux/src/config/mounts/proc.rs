//! What may be mounted on `/proc` and below: what would lie there to the container's tools, and to a runtime that writes
//! its labels through it (CVE-2019-16884, CVE-2025-52881), may not.

use nucleus_abi::Result;
use nucleus_sys::in_root::InRootPath;

use super::Content;
use crate::fault::{invalid, unsupported};

/// Files of statistics that lxcfs and its kind emulate; the list is runc's.
const EMULATED: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "net/dev",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// Checks `mounts[index]`. Whether a bind mount on `/proc` shows a procfs is seen when its source is opened.
pub(super) fn check(index: usize, target: &InRootPath, content: &Content) -> Result<()> {
    let text = target.to_string();
    let Some(below) = text.strip_prefix("/proc") else { return Ok(()) };
    let field = format!("mounts[{index}].destination");
    match (below.strip_prefix('/'), content) {
        (None, _) if !below.is_empty() => Ok(()),
        (_, Content::Remount(_)) | (None, Content::Bind { .. }) => Ok(()),
        (None, Content::New(file_system)) if file_system.kind == "proc" => Ok(()),
        (None, _) => Err(invalid(field, "only a procfs is mounted on /proc")),
        (Some(file), Content::Bind { .. }) if EMULATED.contains(&file) => Ok(()),
        (Some(_), _) => Err(unsupported(field, format!("{text} lies inside of /proc"))
            .hint("mount it elsewhere; to hide a path of /proc use `linux.maskedPaths`")),
    }
}
