//! What code that is not ours could change in this process behind our back: its threads, its mask of signals, its working
//! directory, the descriptors that were lent to it; and its exit.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::stdio::{stderr, stdin, stdout};

use crate::signal::{SignalSet, mask, set_mask};

/// This process at one moment.
#[derive(Debug)]
pub struct Surroundings {
    threads: BTreeSet<u32>,
    mask: SignalSet,
    /// Opened rather than remembered by name, so that it can be entered again.
    directory: OwnedFd,
    place: (u64, u64),
    /// What was lent, and the standard descriptors: copies, so that what is closed can be opened again.
    lent: Vec<(RawFd, OwnedFd)>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A thread was started and still runs. There is no way to end it.
    Thread {
        /// Its name, proc(5) `comm`.
        name: String,
    },
    /// Signals were blocked or unblocked. Put back.
    Mask,
    /// Another working directory was entered. Put back.
    Directory,
    /// A descriptor that was lent was closed. Put back, for its owner knows nothing and will use it.
    Closed {
        /// Its number.
        number: RawFd,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread { name } => write!(f, "it started the thread `{name}`, which still runs"),
            Self::Mask => f.write_str("it changed the mask of blocked signals"),
            Self::Directory => f.write_str("it changed the working directory"),
            Self::Closed { number } => write!(f, "it closed descriptor {number}, which was only lent to it"),
        }
    }
}

