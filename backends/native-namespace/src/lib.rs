//! The `native-namespace` backend: kernel namespaces, cgroups, seccomp and Landlock, as root.
//!
//! All the work is the engine's ([`nucleus_linux`]); this crate gives it a name, a rank and a place among the plugins that
//! are linked into the program. The crate `nucleus-native-namespace-plugin` beside it is the same code as a loadable plugin.

#![deny(unsafe_code)]

use nucleus_abi::{
    Backend, CapabilityReport, CheckpointRequest, ContainerRequest, CreateReply, CreateRequest, Description,
    Descriptors, Done, ExecReply, ExecRequest, ExitStatus, FeaturesReply, FeaturesRequest, Kind,
    ProcessesReply, Reply, ReportRequest, RestoreRequest, Result, SCHEMA, SandboxReply, SandboxRequest,
    SignalRequest, StateReply, Stats, UndoRequest, UpdateRequest, WaitRequest, WatchOomReply,
};

/// The name by which profiles choose it.
pub const ID: &str = "native-namespace";
/// Under `backend: auto` it is taken before all others that can enforce the plan: nothing stands between the workload
/// and the kernel, and it starts fastest.
const RANK: i32 = 100;

/// The backend.
#[derive(Debug, Clone, Copy)]
pub struct NativeNamespace;

impl Backend for NativeNamespace {
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
        Ok(nucleus_linux::report(request))
    }

    fn sandbox(&self, request: &SandboxRequest, descriptors: Descriptors<'_>) -> Result<Reply<SandboxReply>> {
        nucleus_linux::sandbox(request, descriptors)
    }

    fn create(&self, request: &CreateRequest, descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>> {
        nucleus_linux::create(request, descriptors)
    }

    fn start(&self, request: &ContainerRequest) -> Result<Done> {
        nucleus_linux::start(request)
    }

    fn wait(&self, request: &WaitRequest, descriptors: Descriptors<'_>) -> Result<ExitStatus> {
        nucleus_linux::wait(request, descriptors)
    }

    fn state(&self, request: &ContainerRequest) -> Result<StateReply> {
        nucleus_linux::state(request)
    }

    fn signal(&self, request: &SignalRequest) -> Result<Done> {
        nucleus_linux::signal(request)
    }

    fn delete(&self, request: &ContainerRequest) -> Result<Done> {
        nucleus_linux::delete(request)
    }

    fn exec(&self, request: &ExecRequest, descriptors: Descriptors<'_>) -> Result<Reply<ExecReply>> {
        nucleus_linux::exec(request, descriptors)
    }

    fn pause(&self, request: &ContainerRequest) -> Result<Done> {
        nucleus_linux::pause(request)
    }

    fn resume(&self, request: &ContainerRequest) -> Result<Done> {
        nucleus_linux::resume(request)
    }

    fn update(&self, request: &UpdateRequest) -> Result<Done> {
        nucleus_linux::update(request)
    }

    fn processes(&self, request: &ContainerRequest) -> Result<ProcessesReply> {
        nucleus_linux::processes(request)
    }

    fn stats(&self, request: &ContainerRequest) -> Result<Stats> {
        nucleus_linux::stats(request)
    }

    fn watch_oom(&self, request: &ContainerRequest) -> Result<Reply<WatchOomReply>> {
        nucleus_linux::watch_oom(request)
    }

    fn checkpoint(&self, request: &CheckpointRequest, descriptors: Descriptors<'_>) -> Result<Done> {
        nucleus_linux::checkpoint(request, descriptors)
    }

    fn restore(&self, request: &RestoreRequest, descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>> {
        nucleus_linux::restore(request, descriptors)
    }

    fn undo(&self, request: &UndoRequest) -> Result<Done> {
        nucleus_linux::undo(request)
    }

    fn features(&self, _: &FeaturesRequest) -> Result<FeaturesReply> {
        Ok(nucleus_linux::features())
    }
}

// In the loadable form this registers with that library's own copy of `inventory`, which nobody asks: harmless.
nucleus_abi::link_backend!(NativeNamespace);
