//! What of a context is left out.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;

use nucleus_sys::{Mode, OFlags};
use rustix::fs::{FileType, openat};
use rustix::io::Errno;

use super::pattern::{Patterns, Shape};
use crate::bundle::tree::TreePath;

/// The file in a context that lists more patterns.
pub(super) const LIST: &str = ".nucleusignore";

/// What nobody means by a context: the history, and what a build left.
const USUAL: &[u8] = b".git\ntarget/\n";

/// Longest list that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// What of a context is left out.
#[derive(Debug, Default)]
pub(super) struct Exclusions(Patterns);

impl Exclusions {
    /// The usual ones, those that the context itself lists, and those of the profile; what comes later wins.
    ///
    /// # Errors
    /// A list that is too long or no file.
    pub(super) fn of(source: BorrowedFd<'_>, of_profile: &[String]) -> io::Result<Self> {
        let mut patterns = Patterns::default();
        patterns.add(USUAL);
        patterns.add(&list(source)?.unwrap_or_default());
        for pattern in of_profile {
            patterns.add(pattern.as_bytes());
        }
        Ok(Self(patterns))
    }

    /// Whether something is no part of what is left out.
    pub(super) fn want(&self, path: &TreePath, kind: FileType) -> bool {
        let shape = if kind == FileType::Directory { Shape::Directory } else { Shape::Other };
        !self.0.leave_out(path, shape)
    }
}

/// The text of the context's own list, if it has one.
///
/// # Errors
/// As for [`Exclusions::of`].
pub(super) fn list(source: BorrowedFd<'_>) -> io::Result<Option<Vec<u8>>> {
    // NONBLOCK: a fifo in its place must not hold us.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(source, LIST, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(io::Error::other("it is a link")),
        Err(errno) => return Err(errno.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if metadata.len() > LONGEST {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(Some(text))
}
