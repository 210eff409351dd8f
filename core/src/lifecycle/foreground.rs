//! Standing by while a container runs in the foreground: signals go in, the terminal goes both ways.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::signal::{Signal, SignalFd, SignalSet, ignored, set_mask};
use nucleus_sys::terminal::{RawMode, is_terminal, set_window_size, window_size};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::notify::Messenger;

/// Signals that are not forwarded: those that cannot be caught, those that the kernel raises for a mistake of ours, and
/// those by which a shell stops us and by which we learn of children.
const OWN: [&str; 15] = [
    "KILL", "STOP", "ILL", "TRAP", "ABRT", "BUS", "FPE", "SEGV", "SYS", "PIPE", "CHLD", "TSTP", "TTIN",
    "TTOU", "URG",
];

/// How much is copied at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// How much is written to standard output at once, in bytes: `PIPE_BUF`, pipe(7).
const PIPE_BUF: usize = 4096;

/// End of transmission: what a terminal's line discipline takes for the end of input (`VEOF`), termios(3).
const END_OF_INPUT: u8 = 4;

/// The foreground's side of a run: signals wait in a descriptor instead of ending the process. They stay blocked until
/// the process ends, for one that comes late must not interrupt the teardown either.
#[derive(Debug)]
pub(super) struct Foreground {
    signals: SignalFd,
    /// By which the workload tells the service manager that it is ready, with its process id.
    notify: OnceCell<(Messenger, u32)>,
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
        let take_over = || {
            let forwarded = forwarded(ignored()?);
            set_mask(forwarded)?;
            Ok(Self { signals: SignalFd::new(forwarded)?, notify: OnceCell::new() })
        };
        take_over().map_err(|error: io::Error| failed("take over the signals", &error))
    }

    /// From now on, also passes on that the workload is ready.
    pub(super) fn listen(&self, messenger: Messenger, pid: u32) {
        // Called once.
        let _ = self.notify.set((messenger, pid));
    }

    /// What to wait for beside the workload's end and the signals.
    fn notify(&self) -> Option<PollFd<'_>> {
        self.notify.get().map(|(messenger, _)| PollFd::new(messenger, PollFlags::IN))
    }

    /// A manager that cannot be told is no reason to end a workload that runs.
    fn pass_on(&self) {
        if let Some((messenger, pid)) = self.notify.get()
            && let Err(error) = messenger.pass_on(*pid)
        {
            tracing::warn!(%error, "the service manager was not told");
        }
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
            let mut fds = vec![
                PollFd::from_borrowed_fd(ended, PollFlags::IN),
                PollFd::new(&self.signals, PollFlags::IN),
            ];
            fds.extend(self.notify());
            wait(&mut fds, None)?;
            if fds.get(2).is_some_and(|notify| !notify.revents().is_empty()) {
                self.pass_on();
            }
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
        let mut relay = Relay::new(operator(), rustix::stdio::stdout(), console)?;
        loop {
            let mut fds = vec![
                PollFd::from_borrowed_fd(ended, PollFlags::IN),
                PollFd::new(&self.signals, PollFlags::IN),
            ];
            let wanted = relay.wants();
            fds.extend(
                wanted.iter().map(|(end, flags)| PollFd::from_borrowed_fd(relay.descriptor(*end), *flags)),
            );
            fds.extend(self.notify());
            wait(&mut fds, None)?;
            if fds.get(2 + wanted.len()).is_some_and(|notify| !notify.revents().is_empty()) {
                self.pass_on();
            }
            let [ended, signals] = [0, 1].map(|index: usize| fds[index].revents());
            let ready = fds[2..].iter().zip(&wanted).map(|(fd, (end, _))| (*end, fd.revents()));
            let ready: Vec<_> = ready.filter(|(_, events)| !events.is_empty()).collect();
            if !signals.is_empty() {
                while let Some(arrived) = self.signals.read()? {
                    match arrived.signal {
                        Signal::WINCH => resize(console),
                        signal => forward(signal),
                    }
                }
            }
            relay.step(&ready)?;
            if !ended.is_empty() {
                return relay.drain();
            }
        }
    }
}

/// Bytes on their way between the operator and the container's terminal. No side can block another: what is not taken
/// yet is kept, and no more is read until it has been.
struct Relay<'a> {
    stdin: BorrowedFd<'a>,
    stdout: BorrowedFd<'a>,
    console: &'a OwnedFd,
    to_console: Vec<u8>,
    to_stdout: Vec<u8>,
    input: Input,
    output: Output,
    reader: Reader,
}

/// What the relay can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Console,
    Stdin,
    Stdout,
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

/// Who reads our standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

impl<'a> Relay<'a> {
    fn new(stdin: BorrowedFd<'a>, stdout: BorrowedFd<'a>, console: &'a OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(console, true)?;
        Ok(Self {
            stdin,
            stdout,
            console,
            to_console: Vec::new(),
            to_stdout: Vec::new(),
            input: Input::Open,
            output: Output::Open,
            reader: Reader::There,
        })
    }

