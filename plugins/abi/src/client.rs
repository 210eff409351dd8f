//! The caller's side of the protocol: typed verbs over a [`Surface`].

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::capability::CapabilityReport;
use crate::checkpoint::{CheckpointRequest, RestoreRequest};
use crate::descriptors::Reply;
use crate::documents::{
    CheckOptionsRequest, ContainerRequest, CreateReply, CreateRequest, Description, Done, ExecReply,
    ExecRequest, ExitStatus, FeaturesReply, FeaturesRequest, HookReply, HookRequest, ProcessesReply,
    ReportRequest, SandboxReply, SandboxRequest, SignalRequest, StateReply, UndoRequest, UpdateRequest,
    WaitRequest, WatchOomReply,
};
use crate::stats::Stats;
use crate::surface::{Outcome, Surface};
use crate::transport::{PluginFile, Transport};
use crate::{Error, ErrorCode, Result};

/// A plugin as the core sees it, wherever its code comes from.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    description: Description,
}

impl Client {
    /// Asks a plugin in this process who it is.
    ///
    /// # Errors
    /// `protocol` when the answer cannot be read.
    pub fn new(surface: Surface) -> Result<Self> {
        Self::over(Arc::new(surface))
    }

    /// Asks a plugin who it is, wherever it is.
    ///
    /// # Errors
    /// `protocol` when the answer cannot be read; what the transport says.
    pub fn over(transport: Arc<dyn Transport>) -> Result<Self> {
        let document = transport.describe()?;
        let description = serde_json::from_slice(&document)
            .map_err(|error| Error::new(ErrorCode::Protocol, "read a plugin's description").because(error))?;
        Ok(Self { transport, description })
    }

    /// Who it is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The way to it, for what has no type here: verbs and documents of another release.
    pub fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// The file that it came from; `None` for a plugin that is part of the program.
    pub fn file(&self) -> Option<PluginFile<'_>> {
        self.transport.file()
    }

    /// [`crate::Backend::report`].
    ///
    /// # Errors
    /// The plugin's, or `protocol`; so for every verb below.
    pub fn report(&self, request: &ReportRequest) -> Result<CapabilityReport> {
        self.plain("report", request, &[])
    }

    /// [`crate::Backend::check_options`].
    pub fn check_options(&self, request: &CheckOptionsRequest) -> Result<Done> {
        self.plain("check-options", request, &[])
    }

    /// [`crate::Backend::sandbox`].
    pub fn sandbox(&self, request: &SandboxRequest, fds: &[BorrowedFd<'_>]) -> Result<Reply<SandboxReply>> {
        self.call("sandbox", request, fds)
    }

    /// [`crate::Backend::create`].
    pub fn create(&self, request: &CreateRequest, fds: &[BorrowedFd<'_>]) -> Result<Reply<CreateReply>> {
        self.call("create", request, fds)
    }

    /// [`crate::Backend::start`].
    pub fn start(&self, request: &ContainerRequest) -> Result<Done> {
        self.plain("start", request, &[])
    }

    /// [`crate::Backend::wait`].
    pub fn wait(&self, request: &WaitRequest, fds: &[BorrowedFd<'_>]) -> Result<ExitStatus> {
        self.plain("wait", request, fds)
    }

    /// [`crate::Backend::state`].
    pub fn state(&self, request: &ContainerRequest) -> Result<StateReply> {
        self.plain("state", request, &[])
    }

    /// [`crate::Backend::signal`].
    pub fn signal(&self, request: &SignalRequest) -> Result<Done> {
        self.plain("signal", request, &[])
    }

    /// [`crate::Backend::delete`].
    pub fn delete(&self, request: &ContainerRequest) -> Result<Done> {
        self.plain("delete", request, &[])
    }

    /// [`crate::Backend::exec`].
    pub fn exec(&self, request: &ExecRequest, fds: &[BorrowedFd<'_>]) -> Result<Reply<ExecReply>> {
        self.call("exec", request, fds)
    }

    /// [`crate::Backend::pause`].
    pub fn pause(&self, request: &ContainerRequest) -> Result<Done> {
        self.plain("pause", request, &[])
    }

    /// [`crate::Backend::resume`].
    pub fn resume(&self, request: &ContainerRequest) -> Result<Done> {
        self.plain("resume", request, &[])
    }

    /// [`crate::Backend::update`].
    pub fn update(&self, request: &UpdateRequest) -> Result<Done> {
        self.plain("update", request, &[])
    }

    /// [`crate::Backend::processes`].
    pub fn processes(&self, request: &ContainerRequest) -> Result<ProcessesReply> {
        self.plain("processes", request, &[])
    }

    /// [`crate::Backend::stats`].
    pub fn stats(&self, request: &ContainerRequest) -> Result<Stats> {
        self.plain("stats", request, &[])
    }

    /// [`crate::Backend::checkpoint`].
    pub fn checkpoint(&self, request: &CheckpointRequest, fds: &[BorrowedFd<'_>]) -> Result<Done> {
        self.plain("checkpoint", request, fds)
    }

    /// [`crate::Backend::restore`].
    pub fn restore(&self, request: &RestoreRequest, fds: &[BorrowedFd<'_>]) -> Result<Reply<CreateReply>> {
        self.call("restore", request, fds)
    }

    /// [`crate::Backend::features`].
    pub fn features(&self, request: &FeaturesRequest) -> Result<FeaturesReply> {
        self.plain("features", request, &[])
    }

    /// [`crate::Backend::watch_oom`].
    pub fn watch_oom(&self, request: &ContainerRequest) -> Result<Reply<WatchOomReply>> {
        self.call("watch-oom", request, &[])
    }

    /// [`crate::Backend::undo`].
    pub fn undo(&self, request: &UndoRequest) -> Result<Done> {
        self.plain("undo", request, &[])
    }

    /// [`crate::Hook::event`].
    pub fn event(&self, request: &HookRequest) -> Result<HookReply> {
        self.plain("event", request, &[])
    }

    fn plain<T: DeserializeOwned>(
        &self,
        verb: &str,
        request: &impl Serialize,
        fds: &[BorrowedFd<'_>],
    ) -> Result<T> {
        self.call(verb, request, fds).map(|reply| reply.document)
    }

    fn call<T: DeserializeOwned>(
        &self,
        verb: &str,
        request: &impl Serialize,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Reply<T>> {
        let document = serde_json::to_vec(request).map_err(|error| self.unreadable(verb, &error))?;
        let answer = self.transport.call(verb, &document, fds).map_err(|error| self.named(error))?;
        match answer.outcome {
            Outcome::Done => serde_json::from_slice(&answer.document)
                .map(|document| Reply { document, descriptors: answer.descriptors })
                .map_err(|error| self.unreadable(verb, &error)),
            Outcome::Failed => Err(serde_json::from_slice(&answer.document)
                .unwrap_or_else(|error| self.unreadable(verb, &error))),
        }
    }

    /// A transport knows what went wrong, and not always with whom.
    fn named(&self, error: Error) -> Error {
        if error.subject.is_some() { error } else { error.on(format!("plugin `{}`", self.description.id)) }
    }

    fn unreadable(&self, verb: &str, cause: &dyn std::fmt::Display) -> Error {
        Error::new(ErrorCode::Protocol, format!("read the plugin's answer to `{verb}`"))
            .on(format!("plugin `{}`", self.description.id))
            .because(cause)
    }
}
