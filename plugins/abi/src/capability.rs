//! The closed vocabulary of what a backend can enforce, and the report that it gives about this host.
//!
//! Each entry of the vocabulary is one promise that a profile can make. A backend answers each promise that the plan
//! makes with *yes, and by what means* or *no, and why*. What it does not know, it answers with no: the core never
//! takes silence for consent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::IntoDeserializer as _;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Deserializer, Serialize};

use crate::documents::SCHEMA;

/// One promise of a profile. The list is closed: a backend cannot invent entries, and the core refuses a plan whose
/// promise is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Capability {
    /// A process id namespace of the container's own.
    NamespacePid,
    /// A mount namespace of the container's own.
    NamespaceMount,
    /// A network namespace of the container's own.
    NamespaceNetwork,
    /// An IPC namespace of the container's own.
    NamespaceIpc,
    /// A UTS namespace of the container's own.
    NamespaceUts,
    /// A cgroup namespace of the container's own.
    NamespaceCgroup,
    /// A user namespace with the profile's id maps.
    NamespaceUser,
    /// A time namespace with the profile's offsets.
    NamespaceTime,
    /// Joining an existing namespace by its path.
    NamespaceJoin,
    /// Running from a root file system that arrives as a descriptor.
    Rootfs,
    /// A root file system that the workload cannot write to.
    RootfsReadonly,
    /// Device nodes in the image that cannot be opened as devices.
    RootfsNodev,
    /// Host files and directories at places of the container.
    Volumes,
    /// Volumes that the workload cannot write to, submounts included.
    VolumesReadonly,
    /// Volumes whose owners are shown by other ids.
    VolumesIdmapped,
    /// `nosuid`, `nodev` and `noexec` on each volume and tmpfs.
    MountFlags,
    /// In-memory file systems with a size limit.
    Tmpfs,
    /// Device nodes beyond the standard ones, and rules that allow no others.
    Devices,
    /// Files that stand on no disk: each arrives as a descriptor of a mount that hangs nowhere, and is seen in the container
    /// alone.
    Secrets,
    /// Variables of the workload that stand in no document and on no disk.
    SecretEnvironment,
    /// Paths of `/proc` and `/sys` that are hidden.
    MaskedPaths,
    /// Paths of `/proc` and `/sys` that cannot be written.
    ReadonlyPaths,
    /// User, group and supplementary groups of the workload.
    User,
    /// The workload's file mode creation mask.
    Umask,
    /// POSIX resource limits of the workload.
    Rlimits,
    /// The workload's adjustment of the out-of-memory score.
    OomScoreAdj,
    /// Host name and domain name.
    Hostname,
    /// A terminal of the container's own.
    Terminal,
    /// An init process that reaps zombies and forwards signals.
    Init,
    /// Kernel parameters that belong to the container's namespaces.
    Sysctls,
    /// The five capability sets.
    Capabilities,
    /// `no_new_privs`: no privilege is gained by executing a program.
    NoNewPrivileges,
    /// A system call filter.
    Seccomp,
    /// Landlock rules on the file system.
    Landlock,
    /// A host executable that cannot be written to from inside (CVE-2019-5736).
    SealedRuntime,
    /// A limit on memory.
    Memory,
    /// A limit on swap.
    Swap,
    /// A limit on processor time.
    Cpu,
    /// A weight of processor time against other groups.
    CpuShares,
    /// The processors and memory nodes that may be used.
    Cpuset,
    /// A limit on the number of processes.
    Pids,
    /// Weight and rates of block input and output.
    Io,
    /// No network but a loopback interface of the container's own.
    NetworkNone,
    /// The host's network.
    NetworkHost,
    /// A network that the core attaches, and no other way out of the container.
    NetworkAttached,
}

/// One line of the published table: an entry of the vocabulary, what it promises, which profile field asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The name in reports and errors.
    pub name: &'static str,
    /// What is promised.
    pub promise: &'static str,
    /// The profile field that needs it, as a path of keys.
    pub field: &'static str,
}

const fn entry(name: &'static str, field: &'static str, promise: &'static str) -> Entry {
    Entry { name, promise, field }
}

impl Capability {
    /// The whole vocabulary, in the order of the published table.
    pub const ALL: [Self; 45] = [
        Self::NamespacePid,
        Self::NamespaceMount,
        Self::NamespaceNetwork,
        Self::NamespaceIpc,
        Self::NamespaceUts,
        Self::NamespaceCgroup,
        Self::NamespaceUser,
        Self::NamespaceTime,
        Self::NamespaceJoin,
        Self::Rootfs,
        Self::RootfsReadonly,
        Self::RootfsNodev,
        Self::Volumes,
        Self::VolumesReadonly,
        Self::VolumesIdmapped,
        Self::MountFlags,
        Self::Tmpfs,
        Self::Devices,
        Self::Secrets,
        Self::SecretEnvironment,
        Self::MaskedPaths,
        Self::ReadonlyPaths,
        Self::User,
        Self::Umask,
        Self::Rlimits,
        Self::OomScoreAdj,
        Self::Hostname,
        Self::Terminal,
        Self::Init,
        Self::Sysctls,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Seccomp,
        Self::Landlock,
        Self::SealedRuntime,
        Self::Memory,
        Self::Swap,
        Self::Cpu,
        Self::CpuShares,
        Self::Cpuset,
        Self::Pids,
        Self::Io,
        Self::NetworkNone,
        Self::NetworkHost,
        Self::NetworkAttached,
    ];

