//! Whether somebody wants nucleus to end while it makes a bundle. In the foreground all signals are blocked by then, lest
//! one kill it before it can tear down: what takes long must ask. Elsewhere they end it as ever, and none waits here.

use std::io;

use nucleus_sys::signal::{Signal, SignalFd, SignalSet, pending};

/// What is told of whatever was not brought to its end.
pub(super) const INTERRUPTED: &str = "a signal interrupted it";

/// By which a process is asked to end.
const ENDING: SignalSet =
    SignalSet::EMPTY.with(Signal::HUP).with(Signal::INT).with(Signal::QUIT).with(Signal::TERM);

/// Becomes readable when a signal waits. It is not to be read: the signal waits until nucleus ends.
///
/// # Errors
/// What signalfd(2) says.
pub(super) fn descriptor() -> io::Result<SignalFd> {
    SignalFd::new(ENDING)
}

/// Goes on unless a signal waits. One system call.
///
/// # Errors
/// Of the kind `Interrupted`, and what sigpending(2) says.
pub(super) fn check() -> io::Result<()> {
    if pending()?.has_any(ENDING) {
        return Err(io::Error::new(io::ErrorKind::Interrupted, INTERRUPTED));
    }
    Ok(())
}
