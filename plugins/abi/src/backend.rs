//! The typed face of a backend: what an author implements, and what the core calls.

use crate::capability::CapabilityReport;
use crate::descriptors::{Descriptors, Reply};
use crate::documents::{
    CheckOptionsRequest, ContainerRequest, CreateReply, CreateRequest, Description, Done, ExitStatus,
    ReportRequest, SandboxReply, SandboxRequest, SignalRequest, StateReply, UndoRequest, WaitRequest,
};
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
        serde_json::Value::Null => return Ok(Done {}),
        serde_json::Value::Object(map) if map.is_empty() => return Ok(Done {}),
        serde_json::Value::Object(map) => map.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    Err(Error::new(ErrorCode::ProfileInvalid, "use the backend's options")
        .on(named)
        .because(format!("`{backend}` has no options"))
        .hint("remove `options` from `backend`"))
}
