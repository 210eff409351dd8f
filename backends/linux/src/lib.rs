//! The engine of the Linux backends: namespaces, mounts, cgroups, seccomp, Landlock and capabilities.
//!
//! One clone3 makes the container's first process in all its namespaces ([`sandbox`]). It is a copy of the caller that
//! builds the container from inside, by a list of steps (`init`), and then executes a tiny sealed program that waits for
//! the start and becomes the workload: nothing of nucleus is left in it.
//!
//! ```text
//! sandbox: config.json → Configuration → host sources opened → clone3 ─┬→ parent: id maps, cgroups, ledger, record
//!                                                                      └→ child: mounts, /dev, masks … waits for "go"
//! create:  "go" → cgroup namespace, sysctls → hooks → pivot → rights given up → exec of the last stage → waits at the start FIFO
//! start:   one byte into the FIFO → hooks → exec of the workload → hooks
//! ```
//! The engine keeps no state in memory between verbs: see `record`.

#![forbid(unsafe_code)]

mod cgroups;
mod checkpoint;
pub mod config;
mod create;
mod delete;
mod died;
mod exec;
pub mod fault;
mod features;
mod gate;
pub mod groups;
mod hooks;
pub mod identity;
mod init;
mod intermediate;
mod joining;
mod members;
mod net_devices;
mod pause;
mod probe;
mod processes;
mod record;
mod resctrl;
mod running;
mod sandbox;
pub mod seccomp;
mod signal;
mod sources;
mod start;
mod state;
mod stats;
mod targets;
mod unfinished;
mod update;
mod wait;
mod watch_oom;
mod workload;

use nucleus_abi::{
    CapabilityReport, CheckpointRequest, ContainerRequest, CreateReply, CreateRequest, Descriptors, Done,
    ExecReply, ExecRequest, ExitStatus, FeaturesReply, ProcessesReply, Reply, ReportRequest, RestoreRequest,
    Result, SandboxReply, SandboxRequest, SignalRequest, StateReply, Stats, UndoRequest, UpdateRequest,
    WaitRequest, WatchOomReply,
};

/// Answers what this host can enforce; probes nothing that is not asked.
pub fn report(request: &ReportRequest) -> CapabilityReport {
    probe::report(&request.asked)
}

/// Whether this process may do what a backend does: `Some` is why not.
pub fn missing_privileges() -> Option<String> {
    probe::privileges().err()
}

/// [`nucleus_abi::Backend::sandbox`].
pub fn sandbox(request: &SandboxRequest, descriptors: Descriptors<'_>) -> Result<Reply<SandboxReply>> {
    sandbox::sandbox(request, descriptors)
}

/// [`nucleus_abi::Backend::create`].
pub fn create(request: &CreateRequest, descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>> {
    create::create(request, descriptors)
}

/// [`nucleus_abi::Backend::start`].
pub fn start(request: &ContainerRequest) -> Result<Done> {
    start::start(request)
}

/// [`nucleus_abi::Backend::wait`].
pub fn wait(request: &WaitRequest, descriptors: Descriptors<'_>) -> Result<ExitStatus> {
    wait::wait(request, descriptors)
}

/// [`nucleus_abi::Backend::state`].
pub fn state(request: &ContainerRequest) -> Result<StateReply> {
    state::state(request)
}

/// [`nucleus_abi::Backend::signal`].
pub fn signal(request: &SignalRequest) -> Result<Done> {
    signal::signal(request)
}

/// [`nucleus_abi::Backend::delete`].
pub fn delete(request: &ContainerRequest) -> Result<Done> {
    delete::delete(request)
}

/// [`nucleus_abi::Backend::exec`].
pub fn exec(request: &ExecRequest, descriptors: Descriptors<'_>) -> Result<Reply<ExecReply>> {
    exec::exec(request, descriptors)
}

/// [`nucleus_abi::Backend::pause`].
pub fn pause(request: &ContainerRequest) -> Result<Done> {
    pause::pause(request)
}

/// [`nucleus_abi::Backend::resume`].
pub fn resume(request: &ContainerRequest) -> Result<Done> {
    pause::resume(request)
}

/// [`nucleus_abi::Backend::update`].
pub fn update(request: &UpdateRequest) -> Result<Done> {
    update::update(request)
}

/// [`nucleus_abi::Backend::processes`].
pub fn processes(request: &ContainerRequest) -> Result<ProcessesReply> {
    processes::processes(request)
}

/// [`nucleus_abi::Backend::stats`].
pub fn stats(request: &ContainerRequest) -> Result<Stats> {
    stats::stats(request)
}

/// [`nucleus_abi::Backend::watch_oom`].
pub fn watch_oom(request: &ContainerRequest) -> Result<Reply<WatchOomReply>> {
    watch_oom::watch_oom(request)
}

/// [`nucleus_abi::Backend::checkpoint`].
pub fn checkpoint(request: &CheckpointRequest, descriptors: Descriptors<'_>) -> Result<Done> {
    checkpoint::checkpoint(request, descriptors)
}

/// [`nucleus_abi::Backend::restore`].
pub fn restore(request: &RestoreRequest, descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>> {
    checkpoint::restore(request, descriptors)
}

/// [`nucleus_abi::Backend::undo`].
pub fn undo(request: &UndoRequest) -> Result<Done> {
    resctrl::undo(&request.document).map(|()| Done::default())
}

/// [`nucleus_abi::Backend::features`].
pub fn features() -> FeaturesReply {
    features::features()
}
