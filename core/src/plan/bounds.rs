//! What a profile allows a container that an engine describes: the plan, reduced to what can bound a `config.json`.
//!
//! The part that holds beyond the creation ([`Held`]) is stored with every container, so that later commands are held to it
//! whatever the profile's files say by then.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nucleus_abi::LandlockRule;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::decided::Decided;
use super::network::NetworkPlan;
use super::policy::Policy;
use super::types::{
    Access, CpuQuota, DevicePlan, Enforcement, Identity, IoRateKind, Plan, RlimitPlan, SeccompPlan, UserPlan,
};
use crate::profile::{EngineNetwork, Landlock, LandlockDefault, Loaded, Origin};

/// A bound, and the line of the profile that sets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound<T> {
    /// The bound.
    pub value: T,
    /// The file and line, the flag, or the default that it comes from.
    pub decided: String,
}

/// What holds for a container for as long as it lives: every process that joins it and every change of its limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The profile's name.
    pub profile: Bound<String>,
    /// Whether what it refuses is refused (`strict`) or only told (`permissive`).
    pub strict: Bound<bool>,
    /// The profile's user, if it is not root: then no process may be root.
    pub not_root: Option<Bound<String>>,
    /// No exec may gain privileges.
    pub no_new_privileges: Option<Bound<bool>>,
    /// Capabilities that a process may have in any set.
    pub capabilities: Bound<Vec<String>>,
    /// Resource limits, by their name in getrlimit(2).
    pub rlimits: BTreeMap<String, Bound<Rlimit>>,
    /// Lowest adjustment of the out-of-memory score.
    pub oom_score_adj: Option<Bound<i32>>,
    /// Limits.
    pub resources: ResourceBounds,
    /// What may be mounted. Nothing is mounted in a container that is there; who makes it again must know.
    #[serde(default)]
    pub mounts: Policy,
    /// Devices beyond the standard ones, where the profile lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Bound<Vec<DeviceBound>>>,
}

/// A device that a container may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceBound {
    /// `c` or `b`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Letters of `rwm`.
    pub access: String,
}

/// What a container of an engine may have at most.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// What holds beyond its creation.
    pub held: Held,
    /// The root file system is read-only.
    pub readonly_root: Option<Bound<bool>>,
    /// The root file system must be the one of a manifest, which an engine's never is.
    pub attested: Option<Bound<bool>>,
    /// The system call filter that the engine's must lie within, as `linux.seccomp`.
    pub seccomp: Option<Bound<Value>>,
    /// Landlock rules.
    pub landlock: Option<Bound<LandlockBound>>,
    /// Paths that are masked.
    pub masked_paths: Bound<Vec<PathBuf>>,
    /// Paths that cannot be written.
    pub readonly_paths: Bound<Vec<PathBuf>>,
    /// Kernel parameters that are set.
    pub sysctls: BTreeMap<String, Bound<String>>,
    /// Which networks the engine may give.
    pub network: Bound<NetworkBound>,
    /// Not all may be connected to: nobody can hold that in a network that an engine makes.
    pub egress: Option<Bound<bool>>,
    /// The container must have a user namespace.
    pub user_namespace: Option<Bound<bool>>,
}

/// A resource limit; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The limit in force.
    pub soft: Option<u64>,
    /// The highest that a process may raise it to.
    pub hard: Option<u64>,
}

/// Landlock rules for an engine's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LandlockBound {
    /// They follow from the container's mounts.
    FromMounts,
    /// The profile lists them.
    Listed(Vec<LandlockRule>),
}

/// Which networks the engine may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkBound {
    /// Any, the host's too.
    Any,
    /// A namespace that the engine prepared, or a new one.
    Namespace,
    /// Only a new one.
    New,
}

