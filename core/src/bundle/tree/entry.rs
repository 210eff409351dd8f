//! One thing in a tree, as far as it decides what is run.

use std::fmt;

use super::attributes::Attributes;
use super::digest::Digest;
use super::path::{TreePath, escaped};

/// One thing in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: TreePath,
    /// Permission bits with setuid, setgid and sticky; a link has none of its own.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) attributes: Attributes,
    pub(crate) kind: Kind,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File {
        size: u64,
        digest: Digest,
    },
    Directory,
    Link {
        target: Vec<u8>,
    },
    Character {
        major: u32,
        minor: u32,
    },
    Block {
        major: u32,
        minor: u32,
    },
    Fifo,
    Socket,
    /// Something is mounted there: whatever it shows is not the tree's.
    Mount,
}

impl Kind {
    /// Its word in manifests.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Directory => "directory",
            Self::Link { .. } => "link",
            Self::Character { .. } => "character",
            Self::Block { .. } => "block",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Mount => "mount",
        }
    }
}

impl fmt::Display for Kind {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { .. } | Self::Directory | Self::Fifo | Self::Socket => f.write_str(self.word()),
            Self::Link { target } => write!(f, "link to {}", escaped(target)),
            Self::Character { major, minor } => write!(f, "character device {major}:{minor}"),
            Self::Block { major, minor } => write!(f, "block device {major}:{minor}"),
            Self::Mount => f.write_str("mount point of another file system"),
        }
    }
}
