//! The gate: the socket between the staging process and whoever creates the container.
//!
//! One word goes in, one error may come out. The exec of the runtime closes the inner end, and so does the staging process's
//! end; when the last copy of the outer end is closed before the word, the staging process leaves.

use std::cell::Cell;
use std::os::fd::{BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_linux::fault::OrFail;
use nucleus_sys::socket::{Received, Socket};

const GO: &[u8] = b"go";
const LEFT: &[u8] = b"left";

/// The descriptor that [`Ends::leave`] left, which must be heard before anything else.
pub(crate) fn take_left(gate: BorrowedFd<'_>) -> Result<OwnedFd> {
    let received = socket(gate)?.recv().or_fail("listen at the gate", "the gate")?;
    let descriptor = match received {
        Received::Message(bytes, mut descriptors) if bytes == LEFT => descriptors.pop(),
        _ => None,
    };
    descriptor.ok_or_else(|| Error::new(ErrorCode::Protocol, "take what was left in the gate"))
}

/// Both ends, on both sides of a clone: each side keeps its own. The child's copy of the outer end would keep the gate open
/// for ever.
pub(crate) struct Ends {
    outer: Cell<Option<Socket>>,
    inner: Cell<Option<Socket>>,
}

impl Ends {
    pub(crate) fn make(id: &str) -> Result<Self> {
        let (outer, inner) = Socket::pair().or_fail("make the gate", id)?;
        Ok(Self { outer: Cell::new(Some(outer)), inner: Cell::new(Some(inner)) })
    }

    /// Leaves a descriptor in the gate, for whoever listens at the outer end first.
    pub(crate) fn leave(&self, descriptor: BorrowedFd<'_>) -> Result<()> {
        let inner = self.inner.take().expect("nobody has taken it yet");
        let sent = inner.send(LEFT, &[descriptor]).or_fail("leave a descriptor in the gate", "the gate");
        self.inner.set(Some(inner));
        sent
    }

    /// What the child keeps.
    pub(crate) fn inner_only(&self) -> Socket {
        drop(self.outer.take());
        self.inner.take().expect("the child takes it once")
    }

    /// What the parent keeps.
    pub(crate) fn outer_only(self) -> Socket {
        drop(self.inner.into_inner());
        self.outer.into_inner().expect("the child took its own copies")
    }
}

/// Lets the staging process go on. It may have failed and left: its last message says why, so that is no error here.
pub(crate) fn go(gate: BorrowedFd<'_>) -> Result<()> {
    match socket(gate)?.send(GO, &[]) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => Ok(()),
        result => result.or_fail("speak to the staging process", "the gate"),
    }
}

/// What came through the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The word.
    Go,
    /// Nobody is there any more to say it.
    End,
}

/// Waits for the word.
pub(crate) fn hear(gate: &Socket) -> Result<Heard> {
    match gate.recv().or_fail("wait at the gate", "the gate")? {
        Received::Message(bytes, _) if bytes == GO => Ok(Heard::Go),
        Received::Message(..) => Err(Error::new(ErrorCode::Protocol, "understand the word at the gate")),
        Received::Closed => Ok(Heard::End),
    }
}

/// Tells what went wrong inside. Whoever should hear it may be gone.
pub(crate) fn tell(gate: &Socket, error: &Error) {
    if let Ok(bytes) = serde_json::to_vec(error) {
        let _ = gate.send(&bytes, &[]);
    }
}

/// Listens until the inner end is closed.
///
/// # Errors
/// What the staging process tells.
pub(crate) fn listen(gate: BorrowedFd<'_>) -> Result<()> {
    match recv(&socket(gate)?).or_fail("listen at the gate", "the gate")? {
        Received::Closed => Ok(()),
        Received::Message(bytes, _) => Err(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            Error::new(ErrorCode::Protocol, "read a message at the gate").because(error)
        })),
    }
}

fn socket(gate: BorrowedFd<'_>) -> Result<Socket> {
    gate.try_clone_to_owned().map(Socket::from).or_fail("duplicate the gate", "the gate")
}

/// A process that leaves without having read our word makes the kernel report that once (ECONNRESET), before it hands out
/// the last message.
fn recv(gate: &Socket) -> std::io::Result<Received> {
    match gate.recv() {
        Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => gate.recv(),
        result => result,
    }
}
