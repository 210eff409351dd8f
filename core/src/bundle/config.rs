//! `config.json`: the plan in the words of the runtime specification, version 1.2. Pure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use serde::Serialize;
use serde_json::value::RawValue;

use super::identity::ResolvedUser;
use super::mounts::Mount;
use crate::plan::{
    Access, CapabilitySets, Decided, DevicePlan, IoRateKind, Plan, RlimitPlan, RootfsPlan, SeccompPlan,
    Terminal, TimeOffsets,
};

/// The version of the runtime specification that a plan's `config.json` follows.
pub const OCI_VERSION: &str = "1.2.0";

/// Writes the plan as `config.json`. `network` is a namespace that was made for it; `mounts` are the plan's, `user` its user with every name resolved.
///
/// # Errors
/// `plan-invalid` when a path is not UTF-8: JSON cannot hold it.
pub(super) fn config_json(
    plan: &Plan,
    (cgroup, network): (&Path, Option<&Path>),
    mounts: &[Mount],
    user: &ResolvedUser,
) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(&config(plan, (cgroup, network), mounts, user)).map_err(|error| {
        Error::new(ErrorCode::PlanInvalid, "write the bundle's config.json")
            .because(error)
            .hint("use paths that are UTF-8")
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    oci_version: &'static str,
    process: Process<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Root>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domainname: Option<&'a str>,
    mounts: &'a [Mount],
    linux: Linux<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process<'a> {
    terminal: bool,
    user: User<'a>,
    args: &'a [String],
    env: Vec<String>,
    cwd: &'a Path,
    capabilities: Capabilities<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rlimits: Vec<Rlimit<'a>>,
    no_new_privileges: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_score_adj: Option<i32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct User<'a> {
    uid: u32,
    gid: u32,
    umask: u32,
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    additional_gids: &'a [u32],
}

#[derive(Serialize)]
struct Capabilities<'a> {
    bounding: &'a BTreeSet<&'static str>,
    effective: &'a BTreeSet<&'static str>,
    inheritable: [&'static str; 0],
    permitted: &'a BTreeSet<&'static str>,
    ambient: &'a BTreeSet<&'static str>,
}

#[derive(Serialize)]
struct Rlimit<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    soft: u64,
    hard: u64,
}

#[derive(Serialize)]
struct Root {
    path: &'static str,
    readonly: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux<'a> {
    namespaces: Vec<Namespace<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uid_mappings: Vec<Mapping>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gid_mappings: Vec<Mapping>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_offsets: Option<Offsets>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    sysctl: std::collections::BTreeMap<&'a str, &'a str>,
    cgroups_path: &'a Path,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<Device<'a>>,
    resources: Resources<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seccomp: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[PathBuf]>::is_empty")]
    masked_paths: &'a [PathBuf],
    #[serde(skip_serializing_if = "<[PathBuf]>::is_empty")]
    readonly_paths: &'a [PathBuf],
}

/// A node (config-linux.md, "Devices").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Device<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    path: &'a Path,
    major: u32,
    minor: u32,
    file_mode: u32,
    uid: u32,
    gid: u32,
}

/// A rule of the device controller (config-linux.md, "Allowed Device list"); without numbers it is for all devices.
#[derive(Serialize)]
struct DeviceRule<'a> {
    allow: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    major: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minor: Option<u32>,
    access: &'a str,
}

#[derive(Serialize)]
struct Namespace<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a Path>,
}

/// One line of an id map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mapping {
    #[serde(rename = "containerID")]
    container: u32,
    #[serde(rename = "hostID")]
    host: u32,
    size: u32,
}

#[derive(Serialize)]
struct Offsets {
    #[serde(skip_serializing_if = "Option::is_none")]
    monotonic: Option<Offset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boottime: Option<Offset>,
}

#[derive(Serialize)]
struct Offset {
    secs: u64,
    nanosecs: u32,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resources<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<DeviceRule<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<Pids>,
    #[serde(rename = "blockIO", skip_serializing_if = "Option::is_none")]
    block_io: Option<BlockIo>,
}

#[derive(Serialize)]
struct Memory {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap: Option<u64>,
}

#[derive(Serialize)]
struct Cpu<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mems: Option<&'a str>,
}