/// Limits; what is `None` is not bounded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceBounds {
    /// Bytes.
    pub memory: Option<Bound<u64>>,
    /// Bytes on top of memory.
    pub swap: Option<Bound<u64>>,
    /// Microseconds of processor time, in each period of so many microseconds.
    pub cpu: Option<Bound<(i64, u64)>>,
    /// cgroup v1's shares.
    pub cpu_shares: Option<Bound<u64>>,
    /// Processors, as cpuset(7) lists them.
    pub cpus: Option<Bound<String>>,
    /// Memory nodes.
    pub mems: Option<Bound<String>>,
    /// Processes.
    pub pids: Option<Bound<i64>>,
    /// 10 to 1000.
    pub io_weight: Option<Bound<u16>>,
    /// Rates of block devices.
    pub io_rates: Vec<Bound<IoRateBound>>,
}

/// A rate of one block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoRateBound {
    /// The list in `linux.resources.blockIO`.
    pub list: String,
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// Bytes or operations in a second.
    pub rate: u64,
}

impl Held {
    /// What a plan holds its container to.
    pub fn of(plan: &Plan) -> Self {
        let (process, security) = (&plan.process, &plan.security);
        let own_user = by_operator(&process.user).filter(|user| !is_root(&user.value));
        Self {
            profile: bound(&plan.profile, String::clone),
            strict: bound(&plan.enforcement, |it| *it == Enforcement::Strict),
            not_root: own_user.map(|it| bound(it, show)),
            no_new_privileges: Some(&security.no_new_privileges)
                .filter(|it| it.value)
                .map(|it| bound(it, |v| *v)),
            capabilities: bound(&security.capabilities, |sets| {
                sets.bounding.iter().map(|name| (*name).to_owned()).collect()
            }),
            rlimits: process.rlimits.iter().map(|(name, it)| (name.clone(), bound(it, rlimit))).collect(),
            oom_score_adj: process.oom_score_adj.as_ref().map(|it| bound(it, |v| *v)),
            resources: resources(plan),
            mounts: plan.mount_policy.clone(),
            devices: devices(plan),
        }
    }
}

/// Only a list that somebody wrote bounds an engine.
fn devices(plan: &Plan) -> Option<Bound<Vec<DeviceBound>>> {
    let device = |device: &Decided<DevicePlan>| DeviceBound {
        kind: device.value.number.kind.letter().to_owned(),
        major: device.value.number.major,
        minor: device.value.number.minor,
        access: device.value.access.clone(),
    };
    let written = !matches!(plan.devices_origin, Origin::BuiltIn(_));
    written.then(|| Bound {
        value: plan.devices.iter().map(device).collect(),
        decided: plan.devices_origin.to_string(),
    })
}

impl Bounds {
    /// What a profile and its plan allow.
    pub fn of(loaded: &Loaded, plan: &Plan) -> Self {
        let security = &plan.security;
        let sysctls = security.sysctls.iter();
        Self {
            held: Held::of(plan),
            readonly_root: readonly_root(plan),
            attested: plan.attestation.as_ref().map(|it| bound(it, |_| true)),
            seccomp: match &security.seccomp.value {
                SeccompPlan::Unconfined => None,
                SeccompPlan::Filter { document, .. } => {
                    let document = serde_json::from_str(document.get()).unwrap_or(Value::Null);
                    Some(Bound { value: document, decided: security.seccomp.origin.to_string() })
                }
            },
            landlock: landlock(loaded, plan),
            masked_paths: bound(&security.masked_paths, Vec::clone),
            readonly_paths: bound(&security.readonly_paths, Vec::clone),
            sysctls: sysctls.map(|(name, it)| (name.clone(), bound(it, String::clone))).collect(),
            network: network(loaded, plan),
            egress: egress(plan),
            user_namespace: plan.namespaces.user.as_ref().map(|it| bound(it, |_| true)),
        }
    }
}

fn bound<T, U>(decided: &Decided<T>, value: impl FnOnce(&T) -> U) -> Bound<U> {
    Bound { value: value(&decided.value), decided: decided.origin.to_string() }
}

/// What is nobody's word but a default's bounds no engine.
fn by_operator<T>(decided: &Decided<T>) -> Option<&Decided<T>> {
    Some(decided).filter(|decided| !matches!(decided.origin, Origin::BuiltIn(_)))
}

