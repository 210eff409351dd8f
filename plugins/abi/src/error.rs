//! The one error type that crosses the protocol and reaches the operator.
//!
//! An error is data: *what* failed (`step`), *on what* (`subject`), *why* (`cause`) and *what to do* (`hint`),
//! under a code from a closed list. The command line shows it as text or as JSON from the same value.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The class of a failure. Scripts match on it; texts may change between releases, codes do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The command line does not make sense.
    InvalidArgument,
    /// No profile with this name or at this path.
    ProfileNotFound,
    /// The profile has mistakes; each is listed.
    ProfileInvalid,
    /// The profile is sound, but the plan that follows from it is not.
    PlanInvalid,
    /// The backend cannot enforce what the profile promises on this host.
    CapabilityMissing,
    /// An engine asks for what the operator's profile does not allow.
    ProfileRefuses,
    /// No backend of this name is registered.
    BackendNotFound,
    /// The backend, plugin or this release does not know the verb, field or value.
    NotSupported,
    /// The host lacks something that the plan needs.
    HostUnfit,
    /// A container with this id exists.
    ContainerExists,
    /// No container with this id exists.
    ContainerNotFound,
    /// The container is in a state that does not allow the operation.
    WrongState,
    /// The container's record cannot be read.
    RecordUnreadable,
    /// The `config.json` of a bundle is wrong.
    ConfigInvalid,
    /// The workload's program does not exist in the container (exit status 127).
    CommandNotFound,
    /// The workload's program exists, but cannot be executed (exit status 126).
    CommandNotExecutable,
    /// The image tries something that no honest image does (a link in place of `/proc`, for example).
    HostileImage,
    /// A root file system is not what its manifest says, or the manifest is not what its signature says.
    AttestationFailed,
    /// A hook of the configuration failed, and with it what it was called for.
    HookFailed,
    /// A signal asked nucleus to end before what was begun was done; the signal is the cause (exit status 128 and its number).
    Interrupted,
    /// The kernel refused an operation.
    SystemCall,
    /// Something that was made for a container could not be undone.
    Teardown,
    /// The file of a plugin may not be loaded.
    PluginRefused,
    /// A plugin did in this process what no plugin may do.
    PluginMisbehaved,
    /// A plugin panicked; its message is the cause.
    PluginPanicked,
    /// A message of the protocol cannot be read.
    Protocol,
    /// A code of a later release that this one does not know.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// The code as it stands in JSON: kebab case.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid-argument",
            Self::ProfileNotFound => "profile-not-found",
            Self::ProfileInvalid => "profile-invalid",
            Self::PlanInvalid => "plan-invalid",
            Self::CapabilityMissing => "capability-missing",
            Self::ProfileRefuses => "profile-refuses",
            Self::BackendNotFound => "backend-not-found",
            Self::NotSupported => "not-supported",
            Self::HostUnfit => "host-unfit",
            Self::ContainerExists => "container-exists",
            Self::ContainerNotFound => "container-not-found",
            Self::WrongState => "wrong-state",
            Self::RecordUnreadable => "record-unreadable",
            Self::ConfigInvalid => "config-invalid",
            Self::CommandNotFound => "command-not-found",
            Self::CommandNotExecutable => "command-not-executable",
            Self::HostileImage => "hostile-image",
            Self::AttestationFailed => "attestation-failed",
            Self::HookFailed => "hook-failed",
            Self::Interrupted => "interrupted",
            Self::SystemCall => "system-call",
            Self::Teardown => "teardown",
            Self::PluginRefused => "plugin-refused",
            Self::PluginMisbehaved => "plugin-misbehaved",
            Self::PluginPanicked => "plugin-panicked",
            Self::Protocol => "protocol",
            Self::Unknown => "unknown",
        }
    }
}

/// A failure, as fields.
///
/// ```
/// use nucleus_abi::{Error, ErrorCode};
/// let error = Error::new(ErrorCode::HostUnfit, "make the memory cgroup")
///     .on("/sys/fs/cgroup/memory/nucleus/web")
///     .because("the memory controller is not mounted")
///     .hint("mount the controller or drop `resources.memory` from the profile");
/// assert_eq!(
///     error.to_string(),
///     "cannot make the memory cgroup: /sys/fs/cgroup/memory/nucleus/web: the memory controller is not mounted"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// The class of the failure.
    pub code: ErrorCode,
    /// What was being done, as a verb phrase that can follow "cannot": `mount the root file system`.
    pub step: Cow<'static, str>,
    /// What it was done to: a path, an id, a profile line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What the reader can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Failures of the same operation that did not end it (each refused profile line, each failed undo).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Error>,
}

impl Error {
    /// A failure of `step` (a verb phrase that can follow "cannot").
    pub fn new(code: ErrorCode, step: impl Into<Cow<'static, str>>) -> Self {
        Self { code, step: step.into(), subject: None, cause: None, hint: None, also: Vec::new() }
    }

    /// Names what the step was done to.
    #[must_use]
    pub fn on(mut self, subject: impl fmt::Display) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    /// Names the reason.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Says what the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Attaches failures that belong to the same operation.
    #[must_use]
    pub fn and(mut self, others: impl IntoIterator<Item = Self>) -> Self {
        self.also.extend(others);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.step)?;
        if let Some(subject) = &self.subject {
            write!(f, ": {subject}")?;
        }
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The result of everything that may fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_as_they_are_serialised() {
        for code in [ErrorCode::InvalidArgument, ErrorCode::CapabilityMissing, ErrorCode::PluginPanicked] {
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(json, format!("\"{}\"", code.name()));
        }
    }

    #[test]
    fn a_code_of_a_later_release_is_read_as_unknown() {
        let code: ErrorCode = serde_json::from_str("\"out-of-cheese\"").unwrap();
        assert_eq!(code, ErrorCode::Unknown);
    }

    #[test]
    fn fields_that_say_nothing_are_not_written() {
        let json = serde_json::to_string(&Error::new(ErrorCode::Protocol, "read a request")).unwrap();
        assert_eq!(json, r#"{"code":"protocol","step":"read a request"}"#);
    }
}