#[derive(Serialize)]
struct Pids {
    limit: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockIo {
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u16>,
    throttle_read_bps_device: Vec<Throttle>,
    throttle_write_bps_device: Vec<Throttle>,
    #[serde(rename = "throttleReadIOPSDevice")]
    throttle_read_iops_device: Vec<Throttle>,
    #[serde(rename = "throttleWriteIOPSDevice")]
    throttle_write_iops_device: Vec<Throttle>,
}

#[derive(Serialize)]
struct Throttle {
    major: u32,
    minor: u32,
    rate: u64,
}

fn config<'a>(
    plan: &'a Plan,
    places: (&'a Path, Option<&'a Path>),
    mounts: &'a [Mount],
    user: &'a ResolvedUser,
) -> Config<'a> {
    Config {
        oci_version: OCI_VERSION,
        process: process(plan, user),
        root: root(plan),
        hostname: plan.process.hostname.as_ref().map(|name| name.value.as_str()),
        domainname: plan.process.domainname.as_ref().map(|name| name.value.as_str()),
        mounts,
        linux: linux(plan, places),
    }
}

/// A joined mount namespace has a root of its own.
fn root(plan: &Plan) -> Option<Root> {
    let readonly = plan.rootfs_access.value == Access::ReadOnly;
    (plan.rootfs.value != RootfsPlan::Joined).then_some(Root { path: "rootfs", readonly })
}

fn process<'a>(plan: &'a Plan, user: &'a ResolvedUser) -> Process<'a> {
    let process = &plan.process;
    Process {
        terminal: process.terminal.value == Terminal::Own,
        user: User {
            uid: user.uid,
            gid: user.gid,
            umask: process.umask.value,
            additional_gids: &user.additional_gids,
        },
        args: &process.command.value,
        env: process
            .env
            .iter()
            .map(|(name, variable)| format!("{name}={}", variable.value.value()))
            .collect(),
        cwd: &process.cwd.value,
        capabilities: capabilities(&plan.security.capabilities.value),
        rlimits: process.rlimits.iter().map(|(kind, limit)| rlimit(kind, limit.value)).collect(),
        no_new_privileges: plan.security.no_new_privileges.value,
        oom_score_adj: process.oom_score_adj.as_ref().map(|score| score.value),
    }
}

fn capabilities(sets: &CapabilitySets) -> Capabilities<'_> {
    Capabilities {
        bounding: &sets.bounding,
        effective: &sets.effective,
        inheritable: [],
        permitted: &sets.permitted,
        ambient: &sets.ambient,
    }
}

/// `RLIM_INFINITY` is the largest number, getrlimit(2).
fn rlimit(kind: &str, limit: RlimitPlan) -> Rlimit<'_> {
    Rlimit { kind, soft: limit.soft.unwrap_or(u64::MAX), hard: limit.hard.unwrap_or(u64::MAX) }
}

fn linux<'a>(plan: &'a Plan, (cgroup, network): (&'a Path, Option<&'a Path>)) -> Linux<'a> {
    let user = plan.namespaces.user.as_ref().map(|user| &user.value);
    Linux {
        namespaces: namespaces(plan, network),
        uid_mappings: user.map(|user| mappings(&user.uid_map)).unwrap_or_default(),
        gid_mappings: user.map(|user| mappings(&user.gid_map)).unwrap_or_default(),
        time_offsets: plan.namespaces.time.as_ref().map(|time| offsets(time.value)),
        sysctl: plan
            .security
            .sysctls
            .iter()
            .map(|(name, value)| (name.as_str(), value.value.as_str()))
            .collect(),
        cgroups_path: cgroup,
        devices: plan.devices.iter().map(|device| node(&device.value)).collect(),
        resources: resources(plan),
        seccomp: match &plan.security.seccomp.value {
            SeccompPlan::Unconfined => None,
            SeccompPlan::Filter { document, .. } => Some(document),
        },
        masked_paths: &plan.security.masked_paths.value,
        readonly_paths: &plan.security.readonly_paths.value,
    }
}

fn node(device: &DevicePlan) -> Device<'_> {
    let DevicePlan { target, number, mode, uid, gid, .. } = device;
    Device {
        kind: number.kind.letter(),
        path: target,
        major: number.major,
        minor: number.minor,
        file_mode: *mode,
        uid: *uid,
        gid: *gid,
    }
}