fn is_root(user: &UserPlan) -> bool {
    matches!(&user.user, Identity::Id(0)) || matches!(&user.user, Identity::Name(name) if name == "root")
}

fn show(user: &UserPlan) -> String {
    match &user.user {
        Identity::Id(id) => id.to_string(),
        Identity::Name(name) => name.clone(),
    }
}

fn rlimit(plan: &RlimitPlan) -> Rlimit {
    Rlimit { soft: plan.soft, hard: plan.hard }
}

/// The root is the engine's; that it is read-only is the profile's word only where the profile speaks of the root.
fn readonly_root(plan: &Plan) -> Option<Bound<bool>> {
    let spoken = by_operator(&plan.rootfs).is_some() || by_operator(&plan.rootfs_access).is_some();
    let readonly = plan.rootfs_access.value == Access::ReadOnly;
    (spoken && readonly).then(|| {
        let origin = match plan.rootfs_access.origin {
            Origin::BuiltIn(_) => &plan.rootfs.origin,
            _ => &plan.rootfs_access.origin,
        };
        Bound { value: true, decided: origin.to_string() }
    })
}

fn landlock(loaded: &Loaded, plan: &Plan) -> Option<Bound<LandlockBound>> {
    let decided = plan.security.landlock.origin.to_string();
    let value = match &loaded.profile.security.landlock {
        Landlock::Named(LandlockDefault::Off) => return None,
        Landlock::Named(LandlockDefault::Default) => LandlockBound::FromMounts,
        Landlock::Paths(_) => LandlockBound::Listed(plan.security.landlock.value.clone().unwrap_or_default()),
    };
    Some(Bound { value, decided })
}

fn network(loaded: &Loaded, plan: &Plan) -> Bound<NetworkBound> {
    let refuses = loaded.profile.network.engine_network == EngineNetwork::Refuse;
    let (value, pointer) = match &plan.network.value {
        NetworkPlan::Host => (NetworkBound::Any, "/network/mode"),
        _ if refuses => (NetworkBound::New, "/network/engineNetwork"),
        NetworkPlan::None | NetworkPlan::Attached(_) | NetworkPlan::Container(_) => {
            (NetworkBound::Namespace, "/network/mode")
        }
    };
    Bound { value, decided: loaded.origins.of(pointer).to_string() }
}

fn egress(plan: &Plan) -> Option<Bound<bool>> {
    let policy = plan.network.value.attached()?.egress.as_ref()?;
    policy.value.restricts().then(|| bound(policy, |_| true))
}

fn resources(plan: &Plan) -> ResourceBounds {
    let plan = &plan.resources;
    ResourceBounds {
        memory: plan.memory.as_ref().map(|it| bound(it, |v| *v)),
        swap: plan.swap.as_ref().map(|it| bound(it, |v| *v)),
        cpu: plan.cpu.as_ref().map(|it| bound(it, |CpuQuota { quota, period }| (*quota, *period))),
        cpu_shares: plan.cpu_shares.as_ref().map(|it| bound(it, |v| *v)),
        cpus: plan.cpuset_cpus.as_ref().map(|it| bound(it, String::clone)),
        mems: plan.cpuset_mems.as_ref().map(|it| bound(it, String::clone)),
        pids: plan.pids.as_ref().map(|it| bound(it, |v| *v)),
        io_weight: plan.io_weight.as_ref().map(|it| bound(it, |v| *v)),
        io_rates: plan.io_rates.iter().map(|it| bound(it, io_rate)).collect(),
    }
}

fn io_rate(plan: &super::types::IoRate) -> IoRateBound {
    let list = match plan.kind {
        IoRateKind::ReadBps => "throttleReadBpsDevice",
        IoRateKind::WriteBps => "throttleWriteBpsDevice",
        IoRateKind::ReadIops => "throttleReadIOPSDevice",
        IoRateKind::WriteIops => "throttleWriteIOPSDevice",
    };
    IoRateBound { list: list.to_owned(), major: plan.major, minor: plan.minor, rate: plan.rate }
}
