//! Standing by while a container runs in the foreground: signals go in, the terminal goes both ways.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::signal::{Signal, SignalFd, SignalSet, set_mask};
use nucleus_sys::terminal::{RawMode, is_terminal, set_window_size, window_size};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Signals that are not forwarded: those that cannot be caught, those that the kernel raises for a mistake of ours, and
/// those by which a shell stops us and by which we learn of children.
const OWN: [&str; 15] = [
    "KILL", "STOP", "ILL", "TRAP", "ABRT", "BUS", "FPE", "SEGV", "SYS", "PIPE", "CHLD", "TSTP", "TTIN",
    "TTOU", "URG",
];

/// How much is copied at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// End of transmission: what a terminal's line discipline takes for the end of input (`VEOF`), termios(3).
const END_OF_INPUT: u8 = 4;

/// The foreground's side of a run: signals wait in a descriptor instead of ending the process. They stay blocked until
/// the process ends, for one that comes late must not interrupt the teardown either.
#[derive(Debug)]
pub(super) struct Foreground {
    signals: SignalFd,
}

/// The operator's side of the container's terminal. While it lives, the operator's own terminal is in raw mode.
#[derive(Debug)]
pub(super) struct Console<'a> {
    descriptor: &'a OwnedFd,
    _raw: Option<RawMode<'static>>,
}

impl<'a> Console<'a> {
    /// Takes over the terminal and gives it the size of the operator's, before the workload can ask for it.
    pub(super) fn take(descriptor: &'a OwnedFd) -> Result<Self> {
        let stdin = operator();
        let raw = is_terminal(stdin)
            .then(|| RawMode::enter(stdin))
            .transpose()
            .map_err(|error| failed("put the terminal into raw mode", &error))?;
        resize(descriptor);
        Ok(Self { descriptor, _raw: raw })
    }
}

impl Foreground {
    /// Blocks the signals that will be forwarded.
    pub(super) fn begin() -> Result<Self> {
        let forwarded = forwarded();
        set_mask(forwarded)
            .and_then(|_| SignalFd::new(forwarded))
            .map(|signals| Self { signals })
            .map_err(|error| failed("take over the signals", &error))
    }

    /// Stands by until the workload has ended.
    pub(super) fn until_ended(
        &self,
        ended: BorrowedFd<'_>,
        console: Option<&Console<'_>>,
        forward: impl Fn(Signal),
    ) -> Result<()> {
        match console {
            None => self.without_terminal(ended, forward),
            Some(console) => self.with_terminal(ended, console.descriptor, forward),
        }
        .map_err(|error| failed("stand by while the container runs", &error))
    }

    fn without_terminal(&self, ended: BorrowedFd<'_>, forward: impl Fn(Signal)) -> io::Result<()> {
        loop {
            let mut fds =
                [PollFd::from_borrowed_fd(ended, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            wait(&mut fds)?;
            if !fds[0].revents().is_empty() {
                return Ok(());
            }
            while let Some(arrived) = self.signals.read()? {
                forward(arrived.signal);
            }
        }
    }

    fn with_terminal(
        &self,
        ended: BorrowedFd<'_>,
        console: &OwnedFd,
        forward: impl Fn(Signal),
    ) -> io::Result<()> {
        let mut relay = Relay::new(operator(), console)?;
        loop {
            let mut fds = vec![
                PollFd::from_borrowed_fd(ended, PollFlags::IN),
                PollFd::new(&self.signals, PollFlags::IN),
                PollFd::from_borrowed_fd(console.as_fd(), relay.wants_of_console()),
            ];
            if relay.wants_input() {
                fds.push(PollFd::from_borrowed_fd(operator(), PollFlags::IN));
            }
            wait(&mut fds)?;
            let [ended, signals, console_ready] = [0, 1, 2].map(|index: usize| fds[index].revents());
            let input = fds.get(3).is_some_and(|fd| !fd.revents().is_empty());
            if !signals.is_empty() {
                while let Some(arrived) = self.signals.read()? {
                    match arrived.signal {
                        Signal::WINCH => resize(console),
                        signal => forward(signal),
                    }
                }
            }
            relay.step(console_ready, input)?;
            if !ended.is_empty() {
                return relay.drain();
            }
        }
    }
}

/// Bytes on their way between the operator and the container's terminal. Neither side can block the other: what the
/// workload does not take yet is kept, and no more is read until it has.
struct Relay<'a> {
    stdin: BorrowedFd<'a>,
    console: &'a OwnedFd,
    pending: Vec<u8>,
    input: Input,
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Open,
    HungUp,
}

impl<'a> Relay<'a> {
    fn new(stdin: BorrowedFd<'a>, console: &'a OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(console, true)?;
        Ok(Self { stdin, console, pending: Vec::new(), input: Input::Open, output: Output::Open })
    }

