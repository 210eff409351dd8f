//! `process`: the program, its identity, its rights.

use std::ffi::CString;
use std::str::FromStr;

use nucleus_abi::Result;
use nucleus_sys::capability::{Capability, CapabilitySet, bounding};
use nucleus_sys::terminal::Winsize;
use oci_spec::runtime::{LinuxCapabilities, PosixRlimit};
use rustix::process::Resource;

use crate::fault::invalid;

/// The container's first process.
#[derive(Debug)]
pub struct Process {
    /// The program and its arguments; never empty.
    pub arguments: Vec<CString>,
    /// `NAME=value`, as given.
    pub environment: Vec<CString>,
    /// Working directory: an absolute path of the container.
    pub directory: CString,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// Resource limits: resource, soft, hard; in the unit of getrlimit(2), `u64::MAX` for no limit.
    pub limits: Vec<(Resource, u64, u64)>,
    /// Capability sets.
    pub capabilities: Capabilities,
    /// Whether it may gain privileges by executing a program.
    pub escalation: Escalation,
    /// A terminal of its own.
    pub terminal: Option<Terminal>,
    /// Adjustment of the out-of-memory score, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// The capability sets of the workload. The inheritable set is no choice: it holds what the kernel demands for the
/// ambient set and is empty otherwise (CVE-2022-24769).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `process.capabilities.bounding`.
    pub bounding: CapabilitySet,
    /// `process.capabilities.permitted`.
    pub permitted: CapabilitySet,
    /// `process.capabilities.effective`.
    pub effective: CapabilitySet,
    /// `process.capabilities.ambient`.
    pub ambient: CapabilitySet,
}

/// Whether set-user-ID bits and file capabilities work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escalation {
    /// They work, as on any Linux.
    Allowed,
    /// They don't: `no_new_privs`.
    Denied,
}

/// A terminal of the container's own.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Its size, where the document says it.
    pub size: Option<Winsize>,
}

pub(super) fn read(
    process: Option<&oci_spec::runtime::Process>,
    warnings: &mut Vec<String>,
) -> Result<Process> {
    let process = process.ok_or_else(|| invalid("process", "missing"))?;
    let user = process.user();
    if !process.cwd().is_absolute() {
        return Err(invalid("process.cwd", format!("{} is not an absolute path", process.cwd().display())));
    }
    Ok(Process {
        arguments: arguments(process.args().as_deref().unwrap_or_default())?,
        environment: strings("process.env", process.env().as_deref().unwrap_or_default())?,
        directory: string("process.cwd", process.cwd().as_os_str().as_encoded_bytes())?,
        uid: id("process.user.uid", user.uid())?,
        gid: id("process.user.gid", user.gid())?,
        groups: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask(),
        limits: limits(process.rlimits().as_deref().unwrap_or_default())?,
        capabilities: capabilities(process.capabilities().as_ref(), warnings)?,
        escalation: match process.no_new_privileges() {
            Some(true) => Escalation::Denied,
            _ => Escalation::Allowed,
        },
        terminal: terminal(process),
        oom_score_adj: oom_score_adj(process.oom_score_adj())?,
    })
}

fn arguments(args: &[String]) -> Result<Vec<CString>> {
    match args.first().map(String::as_str) {
        None => Err(invalid("process.args", "there is no program to run")),
        Some("") => Err(invalid("process.args[0]", "the name of the program is empty")),
        Some(_) => strings("process.args", args),
    }
}

fn strings(field: &str, texts: &[String]) -> Result<Vec<CString>> {
    let numbered = texts.iter().enumerate();
    numbered.map(|(index, text)| string(&format!("{field}[{index}]"), text.as_bytes())).collect()
}

fn string(field: &str, text: &[u8]) -> Result<CString> {
    CString::new(text).map_err(|_| invalid(field, "holds a NUL byte"))
}

/// 4294967295 means "no change" to setresuid(2), and would leave the workload root.
fn id(field: &str, id: u32) -> Result<u32> {
    match id {
        u32::MAX => Err(invalid(field, "4294967295 is no id")),
        id => Ok(id),
    }
}

fn limits(entries: &[PosixRlimit]) -> Result<Vec<(Resource, u64, u64)>> {
    entries.iter().enumerate().map(|(index, entry)| limit(index, entry)).collect()
}

fn limit(index: usize, entry: &PosixRlimit) -> Result<(Resource, u64, u64)> {
    let field = format!("process.rlimits[{index}]");
    let name = entry.typ().to_string();
    let resource = nucleus_sys::rlimit::resource(&name)
        .ok_or_else(|| invalid(&field, format!("`{name}` is no resource limit")))?;
    if entry.soft() > entry.hard() {
        return Err(invalid(field, format!("{name}: the soft limit is above the hard one")));
    }
    Ok((resource, entry.soft(), entry.hard()))
}

fn capabilities(asked: Option<&LinuxCapabilities>, warnings: &mut Vec<String>) -> Result<Capabilities> {
    let Some(asked) = asked else { return Ok(Capabilities::default()) };
    let read = |set: &Option<oci_spec::runtime::Capabilities>| -> Result<CapabilitySet> {
        set.iter().flatten().map(|name| capability(&name.to_string())).collect()
    };
    let sets =
        [read(asked.bounding())?, read(asked.permitted())?, read(asked.effective())?, read(asked.ambient())?];
    let [bounding, permitted, effective, ambient] = grantable(sets, warnings);
    if !effective.difference(permitted).is_empty() {
        return Err(invalid("process.capabilities.effective", "holds what `permitted` does not"));
    }
    // Engines list ambient capabilities that they do not permit; the kernel drops them, and so do we (as runc).
    Ok(Capabilities { bounding, permitted, effective, ambient: ambient.intersection(permitted) })
}

/// The specification: what cannot be granted is told and is no error. Nobody can grant what the kernel does not have, or
/// what is not in the bounding set that the container's process inherits from us.
fn grantable(sets: [CapabilitySet; 4], warnings: &mut Vec<String>) -> [CapabilitySet; 4] {
    let asked = CapabilitySet::from_bits(sets.iter().fold(0, |bits, set| bits | set.bits()));
    if asked.is_empty() {
        return sets;
    }
    let held = bounding();
    let lacking = asked.difference(held).iter();
    warnings.extend(
        lacking.map(|name| format!("{name} is not granted: it is not in the bounding set of nucleus itself")),
    );
    sets.map(|set| set.intersection(held))
}

fn capability(name: &str) -> Result<Capability> {
    Capability::from_str(name).map_err(|error| invalid("process.capabilities", error))
}

fn terminal(process: &oci_spec::runtime::Process) -> Option<Terminal> {
    if process.terminal() != Some(true) {
        return None;
    }
    let cells = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
    let size = process.console_size().map(|size| Winsize {
        ws_row: cells(size.height()),
        ws_col: cells(size.width()),
        ws_xpixel: 0,
        ws_ypixel: 0,
    });
    Some(Terminal { size })
}

fn oom_score_adj(value: Option<i32>) -> Result<Option<i32>> {
    match value {
        Some(value) if !(-1000..=1000).contains(&value) => {
            Err(invalid("process.oomScoreAdj", "lies between -1000 and 1000"))
        }
        value => Ok(value),
    }
}
