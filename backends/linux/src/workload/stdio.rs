//! The descriptors that the workload is given, and its terminal.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nucleus_abi::{DescriptorIndex, Descriptors, Error, ErrorCode, Result};
use nucleus_sys::OFlags;
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::process::{self, Stdio, replace_stdio};
use nucleus_sys::terminal::{self, Pty};
use rustix::fs::FileType;

use crate::config::{Process, Terminal};
use crate::fault::{OrFail, system};

/// What the workload is given.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    /// Standard input, output and error; unused with a terminal.
    standard: [BorrowedFd<'a>; 3],
    /// Its descriptors 3, 4 and so on.
    extra: Vec<BorrowedFd<'a>>,
}

impl<'a> Given<'a> {
    /// Finds them among those of a request.
    pub(crate) fn find(
        standard: [DescriptorIndex; 3],
        extra: &[DescriptorIndex],
        descriptors: Descriptors<'a>,
    ) -> Result<Self> {
        let [input, output, error] = standard;
        Ok(Self {
            standard: [descriptors.get(input)?, descriptors.get(output)?, descriptors.get(error)?],
            extra: extra.iter().map(|index| descriptors.get(*index)).collect::<Result<_>>()?,
        })
    }

    /// Moves a descriptor that is needed up to the exec out of the way of those that the workload is given.
    pub(crate) fn keep_clear<D: AsFd + From<OwnedFd>>(&self, descriptor: &mut D) -> Result<()> {
        if !self.extra.is_empty() {
            let moved = process::out_of_the_way(descriptor.as_fd(), self.extra.len());
            *descriptor = D::from(moved.or_fail("make room for the workload's descriptors", self.places())?);
        }
        Ok(())
    }

    fn places(&self) -> String {
        format!("{} from 3 on", self.extra.len())
    }

    /// Puts those beyond the standard three into their places.
    pub(super) fn pass_on(&self) -> Result<()> {
        if self.extra.is_empty() {
            return Ok(());
        }
        process::pass_on(&self.extra).or_fail("pass descriptors on to the workload", self.places())
    }
}

/// Opens a terminal on the container's own devpts. The peer comes from the controller: no path that the image could have
/// prepared is looked up (CVE-2025-52565).
pub(crate) fn open_terminal(root: Root<'_>, terminal: Terminal) -> Result<Pty> {
    let path = InRootPath::new("/dev/pts").expect("a plain path");
    let devpts =
        root.open_no_follow(&path, OFlags::PATH | OFlags::DIRECTORY).map_err(|error| no_devpts(&error))?;
    let pty = terminal::open_pty(devpts.as_fd()).map_err(|error| no_devpts(&error))?;
    if let Some(size) = terminal.size {
        terminal::set_window_size(pty.controller.as_fd(), size)
            .or_fail("set the terminal's size", "process.consoleSize")?;
    }
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
pub(super) fn connect(pty: Option<&Pty>, given: &Given<'_>) -> Result<()> {
    let Some(pty) = pty else { return replace(given.standard) };
    // The session is ours already; only the terminal is missing.
    rustix::process::ioctl_tiocsctty(&pty.peer).or_fail("take the controlling terminal", "/dev/pts")?;
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
pub(super) fn give(pty: Option<&Pty>, given: &Given<'_>, wanted: &Process) -> Result<()> {
    if wanted.uid == 0 {
        return Ok(());
    }
    let owner = Some(rustix::fs::Uid::from_raw(wanted.uid));
    let give = |file: BorrowedFd<'_>| match rustix::fs::fchown(file, owner, None) {
        // A pipe whose other end has another owner, or ids that the user namespace lacks: it stays usable as it is.
        Err(rustix::io::Errno::PERM | rustix::io::Errno::INVAL | rustix::io::Errno::ROFS) => Ok(()),
        result => result.or_fail("give the workload its standard descriptors", wanted.uid),
    };
    match pty {
        Some(pty) => give(pty.peer.as_fd()),
        None => given.standard.into_iter().filter(|file| is_anonymous_pipe(*file)).try_for_each(give),
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
