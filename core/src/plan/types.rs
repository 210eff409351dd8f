//! The plan: profile, workload and host facts, fully resolved. Pure data, in the kernel's terms.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use nucleus_abi::{Init, LandlockRule};
use serde_json::value::RawValue;

use super::decided::Decided;
use super::host::RuntimeEntry;
use super::network::NetworkPlan;
use super::policy::Policy;
use super::secrets::SecretsPlan;
use crate::profile::Origin;
pub use crate::profile::{ContextMode, ContextOwner};

/// What a missing capability does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// It refuses the start.
    Strict,
    /// It warns; the warning stays in the container's record.
    Permissive,
}

/// A fully resolved container, before anything of it exists.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The profile's name.
    pub profile: Decided<String>,
    /// The backend that the profile names; `auto` leaves the choice to the core.
    pub backend: Decided<String>,
    /// The profile's options for the backend.
    pub options: serde_json::Value,
    /// What a missing capability does.
    pub enforcement: Decided<Enforcement>,
    /// The workload's first process.
    pub process: ProcessPlan,
    /// The root file system.
    pub rootfs: Decided<RootfsPlan>,
    /// What the root file system is compared with before the start; `None` without a comparison.
    pub attestation: Option<Decided<AttestationPlan>>,
    /// Whether the workload may write to the root file system.
    pub rootfs_access: Decided<Access>,
    /// A tree of the host that the workload may read.
    pub context: Option<Decided<ContextPlan>>,
    /// Host files and directories in the container, parents before children.
    pub volumes: Vec<Decided<VolumePlan>>,
    /// In-memory file systems, parents before children.
    pub tmpfs: Vec<Decided<TmpfsPlan>>,
    /// What may be mounted.
    pub mount_policy: Policy,
    /// By which rule each volume is mounted, in the order of the profile.
    pub admitted: Vec<Decided<Admitted>>,
    /// Devices beyond the standard ones.
    pub devices: Vec<Decided<DevicePlan>>,
    /// Who says which they are: the profile, or nobody.
    pub devices_origin: Origin,
    /// Size of `/dev/shm` in bytes.
    pub shm: Decided<u64>,
    /// What only the workload may see.
    pub secrets: SecretsPlan,
    /// The network.
    pub network: Decided<NetworkPlan>,
    /// Namespaces that are joined or need more than a flag.
    pub namespaces: NamespacesPlan,
    /// Limits.
    pub resources: ResourcesPlan,
    /// What the workload may ask of the kernel.
    pub security: SecurityPlan,
}

/// The workload's first process.
#[derive(Debug, Clone)]
pub struct ProcessPlan {
    /// Program and arguments.
    pub command: Decided<Vec<String>>,
    /// User and group.
    pub user: Decided<UserPlan>,
    /// Supplementary group ids.
    pub additional_groups: Decided<Vec<u32>>,
    /// File mode creation mask.
    pub umask: Decided<u32>,
    /// Environment; each variable has its own origin.
    pub env: BTreeMap<String, Decided<EnvPlan>>,
    /// Working directory.
    pub cwd: Decided<PathBuf>,
    /// Whether the workload gets a terminal of its own.
    pub terminal: Decided<Terminal>,
    /// Whether an init process stands before the workload.
    pub init: Decided<Init>,
    /// Resource limits by name (`RLIMIT_NOFILE`).
    pub rlimits: BTreeMap<String, Decided<RlimitPlan>>,
    /// Adjustment of the out-of-memory score, -1000 to 1000.
    pub oom_score_adj: Option<Decided<i32>>,
    /// Host name; none where the UTS namespace is joined, for it is its owner's.
    pub hostname: Option<Decided<String>>,
    /// NIS domain name.
    pub domainname: Option<Decided<String>>,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvPlan {
    /// The profile, a flag or a default gives the value.
    Given(String),
    /// The host's variable of the same name gives it: never shown.
    Inherited(String),
}

impl EnvPlan {
    /// The value that the workload sees.
    pub fn value(&self) -> &str {
        match self {
            Self::Given(value) | Self::Inherited(value) => value,
        }
    }
}

/// A user and a group, by number or by a name that only the image knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPlan {
    /// The user.
    pub user: Identity,
    /// The group; `None` takes the user's own from the image's `passwd`, or 0.
    pub group: Option<Identity>,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// By number.
    Id(u32),
    /// By name, resolved in the image's own files while the bundle is made.
    Name(String),
}

/// Whether the workload gets a terminal of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// It does.
    Own,
    /// Its standard streams are those of nucleus.
    Inherited,
}

