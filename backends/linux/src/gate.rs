//! What is said through the gate: the socket between the waiting process and whoever creates the container.
//!
//! From outside: [`Word`]. From inside: [`Message`]. The core holds the outer end between `sandbox` and `create`; when its
//! last copy closes, the waiting process sees the end and leaves.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::socket::{Received, Socket};
use serde::{Deserialize, Serialize};

use crate::fault::OrFail;
use crate::seccomp::Agent;

/// Both ends of the gate, on both sides of a clone: each side keeps its own. The child's copy of the outer end would keep
/// the gate open for ever.
pub(crate) struct Ends {
    outer: Cell<Option<Socket>>,
    inner: Cell<Option<Socket>>,
}

impl Ends {
    /// Makes the gate of a container.
    pub(crate) fn make(id: &str) -> Result<Self> {
        let (outer, inner) = Socket::pair().or_fail("make the gate", id)?;
        Ok(Self { outer: Cell::new(Some(outer)), inner: Cell::new(Some(inner)) })
    }

    /// What the child keeps.
    pub(crate) fn inner_only(&self) -> Socket {
        drop(self.outer.take());
        self.inner.take().expect("the child takes it once")
    }

    /// What the parent has: the outer and the inner end.
    pub(crate) fn both(self) -> (Socket, Socket) {
        let ends = self.outer.into_inner().zip(self.inner.into_inner());
        ends.expect("the child took its own copies")
    }
}

/// What the waiting process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The id maps of its user namespace are written.
    Mapped,
    /// The groups of cgroup v1 are made and limited: enter them, by the descriptors that come with this word.
    Enter,
    /// The network is in place: build, and become the workload.
    Go,
    /// The runtime's hooks have been called: exchange the root.
    Pivot,
    /// The agent has the listener of the system call filter.
    Listened,
}

impl Word {
    const fn byte(self) -> &'static [u8] {
        match self {
            Self::Mapped => b"m",
            Self::Enter => b"e",
            Self::Go => b"g",
            Self::Pivot => b"p",
            Self::Listened => b"l",
        }
    }
}

/// What comes out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Message {
    /// Put into the socket by `sandbox` for `create`, with the process's pidfd and the reading end of its failure pipe.
    Process { pid: u32, warnings: Vec<String> },
    /// All is mounted, and the runtime's hooks are to be called.
    Mounted,
    /// All is built; with the terminal's outer side if there is one. The exec of the last stage closes the socket.
    Ready,
    /// The system call filter is loaded, and the sender waits for its agent to get the listener: descriptor `number` of
    /// the sender's.
    Listener { number: i32, agent: Agent },
    /// A step failed.
    Failed(Error),
}

/// Tells the waiting process. It may have failed and left: its last message says why, so that is no error here.
pub(crate) fn tell(gate: &Socket, word: Word, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    match gate.send(word.byte(), descriptors) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => Ok(()),
        result => result.or_fail("speak to the waiting process", "the gate"),
    }
}

/// Waits for a word and what comes with it. `None`: nobody is there any more to say it.
pub(crate) fn hear(gate: &Socket, word: Word) -> Result<Option<Vec<OwnedFd>>> {
    match gate.recv().or_fail("wait at the gate", "the gate")? {
        Received::Message(bytes, descriptors) if bytes == word.byte() => Ok(Some(descriptors)),
        Received::Message(..) => Err(Error::new(ErrorCode::Protocol, "understand the word at the gate")),
        Received::Closed => Ok(None),
    }
}

/// A message as it goes through the gate.
pub(crate) fn encode(message: &Message) -> Result<Vec<u8>> {
    serde_json::to_vec(message)
        .map_err(|error| Error::new(ErrorCode::Protocol, "write a message").because(error))
}

/// Sends a message out.
pub(crate) fn send(gate: &Socket, message: &Message, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    gate.send(&encode(message)?, descriptors).or_fail("answer through the gate", "the gate")
}

/// Receives a message; `None` when the inner end is closed.
pub(crate) fn receive(gate: BorrowedFd<'_>) -> Result<Option<(Message, Vec<OwnedFd>)>> {
    let gate = Socket::from(gate.as_fd().try_clone_to_owned().or_fail("duplicate a descriptor", "the gate")?);
    match recv(&gate).or_fail("listen at the gate", "the gate")? {
        Received::Closed => Ok(None),
        Received::Message(bytes, descriptors) => serde_json::from_slice(&bytes)
            .map(|message| Some((message, descriptors)))
            .map_err(|error| Error::new(ErrorCode::Protocol, "read a message at the gate").because(error)),
    }
}

/// A process that leaves without having read our word makes the kernel report that once (ECONNRESET), before it hands out
/// the last message.
fn recv(gate: &Socket) -> std::io::Result<Received> {
    match gate.recv() {
        Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => gate.recv(),
        result => result,
    }
}
