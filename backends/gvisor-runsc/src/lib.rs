//! The `gvisor-runsc` backend: the workload's system calls are answered by gVisor's own kernel, and not by the host's.
//!
//! `backend: gvisor-runsc`. The engine ([`nucleus_oci_cli`]) calls runsc; this crate finds it, knows its release and the
//! platforms that start here, and says what it can enforce.
//!
//! ```text
//! report:  options → program (trusted) → version, platform (asked once, remembered) → known flaws → verdicts
//! sandbox: the same → flags for each verb, config.json → engine
//! ```

#![forbid(unsafe_code)]

mod advisories;
mod document;
mod found;
mod memory;
mod network;
mod options;
mod platform;
mod release;
mod report;

use nucleus_abi::{
    Backend, CapabilityReport, CheckOptionsRequest, ContainerRequest, CreateReply, CreateRequest,
    Description, Descriptors, Done, ExecReply, ExecRequest, ExitStatus, Kind, ProcessesReply, Reply,
    ReportRequest, Result, SCHEMA, SandboxReply, SandboxRequest, SignalRequest, StateReply, Stats,
    UndoRequest, UpdateRequest, WaitRequest, WatchOomReply,
};
use nucleus_oci_cli as engine;

use found::Found;
use options::Options;

/// The name by which profiles choose it.
pub const ID: &str = "gvisor-runsc";
/// Never taken unasked: it is slower at most things, and a program of somebody else's.
const RANK: i32 = -1;

/// The backend.
#[derive(Debug, Clone, Copy)]
pub struct GvisorRunsc;

impl Backend for GvisorRunsc {
    fn description(&self) -> Description {
        Description {
            id: ID.to_owned(),
            kind: Kind::Backend,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schemas: (SCHEMA, SCHEMA),
            rank: RANK,
        }
    }

    fn report(&self, request: &ReportRequest) -> Result<CapabilityReport> {
        report::report(request)
    }

    fn check_options(&self, request: &CheckOptionsRequest) -> Result<Done> {
        Options::read(&request.options).map(|_| Done::default())
    }

    fn sandbox(&self, request: &SandboxRequest, descriptors: Descriptors<'_>) -> Result<Reply<SandboxReply>> {
        let options = Options::read(&request.options)?;
        let found = Found::look(&options, request.memory.as_deref())?;
        let platform = found.platform(&options)?;
        let document = document::prepare(request.config.get(), &found, &options)?;
        let runtime = found.runtime(&options, platform, &document);
        found.remember(request.memory.as_deref());
        engine::sandbox(&runtime, request, descriptors)
    }

    fn create(&self, request: &CreateRequest, descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>> {
        engine::create(request, descriptors)
    }

    fn start(&self, request: &ContainerRequest) -> Result<Done> {
        engine::start(request)
    }

    fn wait(&self, request: &WaitRequest, descriptors: Descriptors<'_>) -> Result<ExitStatus> {
        engine::wait(request, descriptors)
    }

    fn state(&self, request: &ContainerRequest) -> Result<StateReply> {
        engine::state(request)
    }

    fn signal(&self, request: &SignalRequest) -> Result<Done> {
        engine::signal(request)
    }

    fn delete(&self, request: &ContainerRequest) -> Result<Done> {
        engine::delete(request)
    }

    fn exec(&self, request: &ExecRequest, descriptors: Descriptors<'_>) -> Result<Reply<ExecReply>> {
        engine::exec(request, descriptors)
    }

    fn pause(&self, request: &ContainerRequest) -> Result<Done> {
        engine::pause(request)
    }

    fn resume(&self, request: &ContainerRequest) -> Result<Done> {
        engine::resume(request)
    }

    fn update(&self, request: &UpdateRequest) -> Result<Done> {
        engine::update(request)
    }

    fn processes(&self, request: &ContainerRequest) -> Result<ProcessesReply> {
        engine::processes(request)
    }

    fn stats(&self, request: &ContainerRequest) -> Result<Stats> {
        engine::stats(request)
    }

    fn watch_oom(&self, request: &ContainerRequest) -> Result<Reply<WatchOomReply>> {
        engine::watch_oom(request)
    }

    fn undo(&self, request: &UndoRequest) -> Result<Done> {
        engine::undo(request)
    }
}

nucleus_abi::link_backend!(GvisorRunsc);
