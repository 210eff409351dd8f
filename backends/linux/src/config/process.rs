//! `process`: the program, its identity, its rights.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::str::FromStr;

use nucleus_abi::Result;
use nucleus_sys::capability::{Capability, CapabilitySet, bounding};
use nucleus_sys::scheduling::Schedule;
use nucleus_sys::terminal::Winsize;
use rustix::process::Resource;

use super::document::{self, Text};
use super::scheduling::{self, Affinity, IoPriority};
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
    /// How it is scheduled.
    pub schedule: Option<Schedule>,
    /// Its priority for block devices.
    pub io_priority: Option<IoPriority>,
    /// On which processors it runs, if it is executed in a container that runs.
    pub affinity: Affinity,
    /// Labels of security modules.
    pub labels: Labels,
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

/// What security modules call the process by.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The `AppArmor` profile.
    pub apparmor: Option<String>,
    /// The `SELinux` context.
    pub selinux: Option<String>,
}

/// A terminal of the container's own.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Its size, where the document says it.
    pub size: Option<Winsize>,
}

pub(super) fn read(process: Option<&document::Process<'_>>, warnings: &mut Vec<String>) -> Result<Process> {
    let process = process.ok_or_else(|| invalid("process", "missing"))?;
    let user = &process.user;
    if !process.cwd.starts_with('/') {
        return Err(invalid("process.cwd", format!("{} is not an absolute path", process.cwd)));
    }
    Ok(Process {
        arguments: arguments(&process.args)?,
        environment: strings("process.env", &process.env)?,
        directory: string("process.cwd", &process.cwd)?,
        uid: id("process.user.uid", user.uid)?,
        gid: id("process.user.gid", user.gid)?,
        groups: groups(&user.additional_gids)?,
        umask: umask(user.umask)?,
        limits: limits(&process.rlimits)?,
        capabilities: capabilities(process.capabilities.as_ref(), warnings)?,
        escalation: if process.no_new_privileges { Escalation::Denied } else { Escalation::Allowed },
        terminal: terminal(process),
        oom_score_adj: oom_score_adj(process.oom_score_adj)?,
        schedule: process.scheduler.as_ref().map(scheduling::schedule).transpose()?,
        io_priority: process.io_priority.as_ref().map(scheduling::io_priority).transpose()?,
        affinity: process
            .exec_cpu_affinity
            .as_ref()
            .map(scheduling::affinity)
            .transpose()?
            .unwrap_or_default(),
        labels: Labels {
            apparmor: label("process.apparmorProfile", process.apparmor_profile.as_ref())?,
            selinux: label("process.selinuxLabel", process.selinux_label.as_ref())?,
        },
    })
}

fn arguments(args: &[Text<'_>]) -> Result<Vec<CString>> {
    match args.first().map(|text| &**text) {
        None => Err(invalid("process.args", "there is no program to run")),
        Some("") => Err(invalid("process.args[0]", "the name of the program is empty")),
        Some(_) => strings("process.args", args),
    }
}

fn strings(field: &str, texts: &[Text<'_>]) -> Result<Vec<CString>> {
    let numbered = texts.iter().enumerate();
    numbered.map(|(index, text)| string(&format!("{field}[{index}]"), text)).collect()
}

fn string(field: &str, text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| invalid(field, "holds a NUL byte"))
}

/// 4294967295 means "no change" to setresuid(2), and would leave the workload root.
fn id(field: &str, id: u32) -> Result<u32> {
    match id {
        u32::MAX => Err(invalid(field, "4294967295 is no id")),
        id => Ok(id),
    }
}

fn groups(ids: &[u32]) -> Result<Vec<u32>> {
    let numbered = ids.iter().enumerate();
    numbered.map(|(index, gid)| id(&format!("process.user.additionalGids[{index}]"), *gid)).collect()
}

fn umask(mask: Option<u32>) -> Result<Option<u32>> {
    match mask {
        Some(mask) if mask > 0o777 => Err(invalid("process.user.umask", "lies between 0 and 0777 (511)")),
        mask => Ok(mask),
    }
}

fn limits(entries: &[document::Rlimit<'_>]) -> Result<Vec<(Resource, u64, u64)>> {
    let mut limits: Vec<(Resource, u64, u64)> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let limit = limit(index, entry)?;
        // config.md, "POSIX process": duplicated entries with the same type must be an error.
        if limits.iter().any(|before| before.0 == limit.0) {
            return Err(invalid(format!("process.rlimits[{index}].type"), "is there twice"));
        }
        limits.push(limit);
    }
    Ok(limits)
}

fn limit(index: usize, entry: &document::Rlimit<'_>) -> Result<(Resource, u64, u64)> {
    let field = format!("process.rlimits[{index}]");
    let name = &entry.kind;
    let resource = nucleus_sys::rlimit::resource(name)
        .ok_or_else(|| invalid(format!("{field}.type"), format!("`{name}` is no resource limit")))?;
    if entry.soft > entry.hard {
        return Err(invalid(field, format!("{name}: the soft limit is above the hard one")));
    }
    Ok((resource, entry.soft, entry.hard))
}

fn capabilities(
    asked: Option<&document::Capabilities<'_>>,
    warnings: &mut Vec<String>,
) -> Result<Capabilities> {
    let Some(asked) = asked else { return Ok(Capabilities::default()) };
    let lists = [&asked.bounding, &asked.permitted, &asked.effective, &asked.ambient];
    warnings.extend(unknown(lists).map(|name| format!("{name} is not granted: no such capability is known")));
    let sets = lists.map(|list| list.iter().filter_map(|name| Capability::from_str(name).ok()).collect());
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

/// Names of capabilities that nobody knows, each once; newer kernels have more (config.md, "Linux Process").
fn unknown<'d>(lists: [&'d Vec<Text<'_>>; 4]) -> impl Iterator<Item = &'d str> {
    let names = lists.into_iter().flatten().map(|name| &**name);
    let unknown: BTreeSet<_> = names.filter(|name| Capability::from_str(name).is_err()).collect();
    unknown.into_iter()
}

fn terminal(process: &document::Process<'_>) -> Option<Terminal> {
    if !process.terminal {
        return None;
    }
    let cells = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
    let size = process.console_size.map(|size| Winsize {
        ws_row: cells(size.height),
        ws_col: cells(size.width),
        ws_xpixel: 0,
        ws_ypixel: 0,
    });
    Some(Terminal { size })
}

/// An empty one is none.
fn label(field: &str, text: Option<&Text<'_>>) -> Result<Option<String>> {
    match text.map(|text| &**text) {
        None | Some("") => Ok(None),
        // It is a word of a line that the kernel takes apart.
        Some(text) if text.contains(['\0', '\n']) => Err(invalid(field, "holds a NUL byte or a line break")),
        Some(text) => Ok(Some(text.to_owned())),
    }
}

fn oom_score_adj(value: Option<i32>) -> Result<Option<i32>> {
    match value {
        Some(value) if !(-1000..=1000).contains(&value) => {
            Err(invalid("process.oomScoreAdj", "lies between -1000 and 1000"))
        }
        value => Ok(value),
    }
}
