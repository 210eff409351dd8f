//! Whether somebody wants nucleus to end while it makes a bundle. In the foreground all signals are blocked by then, lest
//! one kill it before it can tear down: what takes long must ask. Elsewhere they end it as ever, and none waits here.

use std::fmt;
use std::io;

use nucleus_abi::ErrorCode;
use nucleus_sys::signal::{Signal, SignalFd, SignalSet, pending};

/// By which a process is asked to end.
const ENDING: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// Why something was not brought to its end.
#[derive(Debug)]
struct Interruption(Signal);

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} interrupted it", self.0)
    }
}

impl std::error::Error for Interruption {}

/// Becomes readable when a signal waits. It is not to be read: the signal waits until nucleus ends.
///
/// # Errors
/// What signalfd(2) says.
pub(super) fn descriptor() -> io::Result<SignalFd> {
    SignalFd::new(ENDING.into_iter().collect::<SignalSet>())
}

/// The signal that waits for nucleus to end, if it was asked to. One system call.
///
/// # Errors
/// What sigpending(2) says.
pub fn interrupting() -> io::Result<Option<Signal>> {
    let pending = pending()?;
    Ok(ENDING.into_iter().find(|signal| pending.contains(*signal)))
}

/// Goes on unless a signal waits.
///
/// # Errors
/// Of the kind `Interrupted`, and what sigpending(2) says.
pub(super) fn check() -> io::Result<()> {
    match interrupting()? {
        Some(signal) => Err(io::Error::new(io::ErrorKind::Interrupted, Interruption(signal))),
        None => Ok(()),
    }
}

/// The code of what failed for this cause: `interrupted`, or `host-unfit`.
pub(super) fn code(cause: &io::Error) -> ErrorCode {
    match cause.get_ref() {
        Some(cause) if cause.is::<Interruption>() => ErrorCode::Interrupted,
        _ => ErrorCode::HostUnfit,
    }
}
