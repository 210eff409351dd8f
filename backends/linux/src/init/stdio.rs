//! Standard descriptors and the terminal.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::OFlags;
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::mount::{DetachedMount, Reach};
use nucleus_sys::process::{Stdio, replace_stdio};
use nucleus_sys::terminal::{self, Pty};
use rustix::fs::FileType;

use super::devices;
use crate::config::Process;
use crate::fault::{OrFail, system};

/// Opens a terminal on the container's own devpts, and puts it at `/dev/console`. The peer comes from the controller, and
/// the mount from the peer: no path that the image could have prepared is looked up (CVE-2025-52565).
pub(super) fn make_terminal(root: Root<'_>, process: &Process) -> Result<Pty> {
    let step = "open a terminal";
    let path = InRootPath::new("/dev/pts").expect("a plain path");
    let devpts =
        root.open_no_follow(&path, OFlags::PATH | OFlags::DIRECTORY).map_err(|error| no_devpts(&error))?;
    let pty = terminal::open_pty(devpts.as_fd()).map_err(|error| no_devpts(&error))?;
    if let Some(size) = process.terminal.and_then(|terminal| terminal.size) {
        terminal::set_window_size(pty.controller.as_fd(), size)
            .or_fail("set the terminal's size", "/dev/console")?;
    }
    let dev = root
        .open_no_follow(&InRootPath::new("/dev").expect("a plain path"), OFlags::PATH | OFlags::DIRECTORY);
    let place = devices::make_file(dev.or_fail(step, "/dev")?.as_fd(), c"console")?;
    let console = DetachedMount::clone_of(pty.peer.as_fd(), Reach::Mount).or_fail(step, "/dev/console")?;
    console.attach(place.as_fd()).or_fail(step, "/dev/console")?;
    Ok(pty)
}

fn no_devpts(error: &std::io::Error) -> Error {
    let failed = system("open a terminal", error).on("/dev/pts");
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTTY) => Error { code: ErrorCode::ConfigInvalid, ..failed }
            .because("the container has no devpts there")
            .hint("`process.terminal` needs a mount of type devpts at /dev/pts"),
        _ => failed,
    }
}

/// Puts the workload's descriptors at 0, 1 and 2; with a terminal, that is all three and the controlling terminal.
pub(super) fn connect(pty: Option<&Pty>, files: [BorrowedFd<'_>; 3]) -> Result<()> {
    let Some(pty) = pty else { return replace(files) };
    // The session is ours already; only the terminal is missing.
    rustix::process::ioctl_tiocsctty(&pty.peer).or_fail("take the controlling terminal", "/dev/console")?;
    let peer = pty.peer.as_fd();
    replace([peer, peer, peer])
}

fn replace(files: [BorrowedFd<'_>; 3]) -> Result<()> {
    let step = "set up standard input and output";
    // A source that is itself 0, 1 or 2 could be overwritten before its turn.
    let safe = files.map(|file| match file.as_raw_fd() {
        0..=2 => rustix::io::fcntl_dupfd_cloexec(file, 3).map(Some),
        _ => Ok(None),
    });
    let places = [Stdio::Input, Stdio::Output, Stdio::Error];
    for ((file, safe), place) in files.into_iter().zip(safe).zip(places) {
        let safe: Option<OwnedFd> = safe.or_fail(step, format!("{place:?}"))?;
        let source = safe.as_ref().map_or(file, AsFd::as_fd);
        replace_stdio(source, place).or_fail(step, format!("{place:?}"))?;
    }
    Ok(())
}

/// Gives the workload's user its terminal and pipes, so that it can open them again by `/dev/stdout`. Only by descriptor,
/// and only what was made for this run: a file of the operator's keeps its owner.
pub(super) fn give(pty: Option<&Pty>, files: [BorrowedFd<'_>; 3], process: &Process) -> Result<()> {
    if process.uid == 0 {
        return Ok(());
    }
    let owner = Some(rustix::fs::Uid::from_raw(process.uid));
    let give = |file: BorrowedFd<'_>| match rustix::fs::fchown(file, owner, None) {
        // A pipe whose other end has another owner, or ids that the user namespace lacks: it stays usable as it is.
        Err(rustix::io::Errno::PERM | rustix::io::Errno::INVAL | rustix::io::Errno::ROFS) => Ok(()),
        result => result.or_fail("give the workload its standard descriptors", process.uid),
    };
    match pty {
        Some(pty) => give(pty.peer.as_fd()),
        None => files.into_iter().filter(|file| is_anonymous_pipe(*file)).try_for_each(give),
    }
}

/// Magic number of the file system on which pipe(2) makes its pipes, statfs(2).
const PIPEFS_MAGIC: i64 = 0x5049_5045;

/// A FIFO that has a name lies on a file system of the operator's, and keeps its owner.
fn is_anonymous_pipe(file: BorrowedFd<'_>) -> bool {
    let is_fifo = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
    rustix::fs::fstat(file).is_ok_and(is_fifo)
        && rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type == PIPEFS_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode};

    #[test]
    fn only_a_pipe_without_a_name_is_given_away() {
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(is_anonymous_pipe(reader.as_fd()) && is_anonymous_pipe(writer.as_fd()));
        let path = std::env::temp_dir().join(format!("nucleus-fifo-{}", std::process::id()));
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let named = rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        std::fs::remove_file(&path).unwrap();
        assert!(!is_anonymous_pipe(named.unwrap().as_fd()));
        assert!(!is_anonymous_pipe(std::fs::File::open("/dev/null").unwrap().as_fd()));
    }
}
