//! The documents that cross the protocol: one request and one reply for each verb.
//!
//! Each request carries `schema`, the version of the documents. A field that one side does not know is ignored; a field
//! that one side lacks takes its default. So a document may grow, and never changes the meaning of what it had.
//!
//! Where a document speaks of a descriptor, it holds an index into the descriptors that accompany it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::capability::Capability;
use crate::id::ContainerId;

/// The version of the documents that this release writes.
pub const SCHEMA: u32 = 1;

/// What a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Runs and isolates bundles.
    Backend,
    /// Is called at lifecycle points.
    Hook,
}

/// A plugin's account of itself: the answer to `describe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The name by which profiles choose it.
    pub id: String,
    /// Backend or hook.
    pub kind: Kind,
    /// The plugin's own version.
    pub version: String,
    /// Oldest and newest schema of the documents that it reads.
    pub schemas: (u32, u32),
    /// Preference under `backend: auto`: among the backends that can enforce the plan, the highest rank is taken;
    /// a negative rank is never taken unasked.
    #[serde(default)]
    pub rank: i32,
}

impl Description {
    /// A plugin that reads the documents of this release, and is never taken unasked.
    pub fn new(kind: Kind, id: &str, version: &str) -> Self {
        Self { id: id.to_owned(), kind, version: version.to_owned(), schemas: (SCHEMA, SCHEMA), rank: -1 }
    }
}

/// Index of a descriptor among those that accompany a document.
pub type DescriptorIndex = usize;

/// `report`: what can you enforce here?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The entries to answer; nothing else needs to be probed.
    #[serde(deserialize_with = "crate::capability::known")]
    pub asked: Vec<Capability>,
    /// The profile's options for this backend.
    #[serde(default)]
    pub options: serde_json::Value,
    /// Where `sandbox` may have left what it found out about this host. A report only reads there. Without it somebody wants
    /// to know whether all of it can be enforced: one reason why not is enough, and nothing that takes long shall be tried then.
    #[serde(default)]
    pub memory: Option<PathBuf>,
}

/// `check-options`: are these options sound?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOptionsRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The profile's options for this backend.
    pub options: serde_json::Value,
}

/// Where the container stands in the cgroup hierarchies. The core chose it and will remove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlacement {
    /// Path below the root of each hierarchy, beginning with `/`. With systemd it is the path of the unit's group.
    pub path: PathBuf,
    /// In which hierarchies the container gets a group.
    #[serde(default)]
    pub hierarchies: Hierarchies,
    /// Who makes the groups.
    #[serde(default)]
    pub manager: CgroupManager,
}

/// In which hierarchies the container gets a group of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hierarchies {
    /// Only where a limit needs one, or where nothing else tells the container's processes.
    #[default]
    Needed,
    /// In every hierarchy of the host, as engines expect that read statistics there.
    All,
}

/// Who makes the container's groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CgroupManager {
    /// The backend, as directories of cgroupfs.
    #[default]
    Cgroupfs,
    /// systemd, as a transient scope (org.freedesktop.systemd1(5), `StartTransientUnit`).
    Systemd {
        /// The slice that the scope belongs to: `system.slice`.
        slice: String,
        /// The scope's name: `cri-containerd-1f2e.scope`.
        unit: String,
    },
}

/// What may be done below a path under Landlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LandlockAccess {
    /// Read files and list directories.
    Read,
    /// Read, and execute programs.
    ReadExecute,
    /// Read, write, make, remove, rename (also between directories), but not execute.
    ReadWrite,
    /// All of it.
    ReadWriteExecute,
}

/// One Landlock rule: what may be done at and below a path of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockRule {
    /// Absolute path in the container. A rule for a path that does not exist there is left out.
    pub path: PathBuf,
    /// What may be done there.
    pub access: LandlockAccess,
}

/// What the plan asks for and the runtime specification has no word for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// Landlock rules; all other access to files is denied. `None`: no Landlock.
    #[serde(default)]
    pub landlock: Option<Vec<LandlockRule>>,
    /// Whether an init process stands between the backend and the workload.
    #[serde(default)]
    pub init: Init,
    /// Which session keyring the container's processes have.
    #[serde(default)]
    pub keyring: Keyring,
}

/// A container's session keyring, session-keyring(7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keyring {
    /// A new one: the caller's keys are out of reach.
    #[default]
    Own,
    /// The caller's.
    Callers,
}