    /// The entry's line of the published table.
    pub const fn entry(self) -> Entry {
        match self {
            Self::NamespacePid => {
                entry("namespace-pid", "namespaces.pid", "a process id namespace of its own")
            }
            Self::NamespaceMount => {
                entry("namespace-mount", "namespaces.mount", "a mount namespace of its own")
            }
            Self::NamespaceNetwork => entry("namespace-network", "network", "a network namespace of its own"),
            Self::NamespaceIpc => entry("namespace-ipc", "namespaces.ipc", "an IPC namespace of its own"),
            Self::NamespaceUts => entry("namespace-uts", "namespaces.uts", "a UTS namespace of its own"),
            Self::NamespaceCgroup => {
                entry("namespace-cgroup", "namespaces.cgroup", "a cgroup namespace of its own")
            }
            Self::NamespaceUser => {
                entry("namespace-user", "namespaces.user", "a user namespace with id maps")
            }
            Self::NamespaceTime => {
                entry("namespace-time", "namespaces.time", "a time namespace with offsets")
            }
            Self::NamespaceJoin => {
                entry("namespace-join", "namespaces.*.path", "joining a namespace by its path")
            }
            Self::Rootfs => entry("rootfs", "rootfs", "a root file system given as a descriptor"),
            Self::RootfsReadonly => {
                entry("rootfs-readonly", "rootfs.readonly", "a read-only root file system")
            }
            Self::RootfsNodev => entry("rootfs-nodev", "rootfs", "no usable device nodes in the image"),
            Self::Volumes => {
                entry("volumes", "mounts.volumes", "host files and directories in the container")
            }
            Self::VolumesReadonly => {
                entry("volumes-readonly", "mounts.volumes[].mode", "read-only volumes, submounts included")
            }
            Self::VolumesIdmapped => entry(
                "volumes-idmapped",
                "mounts.volumes[].idmap",
                "volumes whose owners are shown by other ids",
            ),
            Self::MountFlags => entry("mount-flags", "mounts", "nosuid, nodev and noexec on mounts"),
            Self::Tmpfs => entry("tmpfs", "mounts.tmpfs", "in-memory file systems of limited size"),
            Self::Devices => entry("devices", "devices", "devices by name, and no others"),
            Self::Secrets => entry("secrets", "secrets", "secrets as files in the container alone"),
            Self::SecretEnvironment => {
                entry("secret-environment", "secrets[].env", "secrets as variables that stand in no document")
            }
            Self::MaskedPaths => entry("masked-paths", "security.maskedPaths", "hidden kernel files"),
            Self::ReadonlyPaths => {
                entry("readonly-paths", "security.readonlyPaths", "read-only kernel files")
            }
            Self::User => entry("user", "workload.user", "user, group and supplementary groups"),
            Self::Umask => entry("umask", "workload.umask", "the file mode creation mask"),
            Self::Rlimits => entry("rlimits", "workload.rlimits", "POSIX resource limits"),
            Self::OomScoreAdj => entry("oom-score-adj", "workload.oomScoreAdj", "the out-of-memory score"),
            Self::Hostname => entry("hostname", "workload.hostname", "host name and domain name"),
            Self::Terminal => entry("terminal", "workload.terminal", "a terminal of its own"),
            Self::Init => entry("init", "workload.init", "an init that reaps zombies"),
            Self::Sysctls => entry("sysctls", "security.sysctls", "namespaced kernel parameters"),
            Self::Capabilities => entry("capabilities", "security.capabilities", "the five capability sets"),
            Self::NoNewPrivileges => {
                entry("no-new-privileges", "security.noNewPrivileges", "no privilege gained by executing")
            }
            Self::Seccomp => entry("seccomp", "security.seccomp", "a system call filter"),
            Self::Landlock => {
                entry("landlock", "security.landlock", "file access rules of the process itself")
            }
            Self::SealedRuntime => {
                entry("sealed-runtime", "(always)", "a host executable that the workload cannot write to")
            }
            Self::Memory => entry("memory", "resources.memory", "a limit on memory"),
            Self::Swap => entry("swap", "resources.swap", "a limit on swap"),
            Self::Cpu => entry("cpu", "resources.cpus", "a limit on processor time"),
            Self::CpuShares => entry("cpu-shares", "resources.cpuShares", "a weight of processor time"),
            Self::Cpuset => entry("cpuset", "resources.cpuset", "chosen processors and memory nodes"),
            Self::Pids => entry("pids", "resources.pids", "a limit on the number of processes"),
            Self::Io => entry("io", "resources.io", "weight and rates of block input and output"),
            Self::NetworkNone => entry("network-none", "network.mode", "no network but its own loopback"),
            Self::NetworkHost => entry("network-host", "network.mode", "the host's network"),
            Self::NetworkAttached => entry(
                "network-attached",
                "network.mode",
                "a network that the core attaches, and no other way out",
            ),
        }
    }

