//! Lines of JSON on a socket, with descriptors, before a deadline; beside it, the last of what the process says on standard error.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nucleus_abi::LONGEST_ANSWER;
use nucleus_sys::socket::{receive_some, send_some};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};

/// How much of what a process says on standard error is kept, in bytes.
const TAIL: usize = 2 << 10;

/// The outer ends of a process's socket and of its standard error.
#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
    error: Option<OwnedFd>,
    said: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The process closed its end, or is gone.
    Closed,
    /// It took too long.
    Late,
    /// Its answer is longer than [`LONGEST_ANSWER`].
    Long,
    /// It wrote more than an answer.
    Chatter,
    /// The socket failed.
    Broken(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        let gone = [Errno::PIPE, Errno::CONNRESET]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
        if gone { Self::Closed } else { Self::Broken(error) }
    }
}

impl Channel {
    pub(super) fn new(socket: OwnedFd, error: OwnedFd) -> Self {
        Self { socket, error: Some(error), said: Vec::new() }
    }

    /// Writes one line and reads the line that answers it.
    pub(super) fn converse(
        &mut self,
        line: &[u8],
        descriptors: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<(Vec<u8>, Vec<OwnedFd>), Trouble> {
        self.send(line, descriptors, deadline)?;
        self.receive(deadline)
    }

    fn send(
        &mut self,
        line: &[u8],
        descriptors: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<(), Trouble> {
        let mut rest = line;
        let mut with = descriptors;
        while !rest.is_empty() {
            match send_some(self.socket.as_fd(), rest, with) {
                Ok(sent) => {
                    rest = &rest[sent..];
                    with = &[];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(PollFlags::OUT, deadline)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn receive(&mut self, deadline: Option<Instant>) -> Result<(Vec<u8>, Vec<OwnedFd>), Trouble> {
        let mut line: Vec<u8> = Vec::new();
        let mut descriptors = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match receive_some(self.socket.as_fd(), &mut buffer) {
                Ok((0, _)) => return Err(Trouble::Closed),
                Ok((length, more)) => {
                    descriptors.extend(more);
                    line.extend_from_slice(&buffer[..length]);
                    match buffer[..length].iter().position(|byte| *byte == b'\n') {
                        Some(end) if end + 1 == length => return Ok((line, descriptors)),
                        Some(_) => return Err(Trouble::Chatter),
                        None if line.len() > LONGEST_ANSWER => return Err(Trouble::Long),
                        None => {}
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(PollFlags::IN, deadline)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the socket is ready, and takes meanwhile what the process says: a full pipe would hold it.
    fn wait(&mut self, ready: PollFlags, deadline: Option<Instant>) -> Result<(), Trouble> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(Trouble::Late);
            }
            let limit = left.and_then(|left| Timespec::try_from(left).ok());
            let mut watched = vec![PollFd::new(&self.socket, ready)];
            watched.extend(self.error.as_ref().map(|error| PollFd::new(error, PollFlags::IN)));
            retry_on_intr(|| poll(&mut watched, limit.as_ref()))
                .map_err(|errno| Trouble::Broken(errno.into()))?;
            let is_ready = !watched[0].revents().is_empty();
            let says = watched.get(1).is_some_and(|pipe| !pipe.revents().is_empty());
            drop(watched);
            if says {
                self.listen();
            }
            if is_ready {
                return Ok(());
            }
        }
    }

    /// Takes one piece of what stands in the pipe; at its end it is closed, and not looked at again.
    fn listen(&mut self) {
        let Some(pipe) = &self.error else { return };
        let mut buffer = [0; 4096];
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => self.error = None,
            Ok(length) => {
                self.said.extend_from_slice(&buffer[..length]);
                self.said.drain(..self.said.len().saturating_sub(TAIL));
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.error = None,
        }
    }

    /// The last of what the process said on standard error, as text without control characters; `None` if it said nothing.
    pub(super) fn last_words(&mut self) -> Option<String> {
        // What was said before the end stands in the pipe, which holds 64 KiB.
        for _ in 0..16 {
            self.listen();
        }
        let text = String::from_utf8_lossy(&self.said);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(3)..].join(" | ");
        let clean: String = last.chars().filter(|c| !c.is_control()).collect();
        (!clean.is_empty()).then_some(clean)
    }
}