/// Whether the workload is the container's first process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// The workload is the first process.
    #[default]
    Workload,
    /// A small init is: it reaps zombies and forwards signals.
    Reaper,
}

/// `sandbox`: make namespaces, cgroups and a process that waits at the gate. Nothing of the workload runs yet.
#[derive(Debug, Serialize, Deserialize)]
pub struct SandboxRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// A directory of the container where the backend may keep what it must remember between verbs.
    pub directory: PathBuf,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The bundle's `config.json`.
    pub config: Box<RawValue>,
    /// The profile's options for this backend.
    #[serde(default)]
    pub options: serde_json::Value,
    /// Where to put the container's processes; `None` leaves them where the caller is.
    #[serde(default)]
    pub cgroup: Option<CgroupPlacement>,
    /// What goes beyond the runtime specification.
    #[serde(default)]
    pub beyond: Beyond,
    /// A directory where a backend may remember what it found out about this host, in a file of its own name. It outlives
    /// containers, may not exist yet, and need not last: nothing but time may depend on it.
    #[serde(default)]
    pub memory: Option<PathBuf>,
    /// The ledger, opened for appending.
    pub ledger: DescriptorIndex,
    /// The root file system: a mount that is attached nowhere, or a directory. Without it, `root.path` of the
    /// configuration counts.
    #[serde(default)]
    pub rootfs: Option<DescriptorIndex>,
    /// Sources of `mounts` that were opened and checked, by their index in the configuration: `O_PATH` descriptors.
    #[serde(default)]
    pub mount_sources: BTreeMap<usize, DescriptorIndex>,
    /// Namespaces to join that were opened and checked, by their `type` in the configuration: `O_PATH` descriptors. They
    /// count in place of the paths that stand there.
    #[serde(default)]
    pub namespaces: BTreeMap<String, DescriptorIndex>,
    /// Variables of the workload beside those of the configuration: a file to be read from its beginning, in which each stands
    /// as `NAME=value` with a NUL behind it. They are secrets: only the workload's own process may read them, right before its
    /// exec, and nobody may write them anywhere. Processes that `exec` runs later do not get them.
    #[serde(default)]
    pub secret_environment: Option<DescriptorIndex>,
    /// Standard input, output and error of the workload. Ignored with `process.terminal`.
    pub stdio: [DescriptorIndex; 3],
    /// What the workload holds beyond these: its descriptors 3, 4 and so on.
    #[serde(default)]
    pub extra: Vec<DescriptorIndex>,
    /// Whether the core attaches the network namespace that the backend makes
    /// ([`crate::NetworkNamespace::Owned`]).
    #[serde(default)]
    pub network: NetworkWish,
}

/// What the core does with a network namespace that a backend makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkWish {
    /// Nothing.
    #[default]
    Leave,
    /// It attaches it to a network, before `create`: the reply brings it.
    Attach,
}

/// The reply to `sandbox`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReply {
    /// The process that waits, in the core's pid namespace.
    pub pid: u32,
    /// The gate, to be given to `create`. When its last copy is closed before, the sandbox dies by itself.
    pub gate: DescriptorIndex,
    /// The network namespace that it made, where [`NetworkWish::Attach`] asks for it.
    #[serde(default)]
    pub network: Option<DescriptorIndex>,
}

impl SandboxReply {
    /// A reply with no more than it must have. Replies grow by fields that may be absent: written this way, a plugin's source
    /// compiles with later releases too.
    pub fn new(pid: u32, gate: DescriptorIndex) -> Self {
        Self { pid, gate, network: None }
    }
}

/// `create`: build the rest, up to the point where only `start` is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// The directory given to `sandbox`.
    pub directory: PathBuf,
    /// The gate that `sandbox` returned.
    pub gate: DescriptorIndex,
    /// What comes when it is built.
    #[serde(default)]
    pub then: Then,
}

/// What a backend does with a container that is built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It waits for `start`.
    #[default]
    Wait,
    /// It may start the workload at once, and says so in [`CreateReply::started`]: nobody has anything to do in between, and
    /// a process that need not wait saves two changes of the processor. One that it leaves waiting is started by `start`.
    Start,
}

/// The reply to `create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateReply {
    /// The first process of the workload in the core's pid namespace, where the backend has one to name.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Becomes readable when the workload has ended; to be given to `wait`.
    pub wait: DescriptorIndex,
    /// Tells `wait` that the program could not be executed; to be given to `wait`.
    #[serde(default)]
    pub failure: Option<DescriptorIndex>,
    /// The operator's side of the container's terminal, where `process.terminal` asks for one.
    #[serde(default)]
    pub console: Option<DescriptorIndex>,
    /// What was asked for and left out, where the specification says that this is no error.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Whether the workload has been started, as [`Then::Start`] allows; `start` must not be called then.
    #[serde(default)]
    pub started: bool,
}

