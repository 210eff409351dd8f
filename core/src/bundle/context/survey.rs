//! What a context holds, and what it must not hold.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, readlinkat};

use super::exclusions::Exclusions;
use crate::bundle::tree::{Found, Hands, Mounted, TreePath, Trouble, Visitor, walk};

/// What may be in a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Arrived {
    File,
    Directory,
    /// With its target.
    Link(Vec<u8>),
}

/// What may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offence {
    Device,
    Fifo,
    Socket,
    Mount,
    LinkOut,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "it is a device",
            Self::Fifo => "it is a fifo",
            Self::Socket => "it is a socket",
            Self::Mount => "another file system is mounted there",
            Self::LinkOut => "it is a link that leads out of the context",
        })
    }
}

/// One thing that was found, and whether it may be there.
pub(super) type Verdict = (TreePath, Result<Arrived, Offence>);

/// What something is, and whether it may be there. Where a link leads can only be told when all is known.
pub(super) fn verdict<P>(found: &Found<'_, P>) -> io::Result<Result<Arrived, Offence>> {
    Ok(match found.kind() {
        _ if found.mounted == Mounted::Over => Err(Offence::Mount),
        FileType::RegularFile => Ok(Arrived::File),
        FileType::Directory => Ok(Arrived::Directory),
        FileType::Symlink => Ok(Arrived::Link(readlinkat(found.file, c"", Vec::new())?.into_bytes())),
        FileType::Fifo => Err(Offence::Fifo),
        FileType::Socket => Err(Offence::Socket),
        FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => Err(Offence::Device),
    })
}

/// Looks at a whole tree and opens no file for longer than that takes.
///
/// # Errors
/// What cannot be looked at.
pub(super) fn survey(source: BorrowedFd<'_>, exclusions: &Exclusions) -> Result<Vec<Verdict>, Trouble> {
    walk(source, &Surveyor { exclusions })
}

struct Surveyor<'a> {
    exclusions: &'a Exclusions,
}

impl Visitor for Surveyor<'_> {
    type Place = ();
    type Output = Verdict;

    fn wants(&self, path: &TreePath, kind: FileType) -> bool {
        self.exclusions.want(path, kind)
    }

    fn directory(&self, found: &Found<'_, ()>, hands: &mut Hands<Verdict>) -> io::Result<Option<()>> {
        let verdict = verdict(found)?;
        let entered = verdict.is_ok().then_some(());
        hands.output.push((found.path.clone(), verdict));
        Ok(entered)
    }

    fn other(&self, found: &Found<'_, ()>, hands: &mut Hands<Verdict>) -> io::Result<()> {
        hands.output.push((found.path.clone(), verdict(found)?));
        Ok(())
    }
}
