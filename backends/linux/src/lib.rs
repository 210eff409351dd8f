//! The engine of the Linux backends: namespaces, mounts, cgroups, seccomp, Landlock and capabilities.
//!
//! One clone3 makes the container's first process in all its namespaces ([`sandbox`]). It is a copy of the caller that
//! builds the container from inside, by a list of steps (`init`), and then executes a tiny sealed program that waits for
//! the start and becomes the workload: nothing of nucleus is left in it.
//!
//! ```text
//! sandbox: config.json → Configuration → host sources opened → clone3 ─┬→ parent: id maps, cgroups, ledger, record
//!                                                                      └→ child: mounts, /dev, masks … waits for "go"
//! create:  "go" → cgroup namespace, sysctls → pivot → rights given up → exec of the last stage → waits at the start FIFO
//! start:   one byte into the FIFO
//! ```
//! The engine keeps no state in memory between verbs: see `record`.

#![forbid(unsafe_code)]

mod aside;
mod cgroups;
pub mod config;
mod create;
mod delete;
mod fault;
mod gate;
mod identity;
mod init;
mod intermediate;
mod joining;
mod members;
mod probe;
mod record;
mod sandbox;
pub mod seccomp;
mod signal;
mod sources;
mod start;
mod state;
mod targets;
mod wait;

use nucleus_abi::{
    CapabilityReport, ContainerRequest, CreateReply, CreateRequest, Descriptors, Done, ExitStatus, Reply,
    ReportRequest, Result, SandboxReply, SandboxRequest, SignalRequest, StateReply, WaitRequest,
};

/// Answers what this host can enforce; probes nothing that is not asked.
pub fn report(request: &ReportRequest) -> CapabilityReport {
    probe::report(&request.asked)
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
