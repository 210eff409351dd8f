//! Resolution by the kernel, with the walk for what it can't do.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, Result};

use super::{InRootPath, LastLink, walk};

/// The kernel answers EAGAIN when any rename or mount on the host raced with a `..` (openat2(2)). A hostile
/// workload can keep that up for ever; the walk, which needs no such check, ends it.
const ATTEMPTS: usize = 32;
const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

pub(super) fn resolve(
    root: BorrowedFd<'_>,
    path: &InRootPath,
    flags: OFlags,
    last: LastLink,
) -> Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
    match by_kernel(root, path, flags, last) {
        Err(Errno::NOSYS | Errno::AGAIN) => walk::walk(root, path, flags, last),
        result => result,
    }
}

pub(super) fn by_kernel(
    root: BorrowedFd<'_>,
    path: &InRootPath,
    flags: OFlags,
    last: LastLink,
) -> Result<OwnedFd> {
    let keep = if last == LastLink::Keep { OFlags::NOFOLLOW } else { OFlags::empty() };
    // openat2, unlike open, refuses O_NOCTTY and others beside O_PATH.
    let flags = if flags.contains(OFlags::PATH) { flags - OFlags::NOCTTY } else { flags } | keep;
    let text = path.relative();
    for _ in 1..ATTEMPTS {
        match openat2(root, &text, flags, Mode::empty(), IN_ROOT) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    openat2(root, &text, flags, Mode::empty(), IN_ROOT)
}