    /// The entry's name in reports and errors.
    pub const fn name(self) -> &'static str {
        self.entry().name
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A backend's answer to one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is enforced here.
    Yes {
        /// By what: a kernel facility, a cgroup file, a program and its version.
        by: String,
    },
    /// It is not enforced here.
    No {
        /// Why not, in words that an operator can act on.
        reason: String,
    },
}

impl Verdict {
    /// Enforced, by the named means.
    pub fn yes(by: impl Into<String>) -> Self {
        Self::Yes { by: by.into() }
    }

    /// Not enforced, for the named reason.
    pub fn no(reason: impl Into<String>) -> Self {
        Self::No { reason: reason.into() }
    }
}

/// Who makes the network namespace that the core attaches to a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkNamespace {
    /// The core, before `sandbox`: the configuration names it by a path that leads to it until `create` has returned.
    /// Whatever runs bundles can do that.
    #[default]
    BeforeCreate,
    /// The backend, in `sandbox`, whose reply brings it ([`crate::SandboxReply::network`]): a namespace that belongs to a
    /// user namespace of the container can be made by nobody else. The core attaches it before `create`.
    Owned,
}

/// What a backend can enforce on this host: an answer to each entry that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityReport {
    /// Version of this document: [`SCHEMA`].
    pub schema: u32,
    /// The answers. An entry that is missing counts as no.
    #[serde(deserialize_with = "known_answers")]
    pub entries: BTreeMap<Capability, Verdict>,
    /// Who makes a network namespace that is attached to a network.
    #[serde(default)]
    pub network: NetworkNamespace,
}

impl CapabilityReport {
    /// A report with an answer to each capability that `asked` names.
    pub fn of(asked: &[Capability], mut answer: impl FnMut(Capability) -> Verdict) -> Self {
        Self {
            schema: SCHEMA,
            entries: asked.iter().map(|capability| (*capability, answer(*capability))).collect(),
            network: NetworkNamespace::default(),
        }
    }

    /// The answer to one entry; what was not answered is a no that says so.
    pub fn verdict(&self, capability: Capability) -> Verdict {
        self.entries
            .get(&capability)
            .cloned()
            .unwrap_or_else(|| Verdict::no("the backend does not say that it can"))
    }
}

/// The entries of a list that this release knows: a vocabulary that has grown on the other side is no mistake.
pub(crate) fn known<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<Capability>, D::Error> {
    let names = Vec::<Cow<'de, str>>::deserialize(list)?;
    Ok(names.iter().filter_map(|name| named(name)).collect())
}

fn known_answers<'de, D: Deserializer<'de>>(map: D) -> Result<BTreeMap<Capability, Verdict>, D::Error> {
    let answers = BTreeMap::<Cow<'de, str>, Verdict>::deserialize(map)?;
    Ok(answers.into_iter().filter_map(|(name, verdict)| Some((named(&name)?, verdict))).collect())
}

fn named(name: &str) -> Option<Capability> {
    let text: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
    Capability::deserialize(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_serialised_under_its_published_name() {
        for capability in Capability::ALL {
            let json = serde_json::to_string(&capability).unwrap();
            assert_eq!(json, format!("\"{}\"", capability.name()));
        }
    }

    #[test]
    fn the_published_table_has_no_name_twice() {
        let names: std::collections::BTreeSet<_> = Capability::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), Capability::ALL.len());
    }

    #[test]
    fn what_is_not_answered_is_a_no() {
        let report = CapabilityReport::of(&[], |_| Verdict::yes("never asked"));
        assert!(matches!(report.verdict(Capability::Seccomp), Verdict::No { .. }));
    }
    #[test]
    fn entries_of_a_later_release_are_passed_over() {
        let text = r#"{"schema":1,"entries":{"pids":{"yes":{"by":"x"}},"telepathy":{"yes":{"by":"y"}}}}"#;
        let report: CapabilityReport = serde_json::from_str(text).unwrap();
        assert_eq!(report.entries.keys().collect::<Vec<_>>(), [&Capability::Pids]);
        let text = r#"{"schema":1,"asked":["telepathy","memory"]}"#;
        let request: crate::ReportRequest = serde_json::from_str(text).unwrap();
        assert_eq!(request.asked, [Capability::Memory]);
    }
}
