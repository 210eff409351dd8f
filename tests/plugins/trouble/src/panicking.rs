//! A backend that panics at every verb.

use nucleus_abi::{
    Backend, CapabilityReport, ContainerRequest, CreateReply, CreateRequest, Description, Descriptors, Done,
    ExitStatus, Kind, Reply, ReportRequest, Result, SCHEMA, SandboxReply, SandboxRequest, SignalRequest,
    StateReply, WaitRequest,
};

pub(crate) struct Panicking;

fn fall<T>() -> T {
    panic!("the sky is falling")
}

impl Backend for Panicking {
    fn description(&self) -> Description {
        Description {
            id: "trouble".into(),
            kind: Kind::Backend,
            version: "1".into(),
            schemas: (SCHEMA, SCHEMA),
            rank: -1,
        }
    }

    fn report(&self, _: &ReportRequest) -> Result<CapabilityReport> {
        fall()
    }

    fn sandbox(&self, _: &SandboxRequest, _: Descriptors<'_>) -> Result<Reply<SandboxReply>> {
        fall()
    }

    fn create(&self, _: &CreateRequest, _: Descriptors<'_>) -> Result<Reply<CreateReply>> {
        fall()
    }

    fn start(&self, _: &ContainerRequest) -> Result<Done> {
        fall()
    }

    fn wait(&self, _: &WaitRequest, _: Descriptors<'_>) -> Result<ExitStatus> {
        fall()
    }

    fn state(&self, _: &ContainerRequest) -> Result<StateReply> {
        fall()
    }

    fn signal(&self, _: &SignalRequest) -> Result<Done> {
        fall()
    }

    fn delete(&self, _: &ContainerRequest) -> Result<Done> {
        fall()
    }
}