impl CreateReply {
    /// A reply with no more than it must have; the fields that are absent can be set afterwards.
    pub fn new(wait: DescriptorIndex) -> Self {
        Self { pid: None, wait, failure: None, console: None, warnings: Vec::new(), started: false }
    }
}

/// A request that names a container and says no more: `start`, `state`, `delete`, `pause`, `resume`, `processes`, `stats`,
/// `watch-oom`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// The directory given to `sandbox`.
    pub directory: PathBuf,
}

/// `wait`: how did it end? Called when the descriptor that `create` returned has become readable; blocks until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// The directory given to `sandbox`.
    pub directory: PathBuf,
    /// The descriptor to wait on that `create` returned.
    pub wait: DescriptorIndex,
    /// The descriptor of failure that `create` returned.
    #[serde(default)]
    pub failure: Option<DescriptorIndex>,
}

/// How the workload's first process ended. A monitor's own exit status is never passed off as the workload's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitStatus {
    /// It exited by itself.
    Exited {
        /// 0 to 255.
        code: u8,
    },
    /// A signal ended it.
    Signalled {
        /// The signal's number, signal(7).
        signal: i32,
    },
    /// It never ran: execve(2) failed.
    NotExecuted {
        /// The error number of execve(2).
        errno: i32,
    },
    /// The backend cannot tell.
    Unknown,
}

/// The status of a container, as in the runtime specification's `runtime.md#state`, and `paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Being made.
    Creating,
    /// Made; the workload's program has not been executed.
    Created,
    /// The program has been executed and has not ended.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its first process has ended.
    Stopped,
}

/// The reply to `state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateReply {
    /// What it is doing.
    pub status: Status,
    /// Its first process in the core's pid namespace, while it lives.
    #[serde(default)]
    pub pid: Option<u32>,
}

/// Whom a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalTarget {
    /// The container's first process.
    First,
    /// Every process of the container.
    All,
}

/// `signal`: send a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// The directory given to `sandbox`.
    pub directory: PathBuf,
    /// The signal's number, signal(7).
    pub signal: i32,
    /// To whom.
    pub target: SignalTarget,
}

/// `exec`: run another process in a container that runs.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExecRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// The directory given to `sandbox`.
    pub directory: PathBuf,
    /// The container's own `config.json`, as given to `sandbox`: its namespaces and its system call filter hold for the
    /// new process too.
    pub config: Box<RawValue>,
    /// What went beyond the runtime specification when the container was made: its Landlock rules hold too.
    #[serde(default)]
    pub beyond: Beyond,
    /// The process, in the form of the specification's `process`.
    pub process: Box<RawValue>,
    /// A group below the container's own to put it into.
    #[serde(default)]
    pub cgroup: Option<PathBuf>,
    /// Groups below the container's own in single hierarchies of cgroup v1, by the name of a controller. In the others it stands
    /// where `cgroup` says.
    #[serde(default)]
    pub cgroups: BTreeMap<String, PathBuf>,
    /// Standard input, output and error. Ignored with `process.terminal`.
    pub stdio: [DescriptorIndex; 3],
    /// What the process holds beyond these: its descriptors 3, 4 and so on.
    #[serde(default)]
    pub extra: Vec<DescriptorIndex>,
    /// What to do when the container is paused.
    #[serde(default)]
    pub when_paused: WhenPaused,
    /// What to do where the process cannot be held to all that holds for the container.
    #[serde(default)]
    pub shortfall: Shortfall,
}

/// What `exec` does where the process would have more freedom than the container's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortfall {
    /// It fails with `capability-missing`, on the field of the profile that would not hold.
    #[default]
    Refuse,
    /// It goes on, and says so in the warnings of its reply.
    Tell,
}

/// What `exec` does in a paused container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenPaused {
    /// It fails with `wrong-state`.
    #[default]
    Refuse,
    /// It blocks until the container is resumed.
    Wait,
}

