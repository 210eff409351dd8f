//! How a workload ended whose process on the host is a monitor of the runtime's.
//!
//! runsc's sandbox process exits with 128+n both for a workload that signal n ended and for one that exited so; its own log has
//! the wait status. The workload can make it log more than there is room for: so the log of `create` lies on a small file
//! system in memory, which hangs nowhere and goes with its last descriptor; and without its last line it is not known how the
//! workload ended. `exec` has one process for each call, whose log the workload cannot reach.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nucleus_abi::Result;
use nucleus_linux::fault::OrFail;
use nucleus_sys::mount::{DetachedMount, FsContext, MountAttrFlags};
use nucleus_sys::pidfd::Exit;
use nucleus_sys::{Mode, OFlags, Pid};

use crate::place::Place;

/// Room for the log of `create`, with every message that a monitor writes on its own account.
const SIZE: &str = "512k";

/// The file that the sandbox process writes to.
const SANDBOX: &str = "boot";
/// The file that the process of `exec` writes to.
const EXEC: &str = "exec";

/// The end of the monitor's last line: the raw wait status follows.
const LAST: &str = "Exiting with status: ";

/// Statuses that say of a monitor either that a signal ended the workload, or that it exited so (signal(7) ends at 64).
const AMBIGUOUS: std::ops::RangeInclusive<u8> = 129..=192;

/// The file system for the log of `create`.
pub(crate) fn make() -> Result<DetachedMount> {
    let make = || {
        let context = FsContext::open("tmpfs")?;
        context.set("size", SIZE)?.set("mode", "0700")?;
        context.mount(
            MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NOEXEC,
        )
    };
    make().or_fail("make a file system for the runtime's log", "tmpfs")
}

/// Its place on the stage.
pub(crate) fn on(stage: &Path) -> PathBuf {
    stage.join("monitor")
}

/// What makes runsc write a file for each of its processes into a directory.
pub(crate) fn flag(directory: &Path) -> String {
    format!("--debug-log={}/%COMMAND%", directory.display())
}

/// Where the log of an `exec` lies that became this process.
pub(crate) fn of_exec(place: &Place, process: Pid) -> PathBuf {
    place.path().join(format!("exec-{}", process.as_raw_nonzero()))
}

/// Whether an exit status needs a second look.
pub(crate) fn is_ambiguous(exit: Exit) -> bool {
    matches!(exit, Exit::Exited { code } if AMBIGUOUS.contains(&code))
}

/// How a sandbox's workload ended, by the log in a directory.
pub(crate) fn sandbox_exit(directory: BorrowedFd<'_>, code: u8) -> Option<Exit> {
    let file =
        rustix::fs::openat(directory, SANDBOX, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let text = std::io::read_to_string(fs::File::from(file)).ok()?;
    exit(text.lines().rev().find_map(status)?, code)
}

/// How a process of `exec` ended; its log is removed.
pub(crate) fn exec_exit(place: &Place, process: Pid, code: u8) -> Option<Exit> {
    let text = fs::read_to_string(of_exec(place, process).join(EXEC)).ok()?;
    let own = process.as_raw_nonzero().to_string();
    // Both the call and the process that it leaves behind write there; the line's third word is the writer's id.
    let mut lines = text.lines().rev().filter(|line| line.split_whitespace().nth(2) == Some(&own));
    exit(lines.find_map(status)?, code)
}

/// Removes the log of an `exec`.
pub(crate) fn forget_exec(place: &Place, process: Pid) {
    let _ = fs::remove_dir_all(of_exec(place, process));
}

/// The wait status in a line.
fn status(line: &str) -> Option<u32> {
    let (_, number) = line.rsplit_once(LAST)?;
    number.trim().parse().ok()
}

/// What a wait status says (`WIFSIGNALED`, wait(2)), if the monitor's own exit code fits: it is the kernel's word, and the log may
/// hold anything.
fn exit(status: u32, code: u8) -> Option<Exit> {
    let exit = match (status & 0x7f, (status >> 8) & 0xff) {
        (0, code) => Exit::Exited { code: u8::try_from(code).ok()? },
        (signal, _) => Exit::Signalled { signal: i32::try_from(signal).ok()?, core_dumped: false },
    };
    let own = match exit {
        Exit::Exited { code } => i32::from(code),
        Exit::Signalled { signal, .. } => 128 + signal,
    };
    (own == i32::from(code)).then_some(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_told_from_an_exit() {
        let line = |text: &str| status(text).and_then(|status| exit(status, 137));
        assert_eq!(
            line("I1122 08:18:24.021068       1 main.go:222] Exiting with status: 9"),
            Some(Exit::Signalled { signal: 9, core_dumped: false })
        );
        assert_eq!(line("x] Exiting with status: 35072"), Some(Exit::Exited { code: 137 }));
    }

    #[test]
    fn what_the_monitors_own_end_contradicts_is_not_believed() {
        for text in
            ["x] Exiting with status: 15", "x] Exiting with status: 0", "x] Exiting with status: -", "no"]
        {
            assert_eq!(status(text).and_then(|status| exit(status, 137)), None, "{text}");
        }
    }

    #[test]
    fn only_what_could_be_either_needs_a_second_look() {
        for (code, ambiguous) in [(0, false), (128, false), (129, true), (192, true), (193, false)] {
            assert_eq!(is_ambiguous(Exit::Exited { code }), ambiguous, "{code}");
        }
        assert!(!is_ambiguous(Exit::Signalled { signal: 9, core_dumped: false }));
    }
}
