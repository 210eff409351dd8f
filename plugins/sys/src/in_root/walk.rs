//! `RESOLVE_IN_ROOT` in user space: one component at a time, each opened without following links.
//!
//! `..` never asks the file system: it returns to the descriptor from which we came, so that no rename can
//! make it lead out. Stricter than the kernel in one point: every link on a procfs is refused, not only
//! the magic ones, since they can't be told apart from outside.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, fstatfs, openat, readlinkat};
use rustix::io::{Errno, Result};

use super::{InRootPath, LastLink};

/// The kernel's own limit (`path_resolution(7)`).
pub(super) const MAX_LINKS: usize = 40;
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Where we are: the directories entered below the root, and the names still to go, the next one last.
struct Position<'a> {
    root: BorrowedFd<'a>,
    entered: Vec<OwnedFd>,
    to_go: Vec<CString>,
    links: usize,
}

pub(super) fn walk(
    root: BorrowedFd<'_>,
    path: &InRootPath,
    flags: OFlags,
    last: LastLink,
) -> Result<OwnedFd> {
    let to_go = path.components().iter().rev().cloned().collect();
    let mut position = Position { root, entered: Vec::new(), to_go, links: 0 };
    while let Some(name) = position.to_go.pop() {
        match name.as_bytes() {
            b".." => {
                position.entered.pop();
                continue;
            }
            b"." => continue,
            _ => {}
        }
        let found = openat(position.here(), &name, STEP, Mode::empty())?;
        let is_last = position.to_go.is_empty();
        match FileType::from_raw_mode(fstat(&found)?.st_mode) {
            FileType::Symlink if is_last && last == LastLink::Keep => {
                return open_last(position.here(), &name, flags, found);
            }
            FileType::Symlink => position.follow(&found)?,
            FileType::Directory => position.entered.push(found),
            _ if is_last => return open_last(position.here(), &name, flags, found),
            _ => return Err(Errno::NOTDIR),
        }
    }
    openat(position.here(), c".", flags - OFlags::NOFOLLOW, Mode::empty())
}

impl Position<'_> {
    fn here(&self) -> BorrowedFd<'_> {
        self.entered.last().map_or(self.root, AsFd::as_fd)
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS || u64::try_from(fstatfs(link)?.f_type) == Ok(PROC_SUPER_MAGIC) {
            return Err(Errno::LOOP);
        }
        let target = readlinkat(link, c"", Vec::new())?;
        if target.as_bytes().starts_with(b"/") {
            self.entered.clear();
        }
        // `.` stays, and a slash at the end means the same: what comes before must be a directory.
        let end = target.as_bytes().ends_with(b"/").then_some(&b"."[..]);
        let names = target.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        let names: Vec<&[u8]> = names.chain(end).collect();
        let names = names.into_iter().rev();
        self.to_go.extend(names.map(|name| CString::new(name).expect("a link's text holds no NUL")));
        Ok(())
    }
}

/// Opens what was found, for real: without `O_PATH` the name is looked up once more, and a link that took its
/// place meanwhile is refused.
fn open_last(directory: BorrowedFd<'_>, name: &CString, flags: OFlags, found: OwnedFd) -> Result<OwnedFd> {
    match flags {
        flags if flags.contains(OFlags::DIRECTORY) => Err(Errno::NOTDIR),
        flags if flags.contains(OFlags::PATH) => Ok(found),
        flags => openat(directory, name, flags | OFlags::NOFOLLOW, Mode::empty()),
    }
}
