//! Signals: names, sets, the calling thread's mask, dispositions, signalfd(2).

use std::fmt;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::str::FromStr;

use rustix::process::Pid;

use crate::syscall::{check, check_descriptor};

/// First real-time signal as programs see it: glibc keeps 32 and 33 for itself (signal(7)).
const RT_MIN: i32 = 34;
const LAST: i32 = 64;
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal's number, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(i32);

impl Signal {
    /// SIGHUP
    pub const HUP: Self = Self(libc::SIGHUP);
    /// SIGINT
    pub const INT: Self = Self(libc::SIGINT);
    /// SIGQUIT
    pub const QUIT: Self = Self(libc::SIGQUIT);
    /// SIGKILL
    pub const KILL: Self = Self(libc::SIGKILL);
    /// SIGTERM
    pub const TERM: Self = Self(libc::SIGTERM);
    /// SIGCHLD
    pub const CHLD: Self = Self(libc::SIGCHLD);
    /// SIGCONT
    pub const CONT: Self = Self(libc::SIGCONT);
    /// SIGSTOP
    pub const STOP: Self = Self(libc::SIGSTOP);
    /// SIGTSTP
    pub const TSTP: Self = Self(libc::SIGTSTP);
    /// SIGWINCH
    pub const WINCH: Self = Self(libc::SIGWINCH);

    /// A signal from its number; `None` outside 1 to 64.
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=LAST).contains(&number).then_some(Self(number))
    }

    /// The number, as kill(2) takes it.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = usize::try_from(self.0 - 1).ok().and_then(|index| NAMES.get(index));
        match (named, self.0 - RT_MIN) {
            (Some(name), _) => write!(f, "SIG{name}"),
            (None, 0) => f.write_str("SIGRTMIN"),
            (None, offset) if offset > 0 => write!(f, "SIGRTMIN+{offset}"),
            (None, _) => write!(f, "signal {}", self.0),
        }
    }
}

/// Text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSignal(pub String);

impl fmt::Display for UnknownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no signal: give a name such as SIGTERM, TERM or RTMIN+1, or a number from 1 to 64",
            self.0
        )
    }
}

impl std::error::Error for UnknownSignal {}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Reads `15`, `TERM`, `SIGTERM`, `sigterm`, `RTMIN`, `RTMIN+3`, `RTMAX`, `RTMAX-2`, and the synonyms
    /// `IOT`, `POLL` and `CLD`.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = text.parse().ok().or_else(|| number_of_name(name)).or_else(|| real_time_number(name));
        number.and_then(Self::from_number).ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}

fn number_of_name(name: &str) -> Option<i32> {
    let name = match name {
        "IOT" => "ABRT",
        "POLL" => "IO",
        "CLD" => "CHLD",
        other => other,
    };
    let index = NAMES.iter().position(|known| *known == name)?;
    i32::try_from(index + 1).ok()
}

fn real_time_number(name: &str) -> Option<i32> {
    let offset = |digits: &str| digits.parse::<u8>().ok().map(i32::from);
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => RT_MIN,
        (_, Some("")) => LAST,
        (Some(up), _) => RT_MIN + offset(up.strip_prefix('+')?)?,
        (_, Some(down)) => LAST - offset(down.strip_prefix('-')?)?,
        (None, None) => return None,
    };
    (RT_MIN..=LAST).contains(&number).then_some(number)
}

/// A set of signals in the kernel's own form: bit n-1 is signal n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Every signal. The kernel itself leaves SIGKILL and SIGSTOP out wherever they can't be.
    pub const ALL: Self = Self(u64::MAX);

    /// The signals that glibc keeps for itself.
    pub const OF_GLIBC: Self = Self(1 << 31 | 1 << 32);

    /// The set with `signal` added.
    #[must_use]
    pub const fn with(self, signal: Signal) -> Self {
        Self(self.0 | 1 << (signal.0 - 1))
    }

    /// The set with `signal` removed.
    #[must_use]
    pub const fn without(self, signal: Signal) -> Self {
        Self(self.0 & !(1 << (signal.0 - 1)))
    }

    /// The set with every signal of `others` removed.
    #[must_use]
    pub const fn minus(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether any signal of `others` is in the set.
    pub const fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether `signal` is in the set.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & (1 << (signal.0 - 1)) != 0
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        signals.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// Replaces the calling thread's mask of blocked signals and returns the one before.
pub fn set_mask(blocked: SignalSet) -> io::Result<SignalSet> {
    let mut before = SignalSet::EMPTY;
    // SAFETY: both pointers refer to 8 bytes, the kernel's sigset size on every 64-bit machine.
    check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const blocked.0,
            &raw mut before.0,
            size_of::<u64>(),
        )
    })?;
    Ok(before)
}

/// The signals that the calling thread blocks.
pub fn mask() -> io::Result<SignalSet> {
    let mut blocked = SignalSet::EMPTY;
    let none = std::ptr::null::<u64>();
    // SAFETY: changes nothing; the pointer refers to 8 bytes, the kernel's sigset size on every 64-bit machine.
    check(unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, none, &raw mut blocked.0, size_of::<u64>())
    })?;
    Ok(blocked)
}

/// The signals that the calling thread blocks and that wait for it, or for its process: `rt_sigpending(2)`.
pub fn pending() -> io::Result<SignalSet> {
    let mut pending = SignalSet::EMPTY;
    // SAFETY: the pointer refers to 8 bytes, the kernel's sigset size on every 64-bit machine.
    check(unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut pending.0, size_of::<u64>()) })?;
    Ok(pending)
}

