//! Processes by descriptor: no signal and no wait can hit a process that reused the id.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, WaitId, WaitIdOptions, WaitIdStatus, pidfd_getfd, pidfd_open, waitid,
};

use crate::signal::Signal;
use crate::syscall::check;

/// A descriptor of one process.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

/// `struct pidfd_info` as Linux 6.15 has it (linux/pidfd.h).
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    /// pid, tgid, ppid, and the real, effective, saved and file system ids.
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(0xFF, 11, struct pidfd_info)` of 64 bytes.
const PIDFD_GET_INFO: libc::c_ulong = 0xC040_FF0B;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It called `exit` with this status (0 to 255).
    Exited {
        /// The status.
        code: u8,
    },
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel wrote a core dump.
        core_dumped: bool,
    },
}

impl Exit {
    /// The status that a shell would report: the code, or 128 plus the signal's number.
    pub fn shell_status(self) -> u8 {
        match self {
            Self::Exited { code } => code,
            Self::Signalled { signal, .. } => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

impl PidFd {
    /// Opens a process by id. The caller must know that the id was not reused: it is its parent and has not
    /// waited yet, or it compares the start time afterwards.
    ///
    /// Errors: ESRCH if no process has this id (any more), whichever way the kernel says so.
    pub fn open(pid: Pid) -> io::Result<Self> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The id is a thread's, or a group's that outlives its leader, or its process is just being released:
            // EINVAL at first, ENOENT in newer kernels (kernel/pid.c, `pidfd_prepare`).
            Err(Errno::INVAL | Errno::NOENT) => Err(Errno::SRCH.into()),
            result => Ok(Self(result?)),
        }
    }

    /// Its process's id, as this process's procfs shows it; `None` once it is reaped (`proc_pid_fdinfo(5)`).
    pub fn pid(&self) -> io::Result<Option<Pid>> {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd()))?;
        let number = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
        Ok(number.filter(|number| *number > 0).and_then(Pid::from_raw))
    }

    /// Takes a copy of the process's descriptor `number` (`pidfd_getfd(2)`), close-on-exec. EBADF if it has none of this
    /// number; EPERM without the right to attach to it, ptrace(2).
    pub fn get(&self, number: i32) -> io::Result<OwnedFd> {
        Ok(pidfd_getfd(&self.0, number, PidfdGetfdFlags::empty())?)
    }

    /// Sends a signal; ESRCH if the process is over and reaped.
    pub fn send_signal(&self, signal: Signal) -> io::Result<()> {
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: a null siginfo is allowed and means "as kill(2) would" (pidfd_send_signal(2)).
        check(unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal.number(), no_info, 0)
        })?;
        Ok(())
    }

    /// Waits until the process is over and reaps it; ECHILD if it is not a child of the caller.
    pub fn wait(&self) -> io::Result<Exit> {
        let status = retry_on_intr(|| waitid(WaitId::PidFd(self.0.as_fd()), WaitIdOptions::EXITED))?;
        status.as_ref().and_then(exit_of).ok_or_else(|| Errno::CHILD.into())
    }

    /// Reaps the process if it is over; `None` while it lives.
    pub fn try_wait(&self) -> io::Result<Option<Exit>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = retry_on_intr(|| waitid(WaitId::PidFd(self.0.as_fd()), options))?;
        Ok(status.as_ref().and_then(exit_of))
    }

    /// How the process ended, as the kernel still tells it to whoever holds a descriptor from before its end, once its parent
    /// has reaped it (`PIDFD_GET_INFO`, `ioctl_pidfd(2)`): waits for that at most `patience`.
    ///
    /// Errors: ETIMEDOUT when nobody has reaped it by then; EINVAL or ENOTTY before Linux 6.15, which cannot tell.
    pub fn exit_of_reaped(&self, patience: Duration) -> io::Result<Exit> {
        let limit = Timespec::try_from(patience).map_err(|_| Errno::INVAL)?;
        // POLLHUP, which needs not be asked for, comes with the reaping (pidfd_open(2)).
        let reaped = retry_on_intr(|| poll(&mut [PollFd::new(&self.0, PollFlags::empty())], Some(&limit)))?;
        if reaped == 0 {
            return Err(Errno::TIMEDOUT.into());
        }
        let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
        // SAFETY: the kernel writes at most the size that is part of the request's number.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) }.into())?;
        if info.mask & PIDFD_INFO_EXIT == 0 {
            return Err(Errno::INVAL.into());
        }
        Ok(exit_of_status(info.exit_code))
    }

    /// Waits until the process is over, without reaping it, also when it is not a child of the caller.
    /// `None` waits for ever. Returns whether it is over.
    pub fn wait_over(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let limit = timeout.map(Timespec::try_from).transpose().map_err(|_| Errno::INVAL)?;
        let ready = retry_on_intr(|| poll(&mut [PollFd::new(&self.0, PollFlags::IN)], limit.as_ref()))?;
        Ok(ready > 0)
    }
}

fn exit_of(status: &WaitIdStatus) -> Option<Exit> {
    if let Some(code) = status.exit_status() {
        // The kernel keeps only the low eight bits of what exit was given.
        return Some(Exit::Exited { code: u8::try_from(code & 0xff).unwrap_or(u8::MAX) });
    }
    let signal = status.terminating_signal()?;
    Some(Exit::Signalled { signal, core_dumped: status.dumped() })
}

/// As wait(2) packs it.
fn exit_of_status(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        return Exit::Signalled { signal: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) };
    }
    Exit::Exited { code: u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX) }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for PidFd {
    /// Takes over a descriptor that came from clone3, another process or `pidfd_open`.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<PidFd> for OwnedFd {
    fn from(pidfd: PidFd) -> Self {
        pidfd.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[expect(clippy::zombie_processes, reason = "waiting for it by its pidfd is what these tests are about")]
    fn spawned(script: &str) -> PidFd {
        let child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
        PidFd::open(Pid::from_child(&child)).unwrap()
    }

    #[test]
    fn tells_exit_from_signal() {
        assert_eq!(spawned("exit 7").wait().unwrap(), Exit::Exited { code: 7 });
        let killed = Exit::Signalled { signal: 9, core_dumped: false };
        assert_eq!(spawned("kill -9 $$").wait().unwrap(), killed);
        assert_eq!(killed.shell_status(), 137);
    }

    #[test]
    fn a_descriptor_of_it_is_taken_as_a_copy() {
        let sleeper = spawned("exec 7</etc/passwd; kill -STOP $$");
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        waitid(WaitId::PidFd(sleeper.as_fd()), options).unwrap();
        let taken = std::fs::File::from(sleeper.get(7).unwrap());
        assert!(std::io::read_to_string(taken).unwrap().contains("root:"));
        assert_eq!(sleeper.get(8).unwrap_err().raw_os_error(), Some(libc::EBADF));
        sleeper.send_signal(Signal::KILL).unwrap();
        sleeper.wait().unwrap();
    }

    #[test]
    fn signals_reach_it_and_a_poll_does_not_reap() {
        let sleeper = spawned("exec sleep 60");
        assert_eq!(sleeper.try_wait().unwrap(), None);
        assert!(!sleeper.wait_over(Some(Duration::from_millis(1))).unwrap());
        sleeper.send_signal(Signal::TERM).unwrap();
        assert!(sleeper.wait_over(None).unwrap());
        assert_eq!(sleeper.wait().unwrap(), Exit::Signalled { signal: 15, core_dumped: false });
        assert_eq!(sleeper.send_signal(Signal::TERM).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn an_end_that_another_has_reaped_is_told() {
        for (script, expected) in [
            ("exit 7", Exit::Exited { code: 7 }),
            ("kill -9 $$", Exit::Signalled { signal: 9, core_dumped: false }),
        ] {
            let process = spawned(script);
            let late = process.exit_of_reaped(Duration::from_millis(20)).unwrap_err();
            assert_eq!(late.raw_os_error(), Some(libc::ETIMEDOUT));
            process.wait().unwrap();
            match process.exit_of_reaped(Duration::from_secs(5)) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTTY)) => {
                    eprintln!("skipped: this kernel does not tell it: {error}");
                }
                told => assert_eq!(told.unwrap(), expected),
            }
        }
    }

    /// The id of a thread exists and is no process's: as with an id that is just being released, kernels disagree on how
    /// to say so.
    #[test]
    fn what_is_no_process_is_not_found() {
        let (report, reported) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            report.send(rustix::thread::gettid()).unwrap();
            let _ = stopped.recv();
        });
        let error = PidFd::open(reported.recv().unwrap()).unwrap_err();
        drop(stop);
        thread.join().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
}
