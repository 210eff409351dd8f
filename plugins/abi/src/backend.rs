//! The typed face of a backend: what an author implements, and what the core calls.

use crate::capability::CapabilityReport;
use crate::checkpoint::{CheckpointRequest, RestoreRequest};
use crate::descriptors::{Descriptors, Reply};
use crate::documents::{
    CheckOptionsRequest, ContainerRequest, CreateReply, CreateRequest, Description, Done, ExecReply,
    ExecRequest, ExitStatus, FeaturesReply, FeaturesRequest, ProcessesReply, ReportRequest, SandboxReply,
    SandboxRequest, SignalRequest, StateReply, UndoRequest, UpdateRequest, WaitRequest, WatchOomReply,
};
use crate::stats::Stats;
use crate::{Error, ErrorCode, Result};

/// A backend: runs bundles and isolates them.
///
/// **Who calls.** The core alone, from one thread at a time. Between `sandbox` and `create` it attaches the network.
///
/// **State.** None in memory: each verb may come from a new process. What must be remembered goes into the request's
/// `directory`, in a versioned file. A verb may be repeated after a crash; `delete` and `undo` succeed when there is
/// nothing left to do.
///
/// **Ownership.** Descriptors of a request are the caller's until the call returns; descriptors of a reply are the
/// caller's from then on. Each is close-on-exec.
///
/// **Hooks.** Those of `config.json` are the backend's to run, as config.md#posix-platform-hooks says: the core runs none,
/// so that each runs once, whatever the backend. A failed `startContainer` or `poststart` stops the container and is an error
/// of `start`; a failed `poststop` is a warning of `delete` (runtime.md, "Lifecycle").
///
/// **Effects.** Whatever can outlive the call is recorded in the ledger before it is made.
///
/// **Errors.** As data, with step, subject, cause and hint. A panic is caught and becomes `plugin-panicked`. After a
/// failed verb the core calls `delete` and undoes the ledger.
pub trait Backend: Sync {
    /// Who it is. Pure, and cheap.
    fn description(&self) -> Description;

    /// Answers each entry that was asked for, from knowledge of itself *and* a probe of this host.
    ///
    /// # Errors
    /// Only where not even a "no" can be given; what is not known is a no with its reason.
    fn report(&self, request: &ReportRequest) -> Result<CapabilityReport>;

    /// Refuses options that it does not know. By default there are none.
    ///
    /// # Errors
    /// `profile-invalid`, naming the option.
    fn check_options(&self, request: &CheckOptionsRequest) -> Result<Done> {
        refuse_all_options(&self.description().id, &request.options)
    }