impl Surroundings {
    /// Looks at the process now. The standard descriptors are lent to everybody.
    ///
    /// # Errors
    /// What `/proc/self/task`, `rt_sigprocmask(2)`, opening `.` and copying descriptors say.
    pub fn look(lent: &[BorrowedFd<'_>]) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(".", flags, Mode::empty())?;
        let place = identity(rustix::fs::fstat(&directory)?);
        let standard = [stdin(), stdout(), stderr()];
        let lent = standard.iter().chain(lent).copied().map(keep).collect::<io::Result<_>>()?;
        Ok(Self { threads: threads()?, mask: mask()?, directory, place, lent })
    }

    /// What has changed since; what can be put right is.
    ///
    /// # Errors
    /// As for [`Surroundings::look`], and what putting right says.
    pub fn changes(&self) -> io::Result<Vec<Change>> {
        let mut changes = Vec::new();
        // Glibc unblocks its own two when the first thread is started (nptl(7)).
        if mask()?.minus(SignalSet::OF_GLIBC) != self.mask.minus(SignalSet::OF_GLIBC) {
            set_mask(self.mask)?;
            changes.push(Change::Mask);
        }
        if rustix::fs::stat(".").map(identity) != Ok(self.place) {
            rustix::process::fchdir(&self.directory)?;
            changes.push(Change::Directory);
        }
        for (number, copy) in self.lent.iter().filter(|(number, _)| !is_open(*number)) {
            put_back(*number, copy)?;
            changes.push(Change::Closed { number: *number });
        }
        let threads = threads()?;
        let new = threads.difference(&self.threads).filter_map(|thread| name_of(*thread));
        changes.extend(new.map(|name| Change::Thread { name }));
        Ok(changes)
    }
}

fn keep(lent: BorrowedFd<'_>) -> io::Result<(RawFd, OwnedFd)> {
    Ok((lent.as_raw_fd(), lent.try_clone_to_owned()?))
}

fn identity(stat: rustix::fs::Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn threads() -> io::Result<BTreeSet<u32>> {
    let entries = std::fs::read_dir("/proc/self/task")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// `None` for a thread that has ended meanwhile.
fn name_of(thread: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

fn is_open(number: RawFd) -> bool {
    // SAFETY: only asks for flags; a number that is not open is the answer EBADF.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// Opens a closed number again: its owner, who knows nothing, will use and close it.
fn put_back(number: RawFd, copy: &OwnedFd) -> io::Result<()> {
    let flags = if number <= libc::STDERR_FILENO { 0 } else { libc::O_CLOEXEC };
    // SAFETY: the number was found closed, and its owner in this thread is waiting for us.
    crate::syscall::check(unsafe { libc::dup3(copy.as_raw_fd(), number, flags) }.into())?;
    Ok(())
}

/// While it lives, the end of this process by exit(3) is not ours: the process says so and ends with a status of its own.
#[derive(Debug)]
pub struct ExitWatch(());

static SENTENCE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);
static HANDLER: Once = Once::new();

/// What a process ends with that somebody else wanted to end.
const STATUS: i32 = 125;

impl ExitWatch {
    /// Watches; `sentence` is written to standard error when it happens. `_exit(2)` goes unseen.
    pub fn begin(sentence: &'static str) -> Self {
        HANDLER.call_once(|| {
            // SAFETY: the handler only reads two atomics, writes and leaves.
            unsafe { libc::atexit(at_exit) };
        });
        LENGTH.store(sentence.len(), Ordering::Relaxed);
        SENTENCE.store(sentence.as_ptr().cast_mut(), Ordering::Release);
        Self(())
    }
}

impl Drop for ExitWatch {
    fn drop(&mut self) {
        SENTENCE.store(std::ptr::null_mut(), Ordering::Release);
    }
}

extern "C" fn at_exit() {
    let sentence = SENTENCE.load(Ordering::Acquire);
    if sentence.is_null() {
        return;
    }
    // SAFETY: pointer and length are those of one `&'static str`, which `begin` stored; one thread stores and exits.
    unsafe {
        libc::write(libc::STDERR_FILENO, sentence.cast(), LENGTH.load(Ordering::Relaxed));
        libc::_exit(STATUS);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd};

    use super::*;
    use crate::signal::Signal;
    use crate::testing::in_child;

    #[test]
    fn what_was_changed_is_named_and_put_right() {
        in_child(|| {
            let lent: OwnedFd = std::fs::File::open("/dev/zero").unwrap().into();
            let before = Surroundings::look(&[lent.as_fd()]).unwrap();
            assert_eq!(before.changes().unwrap(), []);
            set_mask(SignalSet::EMPTY.with(Signal::TERM)).unwrap();
            std::env::set_current_dir("/proc").unwrap();
            let number = lent.into_raw_fd();
            // SAFETY: closes what was just opened, as a plugin would that does not know what is its own.
            let lent = unsafe {
                libc::close(number);
                OwnedFd::from_raw_fd(number)
            };
            let changes = before.changes().unwrap();
            assert_eq!(changes, [Change::Mask, Change::Directory, Change::Closed { number }]);
            assert_eq!(before.changes().unwrap(), []);
            let mut zeros = [1; 4];
            std::fs::File::from(lent).read_exact(&mut zeros).unwrap();
            assert_eq!(zeros, [0; 4], "it is what it was");
        });
    }

    #[test]
    fn a_new_thread_is_named() {
        in_child(|| {
            let before = Surroundings::look(&[]).unwrap();
            let (keep, wait) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::Builder::new().name("busybody".into()).spawn(move || {
                let _ = wait.recv();
            });
            // The thread names itself when it runs.
            while before.changes().unwrap() != [Change::Thread { name: "busybody".into() }] {
                std::thread::yield_now();
            }
            drop(keep);
            thread.unwrap().join().unwrap();
            assert_eq!(before.changes().unwrap(), []);
        });
    }

    #[test]
    fn an_exit_that_is_not_ours_has_a_status_of_its_own() {
        let status_of = |body: fn()| {
            // SAFETY: the child calls exit(3) or `_exit` at once.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                body();
                // SAFETY: leaves without the harness's handlers.
                unsafe { libc::_exit(9) }
            }
            let mut status = 0;
            // SAFETY: waits for the child made above.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            libc::WEXITSTATUS(status)
        };
        let watched = || {
            let _watch = ExitWatch::begin("");
            // SAFETY: in a child of its own.
            unsafe { libc::exit(0) }
        };
        assert_eq!(status_of(watched), STATUS);
        let after = || {
            drop(ExitWatch::begin(""));
            // SAFETY: in a child of its own.
            unsafe { libc::exit(0) }
        };
        assert_eq!(status_of(after), 0);
    }
}
