//! What is known of a source.

use std::path::PathBuf;

use rustix::io::Errno;

/// A source of a mount, looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It was opened.
    Found(Found),
    /// It was opened, but where it lies cannot be told, for this reason.
    Hidden(String),
    /// It could not be opened, for this reason.
    Closed(Errno),
}

/// A source that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it really lies: the path of the opened descriptor.
    pub path: PathBuf,
    /// What it is.
    pub shape: Shape,
    /// What of the host it reaches.
    pub reach: Reach,
}

/// Whether something can lie below a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// What of the host a mount reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Ordinary files.
    Files,
    /// The host's root.
    Root,
    /// A file system through which the kernel is spoken to (procfs, sysfs, cgroupfs and others), one below it, or all
    /// devices of the host.
    Kernel,
    /// A device node through which the host can be reached, as through its memory.
    Device,
    /// The socket of an engine or of systemd: who can write to it is root of the host.
    Engine,
    /// The directory in which nucleus keeps its containers.
    State,
}

impl Reach {
    /// Why a source is always forbidden; `None` if it is not.
    pub fn objection(self) -> Option<&'static str> {
        match self {
            Self::Files => None,
            Self::Root => Some("is the host's root"),
            Self::Kernel => Some("holds a file system of the host's kernel"),
            Self::Device => Some("is a device that reaches the host"),
            Self::Engine => Some("holds the socket of an engine or of systemd"),
            Self::State => Some("holds the state of nucleus"),
        }
    }
}