    fn descriptor(&self, end: End) -> BorrowedFd<'a> {
        match end {
            End::Console => self.console.as_fd(),
            End::Stdin => self.stdin,
            End::Stdout => self.stdout,
        }
    }

    /// What to wait for. An end of which nothing is wanted is left out: poll(2) would report its hang-up for ever.
    fn wants(&self) -> Vec<(End, PollFlags)> {
        let open = self.output == Output::Open;
        let when = |condition: bool, flag| if condition { flag } else { PollFlags::empty() };
        let console = when(open && self.to_stdout.is_empty(), PollFlags::IN)
            | when(open && !self.to_console.is_empty(), PollFlags::OUT);
        let stdin = when(open && self.input == Input::Open && self.to_console.is_empty(), PollFlags::IN);
        let stdout = when(!self.to_stdout.is_empty(), PollFlags::OUT);
        let all = [(End::Console, console), (End::Stdin, stdin), (End::Stdout, stdout)];
        all.into_iter().filter(|(_, flags)| !flags.is_empty()).collect()
    }

    fn step(&mut self, ready: &[(End, PollFlags)]) -> io::Result<()> {
        for (end, events) in ready {
            match end {
                End::Console if events.intersects(PollFlags::IN | PollFlags::HUP) => self.read_output()?,
                End::Console => {}
                End::Stdin => self.read_input()?,
                End::Stdout => self.write_output()?,
            }
        }
        self.write_pending()
    }

    fn read_output(&mut self) -> io::Result<()> {
        if !self.to_stdout.is_empty() {
            return Ok(());
        }
        let mut chunk = [0; CHUNK];
        match rustix::io::read(self.console, &mut chunk) {
            // EIO: no process has the terminal open any more, tty_ioctl(4).
            Ok(0) | Err(Errno::IO) => self.output = Output::HungUp,
            Ok(length) if self.reader == Reader::There => self.to_stdout.extend_from_slice(&chunk[..length]),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// Writes no more than a pipe takes without blocking once poll(2) calls it writable.
    fn write_output(&mut self) -> io::Result<()> {
        let length = self.to_stdout.len().min(PIPE_BUF);
        match rustix::io::write(self.stdout, &self.to_stdout[..length]) {
            Ok(length) => drop(self.to_stdout.drain(..length)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The workload goes on without a reader, and must not stall for the lack of one.
            Err(Errno::PIPE) => {
                self.reader = Reader::Gone;
                self.to_stdout.clear();
            }
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    fn read_input(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        match rustix::io::read(self.stdin, &mut chunk) {
            Ok(0) => {
                self.input = Input::Ended;
                self.to_console.push(END_OF_INPUT);
            }
            Ok(length) => self.to_console.extend_from_slice(&chunk[..length]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The operator's terminal is gone; the workload goes on without input.
            Err(Errno::IO) => self.input = Input::Ended,
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    fn write_pending(&mut self) -> io::Result<()> {
        if self.to_console.is_empty() || self.output == Output::HungUp {
            return Ok(());
        }
        match rustix::io::write(self.console, &self.to_console) {
            Ok(length) => drop(self.to_console.drain(..length)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody has the terminal open; what was written last must still be read from it.
            Err(Errno::IO) => self.to_console.clear(),
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// The workload has ended: what it wrote last is still in the terminal.
    fn drain(&mut self) -> io::Result<()> {
        const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        loop {
            while !self.to_stdout.is_empty() {
                wait(&mut [PollFd::from_borrowed_fd(self.stdout, PollFlags::OUT)], None)?;
                self.write_output()?;
            }
            let mut console = [PollFd::new(self.console, PollFlags::IN)];
            if self.output == Output::HungUp || wait(&mut console, Some(&NOW))? == 0 {
                return Ok(());
            }
            self.read_output()?;
        }
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

fn wait(fds: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> io::Result<usize> {
    loop {
        match poll(fds, timeout) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready?),
        }
    }
}

/// What our caller has us ignore, as nohup(1) does, the workload is not to hear of either.
fn forwarded(ignored: SignalSet) -> SignalSet {
    let own = OWN.iter().filter_map(|name| name.parse::<Signal>().ok());
    own.fold(SignalSet::ALL.minus(ignored), SignalSet::without)
}

fn failed(step: &'static str, error: &io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, step).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_raises_for_a_mistake_of_ours_is_not_blocked() {
        let forwarded = forwarded(SignalSet::EMPTY);
        for name in OWN {
            assert!(!forwarded.contains(name.parse().unwrap()), "{name}");
        }
        for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::WINCH] {
            assert!(forwarded.contains(signal), "{signal}");
        }
    }

    #[test]
    fn what_the_caller_ignores_is_not_forwarded() {
        let forwarded = forwarded(SignalSet::EMPTY.with(Signal::HUP));
        assert!(!forwarded.contains(Signal::HUP));
        assert!(forwarded.contains(Signal::TERM));
    }

    /// A relay whose console holds `output` and has been closed by the workload.
    fn relayed(output: Vec<u8>, stdout: BorrowedFd<'_>) -> io::Result<Reader> {
        let (console, mut workload) = std::os::unix::net::UnixStream::pair()?;
        let writer = std::thread::spawn(move || io::Write::write_all(&mut workload, &output));
        let (console, null) = (OwnedFd::from(console), std::fs::File::open("/dev/null")?);
        let mut relay = Relay::new(null.as_fd(), stdout, &console)?;
        while relay.output == Output::Open {
            wait(&mut [PollFd::new(&console, PollFlags::IN)], None)?;
            relay.drain()?;
        }
        writer.join().unwrap()?;
        Ok(relay.reader)
    }

    #[test]
    fn a_full_standard_output_loses_nothing() {
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let sent: Vec<u8> = (0..=250).cycle().take(300_000).collect();
        let expected = sent.clone();
        let reading = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let mut read = Vec::new();
            io::Read::read_to_end(&mut reader, &mut read).map(|_| read)
        });
        assert_eq!(relayed(sent, writer.as_fd()).unwrap(), Reader::There);
        drop(writer);
        assert!(reading.join().unwrap().unwrap() == expected);
    }

    #[test]
    fn output_without_a_reader_is_dropped() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(relayed(vec![b'x'; 300_000], writer.as_fd()).unwrap(), Reader::Gone);
    }
}