/// Sets every signal back to its default action, as a workload expects to find them; also those that are
/// ignored, which exec would keep (Rust's start-up code ignores SIGPIPE).
pub fn reset_dispositions() -> io::Result<()> {
    // All zero means SIG_DFL, no flags, no restorer, empty mask; 32 bytes cover the largest `struct
    // sigaction`.
    let default = [0u64; 4];
    let none = std::ptr::null_mut::<u64>();
    let settable = (1..=LAST).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal));
    for signal in settable {
        // SAFETY: installs no handler; the structure is at least as large as the kernel's.
        check(unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, size_of::<u64>())
        })?;
    }
    Ok(())
}

/// The signals that this process ignores, be it by its caller's choice (nohup(1)) or by its own.
///
/// # Errors
/// What `rt_sigaction(2)` says.
pub fn ignored() -> io::Result<SignalSet> {
    let mut ignored = SignalSet::EMPTY;
    for signal in (1..=LAST).filter_map(Signal::from_number) {
        // The handler is the first word on every machine that nucleus runs on; 32 bytes cover the largest `struct
        // sigaction`.
        let mut action = [0_u64; 4];
        let none = std::ptr::null::<u64>();
        let size = size_of::<u64>();
        // SAFETY: changes nothing; the buffer is at least as large as the kernel's structure.
        check(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal.0, none, action.as_mut_ptr(), size) })?;
        if usize::try_from(action[0]) == Ok(libc::SIG_IGN) {
            ignored = ignored.with(signal);
        }
    }
    Ok(ignored)
}

/// Signals as readable events; they must be blocked by [`set_mask`] first. Non-blocking: wait with poll.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

/// One signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Which.
    pub signal: Signal,
    /// Who sent it; `None` if the kernel did, or a process outside our pid namespace.
    pub sender: Option<Pid>,
}

impl SignalFd {
    /// Opens a descriptor, close-on-exec and non-blocking, for the signals of the set.
    pub fn new(signals: SignalSet) -> io::Result<Self> {
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        let (new, size) = (-1, size_of::<u64>());
        // SAFETY: the pointer refers to 8 bytes as announced; -1 asks for a new descriptor, which nobody else
        // owns.
        let descriptor = unsafe {
            check_descriptor(libc::syscall(libc::SYS_signalfd4, new, &raw const signals.0, size, flags))
        };
        descriptor.map(Self)
    }

    /// The next signal; `None` if none waits.
    pub fn read(&self) -> io::Result<Option<Arrived>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer has the size announced.
        match check(unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) } as libc::c_long)
        {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        // SAFETY: signalfd(2) returns whole structures only, and every bit pattern of it is valid.
        let info = unsafe { info.assume_init() };
        let signal = Signal::from_number(info.ssi_signo.cast_signed());
        let sender = Pid::from_raw(info.ssi_pid.cast_signed());
        Ok(signal.map(|signal| Arrived { signal, sender }))
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("15", 15),
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigkill", 9),
            ("SIGSYS", 31),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("IOT", 6),
            ("64", 64),
        ] {
            assert_eq!(text.parse::<Signal>().unwrap().number(), number, "{text}");
        }
        for text in
            ["", "0", "65", "-1", "SIG", "SIGSIGTERM", "TERM ", "RTMIN+31", "RTMAX-31", "RTMIN-1", "RTMIN3"]
        {
            assert_eq!(text.parse::<Signal>(), Err(UnknownSignal(text.into())));
        }
    }

    #[test]
    fn every_number_survives_its_name() {
        for number in (1..=31).chain(34..=64) {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
    }

    #[test]
    fn a_blocked_signal_is_read_from_the_descriptor() {
        in_child(|| {
            set_mask(SignalSet::ALL).unwrap();
            let fd = SignalFd::new(SignalSet::EMPTY.with(Signal::TERM)).unwrap();
            assert_eq!(fd.read().unwrap(), None);
            let term = SignalSet::EMPTY.with(Signal::TERM);
            assert!(!pending().unwrap().has_any(term));
            let own = rustix::process::getpid();
            // SAFETY: a signal to ourselves, which is blocked.
            unsafe { libc::kill(own.as_raw_nonzero().get(), libc::SIGTERM) };
            assert!(pending().unwrap().has_any(term));
            assert_eq!(fd.read().unwrap(), Some(Arrived { signal: Signal::TERM, sender: Some(own) }));
            assert_eq!(
                set_mask(SignalSet::EMPTY).unwrap(),
                SignalSet::ALL.without(Signal::KILL).without(Signal::STOP)
            );
        });
    }

    #[test]
    fn an_ignored_signal_is_known() {
        in_child(|| {
            reset_dispositions().unwrap();
            assert_eq!(ignored().unwrap(), SignalSet::EMPTY);
            // SAFETY: ignoring a signal installs no handler.
            unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
            assert_eq!(ignored().unwrap(), SignalSet::EMPTY.with(Signal::HUP));
        });
    }

    #[test]
    fn ignored_signals_become_default_again() {
        in_child(|| {
            // SAFETY: ignoring a signal installs no handler.
            unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
            reset_dispositions().unwrap();
            // SAFETY: as above; returns the disposition before.
            let before = unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
            assert_eq!(before, libc::SIG_DFL);
        });
    }
}
