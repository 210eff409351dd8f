//! A program that writes a secret to its standard output.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nucleus_abi::{Error, Result};
use nucleus_sys::Mode;
use nucleus_sys::clone::{Child, Clone3, spawn};
use nucleus_sys::namespace::NamespaceSet;
use nucleus_sys::pidfd::Exit;
use nucleus_sys::process::{self, Stdio, close_on_exec_from, exec, replace_stdio};
use nucleus_sys::secrecy::SecretBuffer;
use nucleus_sys::signal::{Signal, SignalSet, reset_dispositions, set_mask};
use rustix::event::{PollFd, PollFlags};
use rustix::process::setpgid;

use super::pour::{Sink, portion, wait};
use crate::bundle::interruption;

/// As many of the last bytes that it writes to its standard error are told.
const TAIL: usize = 2048;

/// The status of a child that could not become the program; why comes through a pipe.
const NOT_RUN: i32 = 127;

/// Runs a program with an empty environment, in a process group and a pid namespace of its own, and pours what it writes.
pub(super) fn run(
    words: &[String],
    timeout: Duration,
    sink: &mut Sink<'_>,
    buffer: &mut SecretBuffer,
) -> Result<()> {
    let mut running =
        Running::start(words).map_err(|error| sink.failed(format!("it cannot be started: {error}")))?;
    let followed = running.follow(Instant::now() + timeout, sink, buffer);
    let end = running.end().map_err(|error| sink.failed(error))?;
    let in_time = followed?;
    if !in_time {
        return Err(running.told(sink.failed(format!("the command took longer than {timeout:?}"))));
    }
    match end {
        End::NotRun(error) => Err(sink.failed(format!("the command cannot be executed: {error}"))),
        End::Exit(Exit::Exited { code: 0 }) if sink.taken() == 0 => {
            Err(running.told(sink.failed("the command wrote nothing to its standard output")))
        }
        End::Exit(Exit::Exited { code: 0 }) => Ok(()),
        End::Exit(Exit::Exited { code }) => {
            Err(running.told(sink.failed(format!("the command ended with status {code}"))))
        }
        End::Exit(Exit::Signalled { signal, .. }) => {
            Err(running.told(sink.failed(format!("signal {signal} ended the command"))))
        }
    }
}

struct Running {
    child: Child,
    output: PipeReader,
    errors: PipeReader,
    tail: Vec<u8>,
    failure: PipeReader,
}

enum End {
    Exit(Exit),
    NotRun(io::Error),
}

impl Running {
    fn start(words: &[String]) -> io::Result<Self> {
        let words =
            words.iter().map(|word| Ok(CString::new(word.as_str())?)).collect::<io::Result<Vec<_>>>()?;
        let input = File::open("/dev/null")?;
        let (output, written) = io::pipe()?;
        let (errors, complaints) = io::pipe()?;
        let (failure, mut failed) = io::pipe()?;
        let stdio = [input.as_fd(), written.as_fd(), complaints.as_fd()];
        // When the first process of a pid namespace ends, so does all that it started, whatever becomes of nucleus
        // (pid_namespaces(7)).
        let child = spawn(Clone3 { namespaces: NamespaceSet::PID, ..Clone3::default() }, || {
            let error = become_command(&words, stdio);
            let _ = failed.write_all(
                &error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error()).to_ne_bytes(),
            );
            NOT_RUN
        })?;
        Ok(Self { child, output, errors, tail: Vec::new(), failure })
    }

    /// Pours until it has ended; `false` if its time was over before. What it leaves running is not waited for.
    fn follow(&mut self, end: Instant, sink: &mut Sink<'_>, buffer: &mut SecretBuffer) -> Result<bool> {
        let signals = interruption::descriptor().map_err(|error| sink.failed(error))?;
        let (mut writes, mut complains) = (true, true);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut watched =
                vec![PollFd::new(&self.child.pidfd, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
            let output = writes.then(|| watch(&mut watched, &self.output));
            let errors = complains.then(|| watch(&mut watched, &self.errors));
            let ready = wait(&mut watched, left).map_err(|error| sink.failed(error))?;
            let is_ready = |place: usize| !watched[place].revents().is_empty();
            if is_ready(1) {
                interruption::check().map_err(|error| sink.ended(&error))?;
            }
            let (ended, output, errors) =
                (is_ready(0), output.is_some_and(is_ready), errors.is_some_and(is_ready));
            if ready == 0 {
                return Ok(false);
            }
            if output {
                writes = portion(&self.output, sink, buffer)? > 0;
            }
            if errors {
                complains = self.listen().map_err(|error| sink.failed(error))? > 0;
            }
            // What it wrote before its end is in the pipes, and ready.
            if ended && !output && !errors {
                return Ok(true);
            }
        }
    }

    fn listen(&mut self) -> io::Result<usize> {
        let mut portion = [0; 4096];
        let count = self.errors.read(&mut portion)?;
        self.tail.extend_from_slice(&portion[..count]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        Ok(count)
    }

    /// Ends all that runs of it.
    fn end(&mut self) -> io::Result<End> {
        // ESRCH: it has ended.
        let _ = self.child.pidfd.send_signal(Signal::KILL);
        let exit = self.child.pidfd.wait()?;
        let mut errno = [0; 4];
        Ok(match self.failure.read_exact(&mut errno) {
            Ok(()) => End::NotRun(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
            Err(_) => End::Exit(exit),
        })
    }

    /// With what it complained about, and never what it wrote to its output.
    fn told(&self, error: Error) -> Error {
        let said = String::from_utf8_lossy(&self.tail);
        let said = said.trim();
        if said.is_empty() {
            return error.hint("it wrote nothing to its standard error");
        }
        let said: String = said.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        error.hint(format!("it wrote to its standard error: {said}"))
    }
}

/// Its place among those that are watched.
fn watch<'f>(watched: &mut Vec<PollFd<'f>>, pipe: &'f PipeReader) -> usize {
    watched.push(PollFd::new(pipe, PollFlags::IN));
    watched.len() - 1
}

/// In the child: it goes when nucleus goes, and sees nothing of nucleus. Returns only errors.
fn become_command(words: &[CString], stdio: [BorrowedFd<'_>; 3]) -> io::Error {
    let prepare = || -> io::Result<()> {
        process::set_parent_death_signal(Signal::KILL)?;
        setpgid(None, None)?;
        rustix::process::chdir("/")?;
        process::set_umask(Mode::from(0o022));
        reset_dispositions()?;
        set_mask(SignalSet::EMPTY)?;
        for (file, place) in stdio.into_iter().zip([Stdio::Input, Stdio::Output, Stdio::Error]) {
            replace_stdio(file, place)?;
        }
        close_on_exec_from(3)
    };
    let done = prepare().and_then(|()| exec(&words[0], words, &[]));
    done.expect_err("exec returns only errors")
}
