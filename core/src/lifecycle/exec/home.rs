//! The home directory of a user, as the container's own files have it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nucleus_sys::{Mode, OFlags};

use super::super::found::Found;
use crate::bundle;

/// The home directory of a user of the container; `/` for one that its `/etc/passwd` does not list.
pub(super) fn of(container: &Found<'_>, uid: u32) -> String {
    let root = root_of(container).ok().flatten();
    root.and_then(|root| bundle::home(root.as_fd(), uid)).unwrap_or_else(|| "/".to_owned())
}

/// The container's root as its first process sees it; `None` when the container ends meanwhile.
fn root_of(container: &Found<'_>) -> io::Result<Option<OwnedFd>> {
    let Ok((process, pid)) = container.first_process() else { return Ok(None) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty())?;
    // While the process lives, nobody else has its number: so the path meant it.
    let over = process.wait_over(Some(std::time::Duration::ZERO))?;
    Ok((!over).then_some(root))
}
