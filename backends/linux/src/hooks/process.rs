//! One hook as a process: started clean, watched, and killed when its time is over.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nucleus_sys::clone::{Child, Clone3, spawn};
use nucleus_sys::last_stage::HookFailure;
use nucleus_sys::pidfd::Exit;
use nucleus_sys::process::{Stdio, close_on_exec_from, exec, replace_stdio, set_umask};
use nucleus_sys::signal::{SignalSet, reset_dispositions, set_mask};
use nucleus_sys::{Mode, last_stage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, fchdir, kill_process_group, setpgid};

use super::{Failed, words};
use crate::config::Hook;

/// As many of a hook's last bytes are told.
const TAIL: usize = 2048;
/// What a pipe holds at most, pipe(7).
const PIPE: usize = 65_536;
/// The status of a child that could not become the hook; why comes through a pipe.
const NOT_RUN: i32 = 127;

/// Runs a hook to its end. `state` becomes its standard input, from the beginning.
pub(super) fn run(
    hook: &Hook,
    state: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
) -> io::Result<Result<(), Failed>> {
    rustix::fs::seek(state, rustix::fs::SeekFrom::Start(0))?;
    let words = words(hook);
    let (output, writer) = io::pipe()?;
    let (failure, failed) = io::pipe()?;
    let group = if hook.timeout.is_some() { Group::Own } else { Group::Callers };
    let child = spawn(Clone3::default(), || {
        let error = become_hook(&words, group, [state, writer.as_fd(), writer.as_fd()], directory);
        let _ = tell(&failed, &error);
        NOT_RUN
    })?;
    // The child's are copies.
    drop((writer, failed));
    if group == Group::Own {
        // Done by both sides: neither knows which runs first. EACCES after its exec.
        let _ = setpgid(Some(child.pid), Some(child.pid));
    }
    let mut output = Output { pipe: output, tail: Vec::new() };
    let failure = attend(hook, &child, &mut output, failure)?;
    Ok(failure.map_or(Ok(()), |failure| Err(Failed { failure, output: output.tail })))
}

/// A hook with a time limit has a group of its own, to be killed whole; one without stays where the terminal's Ctrl-C
/// reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Own,
    Callers,
}

/// In the child: only what the hook is given, and everything as a program expects it. Returns only errors.
fn become_hook(
    words: &last_stage::Hook,
    group: Group,
    stdio: [BorrowedFd<'_>; 3],
    directory: BorrowedFd<'_>,
) -> io::Error {
    let prepare = || -> io::Result<()> {
        if group == Group::Own {
            setpgid(None, None)?;
        }
        fchdir(directory)?;
        set_umask(Mode::from(0o022));
        reset_dispositions()?;
        set_mask(SignalSet::EMPTY)?;
        for (file, place) in stdio.into_iter().zip([Stdio::Input, Stdio::Output, Stdio::Error]) {
            replace_stdio(file, place)?;
        }
        close_on_exec_from(3)
    };
    let done = prepare().and_then(|()| exec(&words.executable, &words.argv, &words.environment));
    done.expect_err("exec returns only errors")
}

fn tell(mut pipe: &PipeWriter, error: &io::Error) -> io::Result<()> {
    pipe.write_all(&error.raw_os_error().unwrap_or(libc::EIO).to_ne_bytes())
}

fn attend(
    hook: &Hook,
    child: &Child,
    output: &mut Output,
    mut failure: PipeReader,
) -> io::Result<Option<HookFailure>> {
    let in_time = output.follow(child, hook.timeout.map(|seconds| Duration::from_secs(seconds.into())));
    if !matches!(in_time, Ok(true)) {
        // ESRCH: it has just ended.
        let _ = kill_process_group(child.pid, Signal::KILL);
        let _ = child.pidfd.send_signal(nucleus_sys::signal::Signal::KILL);
    }
    let exit = child.pidfd.wait()?;
    if !in_time? {
        return Ok(Some(HookFailure::TimedOut));
    }
    let mut errno = [0; 4];
    if failure.read_exact(&mut errno).is_ok() {
        return Ok(Some(HookFailure::NotRun(i32::from_ne_bytes(errno))));
    }
    Ok(match exit {
        Exit::Exited { code: 0 } => None,
        Exit::Exited { code } => Some(HookFailure::Exited(code.into())),
        Exit::Signalled { signal, .. } => Some(HookFailure::Signalled(signal)),
    })
}

/// What a hook says.
struct Output {
    pipe: PipeReader,
    tail: Vec<u8>,
}

impl Output {
    /// Listens until the hook ends; `false` if its time was over before. What a daemon that it left behind says later is
    /// not waited for.
    fn follow(&mut self, child: &Child, timeout: Option<Duration>) -> io::Result<bool> {
        let end = timeout.map(|timeout| Instant::now() + timeout);
        let mut is_open = true;
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let mut watched =
                [PollFd::new(&child.pidfd, PollFlags::IN), PollFd::new(&self.pipe, PollFlags::IN)];
            let watched = if is_open { &mut watched[..] } else { &mut watched[..1] };
            if wait(watched, left)? == 0 {
                return Ok(false);
            }
            if !watched[0].revents().is_empty() {
                self.drain()?;
                return Ok(true);
            }
            is_open = self.take()? > 0;
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut taken = 0;
        while taken < PIPE && wait(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(Duration::ZERO))? > 0 {
            match self.take()? {
                0 => break,
                count => taken += count,
            }
        }
        Ok(())
    }

    fn take(&mut self) -> io::Result<usize> {
        let mut portion = [0; 4096];
        let count = self.pipe.read(&mut portion)?;
        self.tail.extend_from_slice(&portion[..count]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        Ok(count)
    }
}

fn wait(watched: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let limit = timeout.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    Ok(rustix::io::retry_on_intr(|| poll(watched, limit.as_ref()))?)
}
