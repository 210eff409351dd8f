//! The `oci-runtime` backend: crun, runc, youki or any other OCI runtime that the profile names.
//!
//! `backend: oci-runtime`, or `backend: {name: oci-runtime, options: {path: /usr/bin/crun}}`. The work is the engine's ([`nucleus_oci_cli`]); this crate
//! checks the options, finds out what the runtime is, and says what it can enforce.

#![forbid(unsafe_code)]

mod features;
mod known;
mod options;
mod report;

use nucleus_abi::{
    Backend, CapabilityReport, CheckOptionsRequest, ContainerRequest, CreateReply, CreateRequest,
    Description, Descriptors, Done, ExecReply, ExecRequest, ExitStatus, FeaturesReply, FeaturesRequest, Kind,
    ProcessesReply, Reply, ReportRequest, Result, SCHEMA, SandboxReply, SandboxRequest, SignalRequest,
    StateReply, Stats, UndoRequest, UpdateRequest, WaitRequest, WatchOomReply,
};
use nucleus_oci_cli as engine;

use known::Known;
use options::Options;

/// The name by which profiles choose it.
pub const ID: &str = "oci-runtime";
/// Never taken unasked: the program that isolates is somebody else's, and that is the operator's to choose.
const RANK: i32 = -1;

/// The backend.
#[derive(Debug, Clone, Copy)]
pub struct OciRuntime;

impl Backend for OciRuntime {
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
        let options = match Options::read(&request.options) {
            // Nobody asked for this backend: a host without runtimes is no fault.
            Err(error) if request.options.is_null() => {
                return Ok(report::without_runtime(&request.asked, &error));
            }
            options => options?,
        };
        Ok(report::report(&request.asked, &Known::ask(&options)?))
    }

    fn check_options(&self, request: &CheckOptionsRequest) -> Result<Done> {
        Options::read(&request.options).map(|_| Done::default())
    }

    fn sandbox(&self, request: &SandboxRequest, descriptors: Descriptors<'_>) -> Result<Reply<SandboxReply>> {
        let options = Options::read(&request.options)?;
        let runtime = Known::ask(&options)?.into_runtime(&options);
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

    fn features(&self, request: &FeaturesRequest) -> Result<FeaturesReply> {
        let options = Options::read(&request.options)?;
        features::ask(&options).map(|features| FeaturesReply { features })
    }
}

nucleus_abi::link_backend!(OciRuntime);
