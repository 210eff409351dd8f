//! Pseudo-terminals by descriptor, and the operator's own terminal (pty(7), `ioctl_tty(2)`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, fstatfs, major, minor, openat};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
pub use rustix::termios::Winsize;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
/// `TTYAUX_MAJOR`:2 is `ptmx` (Documentation/admin-guide/devices.txt).
const PTMX: (u32, u32) = (5, 2);
/// The majors of Unix98 slaves.
const PEER_MAJORS: std::ops::RangeInclusive<u32> = 136..=143;

/// Both ends of a new pseudo-terminal.
#[derive(Debug)]
pub struct Pty {
    /// The end that reads what programs print; close-on-exec.
    pub controller: OwnedFd,
    /// The end that is the programs' terminal; close-on-exec.
    pub peer: OwnedFd,
}

/// Makes a pseudo-terminal on the devpts whose root is `devpts`.
///
/// The peer comes from the controller itself (`TIOCGPTPEER`), never from a path such as `/dev/pts/0`, which
/// somebody could replace (CVE-2025-52565). Errors: ENOTTY if `devpts` is no devpts, or `ptmx` in it not the
/// device.
pub fn open_pty(devpts: BorrowedFd<'_>) -> io::Result<Pty> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let controller = openat(devpts, c"ptmx", flags, Mode::empty())?;
    verify(controller.as_fd(), |number| number == PTMX)?;
    unlockpt(&controller)?;
    let peer =
        ioctl_tiocgptpeer(&controller, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    verify(peer.as_fd(), |(major, _)| PEER_MAJORS.contains(&major))?;
    Ok(Pty { controller, peer })
}

fn verify(terminal: BorrowedFd<'_>, is_expected: impl Fn((u32, u32)) -> bool) -> io::Result<()> {
    let stat = fstat(terminal)?;
    let on_devpts = u64::try_from(fstatfs(terminal)?.f_type) == Ok(DEVPTS_SUPER_MAGIC);
    let is_char = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if on_devpts && is_char && is_expected((major(stat.st_rdev), minor(stat.st_rdev))) {
        Ok(())
    } else {
        Err(Errno::NOTTY.into())
    }
}

/// Whether it is a terminal.
pub fn is_terminal(file: BorrowedFd<'_>) -> bool {
    isatty(file)
}

/// Rows, columns and pixels.
pub fn window_size(terminal: BorrowedFd<'_>) -> io::Result<Winsize> {
    Ok(tcgetwinsize(terminal)?)
}

/// Sets the window size; programs in the foreground get SIGWINCH.
pub fn set_window_size(terminal: BorrowedFd<'_>, size: Winsize) -> io::Result<()> {
    Ok(tcsetwinsize(terminal, size)?)
}

/// Makes the caller the leader of a new session whose controlling terminal is `terminal`. EPERM if it leads a
/// process group already.
pub fn make_controlling(terminal: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(rustix::process::ioctl_tiocsctty(terminal)?)
}

/// The operator's terminal in raw mode; dropping it restores the mode before.
#[derive(Debug)]
pub struct RawMode<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> RawMode<'a> {
    /// Every key goes through as typed, Ctrl-C too; what is printed is left as it is (cfmakeraw(3)).
    pub fn enter(terminal: BorrowedFd<'a>) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(terminal, OptionalActions::Drain, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        // The terminal may be gone: nothing is left to restore then.
        let _ = tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;
    use rustix::fs::open;
    use rustix::termios::LocalModes;

    fn pty() -> Pty {
        let devpts = open("/dev/pts", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        open_pty(devpts.as_fd()).unwrap()
    }

    #[test]
    fn both_ends_talk() {
        let pty = pty();
        rustix::io::write(&pty.peer, b"hello").unwrap();
        let mut text = [0; 5];
        rustix::io::read(&pty.controller, &mut text).unwrap();
        assert_eq!(&text, b"hello");
        assert!(is_terminal(pty.peer.as_fd()));
    }

    #[test]
    fn another_directory_with_a_ptmx_is_refused() {
        let path = std::env::temp_dir().join(format!("nucleus-devpts-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("ptmx"), "").unwrap();
        let false_devpts = open(&path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let refused = open_pty(false_devpts.as_fd()).unwrap_err();
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOTTY));
    }

    #[test]
    fn the_window_size_passes() {
        let pty = pty();
        let size = Winsize { ws_row: 33, ws_col: 111, ws_xpixel: 0, ws_ypixel: 0 };
        set_window_size(pty.controller.as_fd(), size).unwrap();
        assert_eq!(window_size(pty.peer.as_fd()).unwrap(), size);
    }

    #[test]
    fn raw_mode_ends_with_its_guard() {
        let pty = pty();
        let echoes = || tcgetattr(&pty.peer).unwrap().local_modes.contains(LocalModes::ECHO);
        assert!(echoes());
        let raw = RawMode::enter(pty.peer.as_fd()).unwrap();
        assert!(!echoes());
        drop(raw);
        assert!(echoes());
    }

    #[test]
    fn it_becomes_the_controlling_terminal() {
        // The parent keeps the controller: closing the last one would hang up on the child.
        let pty = pty();
        in_child(|| {
            make_controlling(pty.peer.as_fd()).unwrap();
            let group = rustix::termios::tcgetpgrp(&pty.peer).unwrap();
            assert_eq!(group, rustix::process::getpgrp());
        });
    }
}