/// One resource limit; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RlimitPlan {
    /// The limit in force.
    pub soft: Option<u64>,
    /// The highest that the workload may raise it to.
    pub hard: Option<u64>,
}

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootfsPlan {
    /// The host's programs and libraries, read-only, on a private root of a minimal `/etc`.
    HostRuntime {
        /// What there is to show of the host, found by looking.
        entries: Vec<RuntimeEntry>,
    },
    /// A directory.
    Directory(PathBuf),
    /// Directories over each other.
    Overlay(OverlayPlan),
    /// That of the mount namespace that is joined.
    Joined,
}

/// A tree of the host that the workload may read.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextPlan {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// Whether the workload sees a copy.
    pub mode: ContextMode,
    /// Whether the copy is proved to be what was there before.
    pub verify: bool,
    /// What is not copied, as patterns in gitignore's syntax.
    pub exclude: Vec<String>,
    /// How many bytes the copied files may hold together.
    pub size: u64,
    /// Whose the copied files are.
    pub owner: ContextOwner,
    /// Whether programs may be executed from it.
    pub execution: Execution,
    /// By which rule of the mount policy its source may be shown.
    pub admitted: Decided<Admitted>,
}

/// What a root file system is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttestationPlan {
    /// The manifest; without one, `NAME.nucleus-manifest` beside the directory itself, links resolved.
    pub manifest: Option<PathBuf>,
    /// Who must have signed it, as a public key of minisign.
    pub public_key: Option<String>,
}

/// Directories over each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayPlan {
    /// Those that are only read, the topmost first.
    pub lower: Vec<PathBuf>,
    /// What takes what is written; `None` for an overlay that is only read.
    pub upper: Option<UpperPlan>,
}

/// What takes what is written to an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpperPlan {
    /// A tmpfs of its own.
    Memory {
        /// Size limit in bytes.
        size: u64,
    },
    /// A directory.
    Directory {
        /// Where it is.
        path: PathBuf,
        /// Its work directory.
        work: PathBuf,
    },
}

/// Whether something may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// Whether programs may be executed from somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// `noexec`.
    Denied,
    /// `exec`.
    Allowed,
}

/// A host file or directory in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumePlan {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// Whether the workload may write to it.
    pub access: Access,
    /// Whether programs may be executed from it.
    pub execution: Execution,
    /// Whether what is mounted below the source comes with it.
    pub submounts: Submounts,
    /// By which ids its owners are shown; `None`: their own.
    pub id_map: Option<VolumeIds>,
}

/// By which ids the owners of a volume's files are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeIds {
    /// Those of the container's user namespace.
    Container,
    /// Maps of the volume's own, from ids on the file system to the host's.
    Maps(UserNamespacePlan),
}

/// A volume or a context that the policy lets pass, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// In the container.
    pub target: PathBuf,
    /// Where the source really lies and which rule allows it, in words.
    pub why: String,
}

/// Whether what is mounted below a volume's source comes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submounts {
    /// `rbind`.
    Included,
    /// `bind`.
    LeftOut,
}

/// An in-memory file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TmpfsPlan {
    /// In the container.
    pub target: PathBuf,
    /// Size limit in bytes.
    pub size: u64,
    /// Mode of its root directory.
    pub mode: u32,
    /// Owner of its root directory, an id in the container.
    pub uid: Option<u32>,
    /// Group of its root directory, an id in the container.
    pub gid: Option<u32>,
    /// How many inodes it may hold; `None`: the kernel's default.
    pub inodes: Option<u64>,
    /// Whether programs may be executed from it.
    pub execution: Execution,
}

/// A device beyond the standard ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePlan {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// What it was found to be.
    pub number: DeviceNumber,
    /// What may be done with it: letters of `rwm`.
    pub access: String,
    /// Permission bits of its node.
    pub mode: u32,
    /// Owner of its node, an id in the container.
    pub uid: u32,
    /// Group of its node, an id in the container.
    pub gid: u32,
}

/// A device, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Whether it is a character or a block device.
    pub kind: DeviceKind,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// The two kinds of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A character device.
    Character,
    /// A block device.
    Block,
}

impl DeviceKind {
    /// As the runtime specification has it.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Character => "c",
            Self::Block => "b",
        }
    }
}

impl Plan {
    /// Whether device rules are needed: for what the profile names, and against a workload that could make nodes on a file
    /// system that it mounts itself.
    pub fn has_device_rules(&self) -> bool {
        let may = |name| self.security.capabilities.value.bounding.contains(name);
        !self.devices.is_empty() || (may("CAP_MKNOD") && may("CAP_SYS_ADMIN"))
    }
}

/// Namespaces that are joined or need more than a flag. All others are the container's own.
#[derive(Debug, Clone, Default)]
pub struct NamespacesPlan {
    /// Existing namespaces, by the runtime specification's name of their type.
    pub joined: BTreeMap<&'static str, Decided<PathBuf>>,
    /// A user namespace with these maps.
    pub user: Option<Decided<UserNamespacePlan>>,
    /// A time namespace with these offsets.
    pub time: Option<Decided<TimeOffsets>>,
}

