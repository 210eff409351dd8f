//! A process of ours that ended before it became the workload, and without a word.

use std::borrow::Cow;
use std::fmt::Display;

use nucleus_abi::{Error, ErrorCode};
use nucleus_sys::pidfd::Exit;

/// The error that says how it ended, as far as that is known.
pub(crate) fn died(step: impl Into<Cow<'static, str>>, id: impl Display, exit: Option<Exit>) -> Error {
    let died = Error::new(ErrorCode::SystemCall, step).on(id);
    match exit {
        Some(Exit::Signalled { signal: libc::SIGKILL, .. }) => died
            .because("its process was killed")
            .hint("the memory limit may be too low for the start: see `dmesg` for the out-of-memory killer"),
        Some(Exit::Signalled { signal, .. }) => died.because(format!("signal {signal} ended its process")),
        Some(Exit::Exited { code }) => died.because(format!("its process left with status {code}")),
        None => died.because("its process has ended"),
    }
}
