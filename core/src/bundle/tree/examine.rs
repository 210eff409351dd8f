//! A tree as a list of entries, with the digest of each file.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FileType, readlinkat};

use super::attributes::{Attributes, IsKept, attributes};
use super::digest::Digest;
use super::entry::{Entry, Kind};
use super::path::TreePath;
use super::walk::{Found, Hands, Mounted, Trouble, Visitor, changed, walk};

/// How far an examination is, for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// How many files have been read.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// How many bytes they hold.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What of a tree is examined.
pub(crate) struct Examiner<'a> {
    /// What is left out.
    pub(crate) wants: &'a (dyn Fn(&TreePath, FileType) -> bool + Sync),
    /// The extended attributes that matter.
    pub(crate) is_kept: IsKept,
    pub(crate) progress: &'a Progress,
}

/// The entries of a tree, by path.
///
/// # Errors
/// What cannot be read, or changed while it was.
pub(crate) fn examine(root: BorrowedFd<'_>, examiner: &Examiner<'_>) -> Result<Vec<Entry>, Trouble> {
    let mut entries = walk(root, examiner)?;
    entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

impl Visitor for Examiner<'_> {
    type Place = ();
    type Output = Entry;

    fn wants(&self, path: &TreePath, kind: FileType) -> bool {
        (self.wants)(path, kind)
    }

    fn directory(&self, found: &Found<'_, ()>, hands: &mut Hands<Entry>) -> io::Result<Option<()>> {
        let mounted = found.mounted == Mounted::Over;
        let kind = if mounted { Kind::Mount } else { Kind::Directory };
        hands.output.push(self.entry(found, kind)?);
        Ok((!mounted).then_some(()))
    }

    fn other(&self, found: &Found<'_, ()>, hands: &mut Hands<Entry>) -> io::Result<()> {
        let kind = match found.mounted {
            Mounted::Over => Kind::Mount,
            Mounted::No => self.kind(found, &mut hands.buffer)?,
        };
        hands.output.push(self.entry(found, kind)?);
        Ok(())
    }
}

impl Examiner<'_> {
    fn entry(&self, found: &Found<'_, ()>, kind: Kind) -> io::Result<Entry> {
        let stat = &found.stat;
        let (mode, attributes) = match kind {
            // A link has neither; what is mounted is only named.
            Kind::Link { .. } | Kind::Mount => (0, Attributes::new()),
            _ => (u32::from(stat.stx_mode) & 0o7777, attributes(found.file, self.is_kept)?),
        };
        let path = found.path.clone();
        Ok(Entry { path, mode, uid: stat.stx_uid, gid: stat.stx_gid, attributes, kind })
    }

    fn kind(&self, found: &Found<'_, ()>, buffer: &mut [u8]) -> io::Result<Kind> {
        let (major, minor) = (found.stat.stx_rdev_major, found.stat.stx_rdev_minor);
        Ok(match found.kind() {
            FileType::RegularFile => self.file(found.file, buffer)?,
            FileType::Symlink => Kind::Link { target: readlinkat(found.file, c"", Vec::new())?.into_bytes() },
            FileType::CharacterDevice => Kind::Character { major, minor },
            FileType::BlockDevice => Kind::Block { major, minor },
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::Directory | FileType::Unknown => return Err(changed()),
        })
    }

    fn file(&self, file: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Kind> {
        let (digest, size) = Digest::of(file, buffer)?;
        self.progress.files.fetch_add(1, Ordering::Relaxed);
        self.progress.bytes.fetch_add(size, Ordering::Relaxed);
        Ok(Kind::File { size, digest })
    }
}