/// The maps of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserNamespacePlan {
    /// User ids.
    pub uid_map: Vec<IdMapping>,
    /// Group ids.
    pub gid_map: Vec<IdMapping>,
}

/// One line of an id map, `user_namespaces(7)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMapping {
    /// First id in the container.
    pub container: u32,
    /// First id on the host.
    pub host: u32,
    /// How many ids.
    pub size: u32,
}

impl IdMapping {
    /// The host's id for one of the container; `None` if it is not mapped.
    pub fn host_of(map: &[Self], container: u32) -> Option<u32> {
        let offset = |line: &Self| container.checked_sub(line.container).filter(|offset| *offset < line.size);
        map.iter().find_map(|line| line.host.checked_add(offset(line)?))
    }
}

/// Offsets of a time namespace, `time_namespaces(7)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeOffsets {
    /// Of `CLOCK_MONOTONIC`.
    pub monotonic: Option<std::time::Duration>,
    /// Of `CLOCK_BOOTTIME`.
    pub boottime: Option<std::time::Duration>,
}

/// Limits. What is `None` is not limited.
#[derive(Debug, Clone, Default)]
pub struct ResourcesPlan {
    /// Memory in bytes.
    pub memory: Option<Decided<u64>>,
    /// Swap in bytes, on top of memory.
    pub swap: Option<Decided<u64>>,
    /// Processor time.
    pub cpu: Option<Decided<CpuQuota>>,
    /// Weight of processor time, in cgroup v1's shares.
    pub cpu_shares: Option<Decided<u64>>,
    /// Processors that may be used, as cpuset(7) lists them.
    pub cpuset_cpus: Option<Decided<String>>,
    /// Memory nodes that may be used.
    pub cpuset_mems: Option<Decided<String>>,
    /// Number of processes.
    pub pids: Option<Decided<i64>>,
    /// Weight of block input and output, 10 to 1000.
    pub io_weight: Option<Decided<u16>>,
    /// Rates of block input and output.
    pub io_rates: Vec<Decided<IoRate>>,
}

/// A share of processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuQuota {
    /// Microseconds of processor time in each period.
    pub quota: i64,
    /// Microseconds.
    pub period: u64,
}

/// A rate of block input or output on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoRate {
    /// What is counted.
    pub kind: IoRateKind,
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// Bytes or operations in a second.
    pub rate: u64,
}

impl IoRate {
    /// Its line of the plan: there is one for each kind and device.
    pub(super) fn field(&self) -> String {
        let kind = match self.kind {
            IoRateKind::ReadBps => "readBps",
            IoRateKind::WriteBps => "writeBps",
            IoRateKind::ReadIops => "readIops",
            IoRateKind::WriteIops => "writeIops",
        };
        format!("resources.io.{kind}[{}:{}]", self.major, self.minor)
    }
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoRateKind {
    /// Bytes read.
    ReadBps,
    /// Bytes written.
    WriteBps,
    /// Reads.
    ReadIops,
    /// Writes.
    WriteIops,
}

/// What the workload may ask of the kernel.
#[derive(Debug, Clone)]
pub struct SecurityPlan {
    /// The capability sets.
    pub capabilities: Decided<CapabilitySets>,
    /// The system call filter.
    pub seccomp: Decided<SeccompPlan>,
    /// Landlock rules; `None` without Landlock.
    pub landlock: Decided<Option<Vec<LandlockRule>>>,
    /// Whether executing a program can gain privileges.
    pub no_new_privileges: Decided<bool>,
    /// Hidden paths.
    pub masked_paths: Decided<Vec<PathBuf>>,
    /// Paths that cannot be written.
    pub readonly_paths: Decided<Vec<PathBuf>>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, Decided<String>>,
}

/// The five capability sets, capabilities(7). The inheritable one is always empty (CVE-2022-24769).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// Names with `CAP_`.
    pub bounding: BTreeSet<&'static str>,
    /// Names with `CAP_`.
    pub effective: BTreeSet<&'static str>,
    /// Names with `CAP_`.
    pub permitted: BTreeSet<&'static str>,
    /// Names with `CAP_`.
    pub ambient: BTreeSet<&'static str>,
}

/// The system call filter.
#[derive(Debug, Clone)]
pub enum SeccompPlan {
    /// None at all.
    Unconfined,
    /// A filter, as the runtime specification's `linux.seccomp`.
    Filter {
        /// What to call it when it is shown.
        name: String,
        /// The document.
        document: Box<RawValue>,
    },
}