    fn wants_input(&self) -> bool {
        self.input == Input::Open && self.pending.is_empty() && self.output == Output::Open
    }

    fn wants_of_console(&self) -> PollFlags {
        match (self.output, self.pending.is_empty()) {
            (Output::HungUp, _) => PollFlags::empty(),
            (Output::Open, true) => PollFlags::IN,
            (Output::Open, false) => PollFlags::IN | PollFlags::OUT,
        }
    }

    fn step(&mut self, console: PollFlags, input: bool) -> io::Result<()> {
        if console.contains(PollFlags::IN) || console.contains(PollFlags::HUP) {
            self.copy_output()?;
        }
        if input {
            self.read_input()?;
        }
        self.write_pending()
    }

    fn copy_output(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        match rustix::io::read(self.console, &mut chunk) {
            // EIO: no process has the terminal open any more, tty_ioctl(4).
            Ok(0) | Err(Errno::IO) => self.output = Output::HungUp,
            Ok(length) => io::Write::write_all(&mut io::stdout().lock(), &chunk[..length])
                .and_then(|()| io::Write::flush(&mut io::stdout().lock()))?,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    fn read_input(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        match rustix::io::read(self.stdin, &mut chunk) {
            Ok(0) => {
                self.input = Input::Ended;
                self.pending.push(END_OF_INPUT);
            }
            Ok(length) => self.pending.extend_from_slice(&chunk[..length]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The operator's terminal is gone; the workload goes on without input.
            Err(Errno::IO) => self.input = Input::Ended,
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    fn write_pending(&mut self) -> io::Result<()> {
        if self.pending.is_empty() || self.output == Output::HungUp {
            return Ok(());
        }
        match rustix::io::write(self.console, &self.pending) {
            Ok(length) => drop(self.pending.drain(..length)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::IO) => self.output = Output::HungUp,
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// The workload has ended: what it wrote last is still in the terminal.
    fn drain(&mut self) -> io::Result<()> {
        while self.output == Output::Open {
            let mut fds = [PollFd::new(self.console, PollFlags::IN)];
            let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            if poll(&mut fds, Some(&none))? == 0 {
                return Ok(());
            }
            self.copy_output()?;
        }
        Ok(())
    }
}

/// The operator's terminal, if standard input is one.
fn operator() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

/// The container's terminal takes the size of the operator's, where there is one.
fn resize(console: &OwnedFd) {
    if let Ok(size) = window_size(operator()) {
        let _ = set_window_size(console.as_fd(), size);
    }
}

fn wait(fds: &mut [PollFd<'_>]) -> io::Result<()> {
    loop {
        match poll(fds, None) {
            Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn forwarded() -> SignalSet {
    let own = OWN.iter().filter_map(|name| name.parse::<Signal>().ok());
    own.fold(SignalSet::ALL, SignalSet::without)
}

fn failed(step: &'static str, error: &io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, step).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_raises_for_a_mistake_of_ours_is_not_blocked() {
        let forwarded = forwarded();
        for name in OWN {
            assert!(!forwarded.contains(name.parse().unwrap()), "{name}");
        }
        for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::WINCH] {
            assert!(forwarded.contains(signal), "{signal}");
        }
    }
}