    /// Makes namespaces, cgroups and a process that waits at the gate.
    ///
    /// # Errors
    /// What the host refuses.
    fn sandbox(&self, request: &SandboxRequest, descriptors: Descriptors<'_>) -> Result<Reply<SandboxReply>>;

    /// Builds the rest; only the start is missing then.
    ///
    /// # Errors
    /// What the host or the image refuses; `command-not-found` and `command-not-executable` where it can tell.
    fn create(&self, request: &CreateRequest, descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>>;

    /// Lets the workload go.
    ///
    /// # Errors
    /// `wrong-state` when it is not waiting.
    fn start(&self, request: &ContainerRequest) -> Result<Done>;

    /// Says how the first process ended; blocks until it has.
    ///
    /// # Errors
    /// What wait reports.
    fn wait(&self, request: &WaitRequest, descriptors: Descriptors<'_>) -> Result<ExitStatus>;

    /// Says what the container is doing.
    ///
    /// # Errors
    /// `record-unreadable`.
    fn state(&self, request: &ContainerRequest) -> Result<StateReply>;

    /// Sends a signal.
    ///
    /// # Errors
    /// `wrong-state` when there is no process to send it to.
    fn signal(&self, request: &SignalRequest) -> Result<Done>;

    /// Ends what still runs and removes what the backend made. Succeeds when nothing is left.
    ///
    /// # Errors
    /// `teardown`, with everything that could not be removed; it goes on after each failure.
    fn delete(&self, request: &ContainerRequest) -> Result<Done>;

    /// Runs another process in a container that runs.
    ///
    /// # Errors
    /// `wrong-state` when it does not run or is paused; `command-not-found` and `command-not-executable` where it can
    /// tell. By default `not-supported`, as for every verb below.
    fn exec(&self, request: &ExecRequest, _descriptors: Descriptors<'_>) -> Result<Reply<ExecReply>> {
        Err(not_supported("exec").on(&request.id))
    }

    /// Stops all processes of a container, until `resume`. Succeeds when it is paused already.
    ///
    /// # Errors
    /// `wrong-state` when it does not run.
    fn pause(&self, request: &ContainerRequest) -> Result<Done> {
        Err(not_supported("pause").on(&request.id))
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// `wrong-state` when it is not paused.
    fn resume(&self, request: &ContainerRequest) -> Result<Done> {
        Err(not_supported("resume").on(&request.id))
    }

    /// Changes limits: all of them, or, when one is refused, as few as the kernel allows.
    ///
    /// # Errors
    /// `config-invalid` and `not-supported`, naming the field.
    fn update(&self, request: &UpdateRequest) -> Result<Done> {
        Err(not_supported("update").on(&request.id))
    }

    /// Lists a container's processes.
    ///
    /// # Errors
    /// What the host refuses.
    fn processes(&self, request: &ContainerRequest) -> Result<ProcessesReply> {
        Err(not_supported("processes").on(&request.id))
    }

    /// Says what a container uses.
    ///
    /// # Errors
    /// `wrong-state` when it has ended.
    fn stats(&self, request: &ContainerRequest) -> Result<Stats> {
        Err(not_supported("stats").on(&request.id))
    }

    /// Gives a descriptor that tells of the out-of-memory killer.
    ///
    /// # Errors
    /// `wrong-state` when it has ended; `host-unfit` when nothing counts its memory.
    fn watch_oom(&self, request: &ContainerRequest) -> Result<Reply<WatchOomReply>> {
        Err(not_supported("watch-oom").on(&request.id))
    }

    /// Writes the processes of a container into files. When it fails, or the caller is killed, they go on as before.
    ///
    /// # Errors
    /// `wrong-state` when it does not run; `host-unfit` without the program that does it; `not-supported`, naming what of the
    /// container cannot be written.
    fn checkpoint(&self, request: &CheckpointRequest, _descriptors: Descriptors<'_>) -> Result<Done> {
        Err(not_supported("checkpoint").on(&request.id))
    }

    /// Makes a container of such files, in place of `sandbox`, `create` and `start`. It is held to what they say of the
    /// container that they were made of: what its configuration no longer has is refused.
    ///
    /// # Errors
    /// As for `sandbox`; `config-invalid` where the files and the configuration contradict each other.
    fn restore(&self, request: &RestoreRequest, _descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>> {
        Err(not_supported("restore").on(&request.sandbox.id))
    }

    /// Says what of the runtime specification it implements (`features.md`). Asks nothing of the host that differs from
    /// one container to the next.
    ///
    /// # Errors
    /// None but `not-supported`.
    fn features(&self, _request: &FeaturesRequest) -> Result<FeaturesReply> {
        Err(not_supported("features").on(self.description().id))
    }

    /// Undoes an effect of its own that the ledger holds. By default it has none.
    ///
    /// # Errors
    /// `teardown`.
    fn undo(&self, request: &UndoRequest) -> Result<Done> {
        Err(not_supported("undo").on(&request.id))
    }
}

/// The error for a verb that a plugin does not have.
pub fn not_supported(verb: &str) -> Error {
    Error::new(ErrorCode::NotSupported, format!("do `{verb}`")).because("the plugin does not have this verb")
}

fn refuse_all_options(backend: &str, options: &serde_json::Value) -> Result<Done> {
    let named = match options {
        serde_json::Value::Null => return Ok(Done::default()),
        serde_json::Value::Object(map) if map.is_empty() => return Ok(Done::default()),
        serde_json::Value::Object(map) => map.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    Err(Error::new(ErrorCode::ProfileInvalid, "use the backend's options")
        .on(named)
        .because(format!("`{backend}` has no options"))
        .hint("remove `options` from `backend`"))
}