/// Everything is denied but what the profile names; the backend adds what every container has.
fn device_rules(plan: &Plan) -> Vec<DeviceRule<'_>> {
    if !plan.has_device_rules() {
        return Vec::new();
    }
    let nothing = DeviceRule { allow: false, kind: None, major: None, minor: None, access: "rwm" };
    let named = plan.devices.iter().map(|device| DeviceRule {
        allow: true,
        kind: Some(device.value.number.kind.letter()),
        major: Some(device.value.number.major),
        minor: Some(device.value.number.minor),
        access: &device.value.access,
    });
    std::iter::once(nothing).chain(named).collect()
}

/// The lines of an id map.
pub(super) fn mappings(maps: &[crate::plan::IdMapping]) -> Vec<Mapping> {
    maps.iter().map(|map| Mapping { container: map.container, host: map.host, size: map.size }).collect()
}

fn namespaces<'a>(plan: &'a Plan, network: Option<&'a Path>) -> Vec<Namespace<'a>> {
    let mut kinds = vec!["pid", "mount", "ipc", "uts", "cgroup"];
    let joined = &plan.namespaces.joined;
    if plan.network.value.is_own() || joined.contains_key("network") {
        kinds.push("network");
    }
    if plan.namespaces.user.is_some() || joined.contains_key("user") {
        kinds.push("user");
    }
    if plan.namespaces.time.is_some() || joined.contains_key("time") {
        kinds.push("time");
    }
    kinds
        .into_iter()
        .map(|kind| Namespace {
            kind,
            path: match kind {
                "network" if network.is_some() => network,
                _ => joined.get(kind).map(|path| path.value.as_path()),
            },
        })
        .collect()
}

fn offsets(time: TimeOffsets) -> Offsets {
    let offset = |duration: std::time::Duration| Offset {
        secs: duration.as_secs(),
        nanosecs: duration.subsec_nanos(),
    };
    Offsets { monotonic: time.monotonic.map(offset), boottime: time.boottime.map(offset) }
}

fn resources(plan: &Plan) -> Resources<'_> {
    let resources = &plan.resources;
    let value = |decided: &Option<Decided<u64>>| decided.as_ref().map(|decided| decided.value);
    let memory = value(&resources.memory);
    // The specification counts memory and swap together; the profile counts swap on top.
    let swap = value(&resources.swap).map(|swap| swap.saturating_add(memory.unwrap_or(0)));
    Resources {
        devices: device_rules(plan),
        memory: memory.map(|limit| Memory { limit: Some(limit), swap }),
        cpu: cpu(plan),
        pids: resources.pids.as_ref().map(|pids| Pids { limit: pids.value }),
        block_io: block_io(plan),
    }
}

fn cpu(plan: &Plan) -> Option<Cpu<'_>> {
    let resources = &plan.resources;
    let cpu = Cpu {
        shares: resources.cpu_shares.as_ref().map(|shares| shares.value),
        quota: resources.cpu.as_ref().map(|cpu| cpu.value.quota),
        period: resources.cpu.as_ref().map(|cpu| cpu.value.period),
        cpus: resources.cpuset_cpus.as_ref().map(|set| set.value.as_str()),
        mems: resources.cpuset_mems.as_ref().map(|set| set.value.as_str()),
    };
    let limited = cpu.shares.is_some() || cpu.quota.is_some() || cpu.cpus.is_some() || cpu.mems.is_some();
    limited.then_some(cpu)
}

fn block_io(plan: &Plan) -> Option<BlockIo> {
    let resources = &plan.resources;
    if resources.io_weight.is_none() && resources.io_rates.is_empty() {
        return None;
    }
    let rates = |kind: IoRateKind| -> Vec<Throttle> {
        let of_kind = resources.io_rates.iter().filter(|rate| rate.value.kind == kind);
        of_kind
            .map(|rate| Throttle { major: rate.value.major, minor: rate.value.minor, rate: rate.value.rate })
            .collect()
    };
    Some(BlockIo {
        weight: resources.io_weight.as_ref().map(|weight| weight.value),
        throttle_read_bps_device: rates(IoRateKind::ReadBps),
        throttle_write_bps_device: rates(IoRateKind::WriteBps),
        throttle_read_iops_device: rates(IoRateKind::ReadIops),
        throttle_write_iops_device: rates(IoRateKind::WriteIops),
    })
}
