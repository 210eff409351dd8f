//! `/dev/console`: the terminal of the first process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::device::Special;
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::mount::{DetachedMount, Reach};
use nucleus_sys::terminal::Pty;
use nucleus_sys::{Mode, OFlags};

use super::devices;
use crate::config::Terminal;
use crate::fault::OrFail;
use crate::workload::stdio;

/// Opens a terminal and puts it at `/dev/console`. The mount comes from the peer's descriptor, not from a path in
/// `/dev/pts`, which somebody could replace (CVE-2025-52565).
pub(super) fn make(root: Root<'_>, terminal: Terminal) -> Result<Pty> {
    let step = "open a terminal";
    let pty = stdio::open_terminal(root, terminal)?;
    let dev = root
        .open_no_follow(&InRootPath::new("/dev").expect("a plain path"), OFlags::PATH | OFlags::DIRECTORY);
    let place = place(dev.or_fail(step, "/dev")?.as_fd())?;
    let console = DetachedMount::clone_of(pty.peer.as_fd(), Reach::Mount).or_fail(step, "/dev/console")?;
    console.attach(place.as_fd()).or_fail(step, "/dev/console")?;
    Ok(pty)
}

/// The place for it: made in a `/dev` of ours; in the host's there is one, which must be a device, not a link
/// of somebody's.
fn place(dev: BorrowedFd<'_>) -> Result<OwnedFd> {
    let (step, path) = ("open a terminal", "/dev/console");
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dev, c"console", flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => devices::make_file(dev, c"console"),
        found => {
            let found = found.or_fail(step, path)?;
            match Special::of(found.as_fd()).or_fail(step, path)? {
                Some(Special::Char(..)) => Ok(found),
                _ => Err(Error::new(ErrorCode::HostileImage, step)
                    .on(path)
                    .because("something is there that is no terminal")),
            }
        }
    }
}
