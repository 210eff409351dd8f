//! The agent that answers `SCMP_ACT_NOTIFY` (config-linux.md, "The Container Process State").
//!
//! The process that loads the filter cannot hand the listener over itself: every call by which it could might wait for
//! the agent already. It tells its number by write(2), the one call that may therefore not be notified, and waits; the
//! parent takes the descriptor (`pidfd_getfd(2)`) and gives it to the agent.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::socket;
use serde::{Deserialize, Serialize};

use crate::fault::{OrFail, system};
use crate::hooks::State;

/// `SECCOMP_FD_NAME` of the specification.
const LISTENER: &str = "seccompFd";

/// How long the agent may take to accept the connection and to read: one that hangs must not hang us and the engine with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the agent listens, and what it is told besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// `listenerPath`: a socket of the host, of type `SOCK_STREAM`.
    pub path: PathBuf,
    /// `listenerMetadata`.
    pub metadata: Option<String>,
}

/// The document that goes to the agent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    state: State<'a>,
}

impl Agent {
    /// Takes the listener `number` out of a process and gives it to the agent: one document for one connection.
    pub(crate) fn introduce(&self, process: &PidFd, pid: u32, number: i32, state: State<'_>) -> Result<()> {
        let listener = process.get(number).or_fail("take the seccomp listener", pid)?;
        let document = ContainerProcessState {
            oci_version: state.oci_version(),
            fds: [LISTENER],
            pid,
            metadata: self.metadata.as_deref(),
            state,
        };
        let text = serde_json::to_vec(&document).map_err(io::Error::from);
        let sent = text.and_then(|text| {
            let mut agent = socket::connect_within(&self.path, PATIENCE)?;
            // The descriptor goes with the first byte, whatever the socket has room for.
            let (first, rest) = text.split_at(1);
            socket::send_descriptor(agent.as_fd(), first, listener.as_fd())?;
            agent.write_all(rest)
        });
        sent.map_err(|error| self.deaf(&error))
    }

    fn deaf(&self, error: &io::Error) -> Error {
        let field = format!("config.json: linux.seccomp.listenerPath: {}", self.path.display());
        let unreached =
            Error { code: ErrorCode::HostUnfit, ..system("reach the seccomp agent", error) }.on(field);
        match error.kind() {
            io::ErrorKind::WouldBlock => unreached
                .because(format!("it listens, but took nothing for {} seconds", PATIENCE.as_secs()))
                .hint("look at the agent: it must accept connections and read from them"),
            _ => unreached.hint("start the agent that listens there before the container"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_hangs_is_told_from_one_that_is_missing() {
        let agent = Agent { path: "/run/agent.sock".into(), metadata: None };
        let hangs = agent.deaf(&io::ErrorKind::WouldBlock.into());
        let missing = agent.deaf(&io::ErrorKind::NotFound.into());
        assert_eq!(hangs.cause.as_deref(), Some("it listens, but took nothing for 5 seconds"));
        assert_ne!(hangs.hint, missing.hint);
        assert!(hangs.subject.is_some_and(|subject| subject.contains("linux.seccomp.listenerPath")));
    }
}
