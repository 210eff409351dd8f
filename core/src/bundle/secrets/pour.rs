//! Pouring a secret from its source into where the workload finds it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nucleus_abi::Result;
use nucleus_sys::secrecy::{SecretBuffer, Variable};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{read, retry_on_intr};
use zeroize::Zeroize;

use super::{failed, full_or};
use crate::bundle::interruption;
use crate::plan::{Decided, SecretPlan};

/// The longest variable that execve(2) takes, with name, `=` and NUL (`MAX_ARG_STRLEN`).
const LONGEST_VARIABLE: usize = 131_072;

/// How long an inherited descriptor may keep us waiting for its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the content of one secret goes.
pub(super) struct Sink<'a> {
    secret: &'a Decided<SecretPlan>,
    file: Option<&'a File>,
    environment: Option<&'a File>,
    /// How many bytes a variable may still take.
    room: usize,
    taken: usize,
}

impl<'a> Sink<'a> {
    pub(super) fn new(
        secret: &'a Decided<SecretPlan>,
        file: Option<&'a File>,
        environment: Option<&'a File>,
    ) -> Result<Self> {
        let name = secret.value.variable.as_deref().unwrap_or_default();
        let room = LONGEST_VARIABLE.saturating_sub(name.len() + 2);
        let sink = Self { secret, file, environment, room, taken: 0 };
        sink.say(format!("{name}=").as_bytes())?;
        Ok(sink)
    }

    /// Takes a portion of the content.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.taken += bytes.len();
        if let Some(mut file) = self.file {
            file.write_all(bytes).map_err(|error| full_or(self.secret, &error))?;
        }
        if self.environment.is_some() {
            if bytes.contains(&0) {
                let cause = "it holds a NUL, which no variable can";
                return Err(failed(self.secret, cause).hint("give it a `target` in place of `env`"));
            }
            self.room = self.room.checked_sub(bytes.len()).ok_or_else(|| {
                failed(self.secret, "it is longer than a variable can be, 128 KiB")
                    .hint("give it a `target` in place of `env`")
            })?;
        }
        self.say(bytes)
    }

    /// How many bytes it has taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn end(self) -> Result<()> {
        self.say(b"\0")
    }

    pub(super) fn failed(&self, cause: impl std::fmt::Display) -> nucleus_abi::Error {
        failed(self.secret, cause)
    }

    /// A failure that may be somebody's wish that nucleus ends.
    pub(super) fn ended(&self, cause: &io::Error) -> nucleus_abi::Error {
        nucleus_abi::Error { code: interruption::code(cause), ..self.failed(cause) }
    }

    fn say(&self, bytes: &[u8]) -> Result<()> {
        let Some(mut environment) = self.environment else { return Ok(()) };
        environment.write_all(bytes).map_err(|error| full_or(self.secret, &error))
    }
}

/// Straight from where the kernel put it.
pub(super) fn variable(variable: &Variable, sink: &mut Sink<'_>) -> Result<()> {
    match variable.value() {
        Some(value) => sink.take(value),
        None => Err(sink.failed("the variable was changed meanwhile")),
    }
}

pub(super) fn file(file: &File, sink: &mut Sink<'_>, buffer: &mut SecretBuffer) -> Result<()> {
    while portion(file, sink, buffer)? > 0 {}
    Ok(())
}

/// To the end of what somebody else writes.
pub(super) fn stream(stream: &OwnedFd, sink: &mut Sink<'_>, buffer: &mut SecretBuffer) -> Result<()> {
    let signals = interruption::descriptor().map_err(|error| sink.failed(error))?;
    let end = Instant::now() + PATIENCE;
    loop {
        let mut watched = [PollFd::new(&signals, PollFlags::IN), PollFd::new(stream, PollFlags::IN)];
        let left = end.saturating_duration_since(Instant::now());
        if wait(&mut watched, left).map_err(|error| sink.failed(error))? == 0 {
            let cause = format!("it has not come to its end within {} seconds", PATIENCE.as_secs());
            return Err(sink.failed(cause).hint("whoever writes it must close it at the end"));
        }
        if !watched[0].revents().is_empty() {
            interruption::check().map_err(|error| sink.ended(&error))?;
        }
        if portion(stream, sink, buffer)? == 0 {
            return Ok(());
        }
    }
}

/// Moves as much as one read gives, and wipes it; 0 at the end.
pub(super) fn portion(from: impl AsFd, sink: &mut Sink<'_>, buffer: &mut SecretBuffer) -> Result<usize> {
    let count = match retry_on_intr(|| read(&from, &mut buffer[..])) {
        Ok(count) => count,
        Err(errno) => return Err(sink.failed(io::Error::from(errno))),
    };
    let taken = sink.take(&buffer[..count]);
    buffer[..count].zeroize();
    taken.map(|()| count)
}

/// Waits until one of them is ready; 0 when the time is over.
pub(super) fn wait(watched: &mut [PollFd<'_>], timeout: Duration) -> io::Result<usize> {
    let end = Instant::now() + timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let limit = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(watched, Some(&limit)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return Ok(ready?),
        }
    }
}
