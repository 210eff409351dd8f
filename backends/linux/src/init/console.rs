//! `/dev/console`: the terminal of the first process.

use std::os::fd::AsFd;

use nucleus_abi::Result;
use nucleus_sys::OFlags;
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::mount::{DetachedMount, Reach};
use nucleus_sys::terminal::Pty;

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
    let place = devices::make_file(dev.or_fail(step, "/dev")?.as_fd(), c"console")?;
    let console = DetachedMount::clone_of(pty.peer.as_fd(), Reach::Mount).or_fail(step, "/dev/console")?;
    console.attach(place.as_fd()).or_fail(step, "/dev/console")?;
    Ok(pty)
}