/// The reply to `exec`. The program may be running already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecReply {
    /// The process in the core's pid namespace, where the backend has one to name.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Becomes readable when the process has ended; to be given to `wait`.
    pub wait: DescriptorIndex,
    /// Tells `wait` that the program could not be executed; to be given to `wait`.
    #[serde(default)]
    pub failure: Option<DescriptorIndex>,
    /// The operator's side of the process's terminal, where `process.terminal` asks for one.
    #[serde(default)]
    pub console: Option<DescriptorIndex>,
    /// What was asked for and left out, where the specification says that this is no error.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// `update`: change the limits of a container.
#[derive(Debug, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// The directory given to `sandbox`.
    pub directory: PathBuf,
    /// The new limits, in the form of the specification's `linux.resources`; what is not named stays as it is.
    pub resources: Box<RawValue>,
    /// New schemata of the container's own class of service, in the form of the specification's `linux.intelRdt`.
    #[serde(default)]
    pub intel_rdt: Option<Box<RawValue>>,
}

/// The reply to `processes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessesReply {
    /// Ids of all processes of the container, in the core's pid namespace, ascending.
    pub pids: Vec<u32>,
}

/// The reply to `watch-oom`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchOomReply {
    /// Becomes readable when the out-of-memory killer may have struck in the container, and when its group goes. What
    /// can be read from it is to be thrown away; `stats` says whether it struck.
    pub watch: DescriptorIndex,
}

/// `features`: what of the runtime specification does the backend implement?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeaturesRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The profile's options for this backend.
    #[serde(default)]
    pub options: serde_json::Value,
}

/// The reply to `features`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeaturesReply {
    /// The document of the specification's `features.md`.
    pub features: serde_json::Value,
}

/// `undo`: undo an effect that only the backend understands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// The directory given to `sandbox`.
    pub directory: PathBuf,
    /// What the backend wrote into [`crate::Effect::Plugin`].
    pub document: serde_json::Value,
}

/// When a hook plugin is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookPoint {
    /// The profile is resolved, the plan not yet made: the hook may propose changes.
    Plan,
    /// The container is created.
    Created,
    /// The workload has been started.
    Started,
    /// The workload has ended.
    Stopped,
    /// The container is gone.
    Deleted,
}

impl HookPoint {
    /// As it stands in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Created => "created",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Deleted => "deleted",
        }
    }
}

/// `event`: something happens to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRequest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What happens.
    pub point: HookPoint,
    /// To which container.
    pub id: ContainerId,
    /// The profile's options for this hook.
    #[serde(default)]
    pub options: serde_json::Value,
    /// The profile document as it stands, at [`HookPoint::Plan`].
    #[serde(default)]
    pub profile: serde_json::Value,
    /// The caller's variables that the profile lets the hook have.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// When it happens, RFC 3339, in UTC.
    #[serde(default)]
    pub time: String,
    /// What is known of the container, at every point but [`HookPoint::Plan`].
    #[serde(default)]
    pub container: Option<HookContainer>,
}

/// A container, as hooks are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookContainer {
    /// The name of its backend.
    pub backend: String,
    /// The directory of its bundle.
    pub bundle: PathBuf,
    /// Its root file system on the host.
    #[serde(default)]
    pub rootfs: PathBuf,
    /// The annotations of its `config.json`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Its first process, in nucleus' own pid namespace; `None` when it has ended or nobody has one to name.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The process that made it, in nucleus' own pid namespace.
    #[serde(default)]
    pub owner: Option<u32>,
    /// How its first process ended, where this nucleus has waited for it: at [`HookPoint::Stopped`] and after it.
    #[serde(default)]
    pub exit: Option<ExitStatus>,
}

/// One change of the profile document that a hook proposes (RFC 6902 without `move`, `copy` and `test`: they leak).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Patch {
    /// Adds a field or a list's element.
    Add {
        /// JSON pointer, RFC 6901.
        path: String,
        /// What to add.
        value: serde_json::Value,
    },
    /// Replaces a field.
    Replace {
        /// JSON pointer, RFC 6901.
        path: String,
        /// What to put there.
        value: serde_json::Value,
    },
    /// Removes a field.
    Remove {
        /// JSON pointer, RFC 6901.
        path: String,
    },
}

/// The reply to `event`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookReply {
    /// A reason why the container must not go on.
    #[serde(default)]
    pub veto: Option<String>,
    /// Proposed changes; only [`HookPoint::Plan`] takes them.
    #[serde(default)]
    pub patches: Vec<Patch>,
}

/// The reply of a verb that has nothing to say but that it worked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What went wrong on the way and is no error by the specification: a `poststop` hook that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
