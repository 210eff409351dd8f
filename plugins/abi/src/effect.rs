//! The ledger's language: everything that is made for a container, so that it can be undone after any crash.
//!
//! An effect is written *before* it is made, through the ledger's descriptor, with what identifies it beyond its name,
//! so that undoing never hits something that has since taken the name. The core undoes every effect of this list without
//! asking any plugin; [`Effect::Plugin`] alone needs the backend's `undo` verb.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Something that exists on the host because of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Effect {
    /// The ledger itself: the first line of every ledger. Undone by removing the container's directory, last of all.
    Container {
        /// Version of the ledger's language: [`crate::SCHEMA`].
        schema: u32,
        /// The boot during which the ledger was opened (`/proc/sys/kernel/random/boot_id`): after another boot
        /// no process, mount or cgroup of it can exist.
        boot: String,
        /// The process that opened it; while it lives, the container is being made or watched.
        owner: Process,
    },
    /// Where an engine wants the container's groups to be. Nothing to undo: it says which groups of a later [`Effect::Cgroup`]
    /// can be this container's.
    CgroupPlace {
        /// Path below the root of each hierarchy, beginning with `/`.
        path: PathBuf,
    },
    /// Cgroup directories, one for each hierarchy. One that is made later (the freezer's at the first pause) is an effect of its
    /// own, appended before it is made. Undone by killing what is inside and removing them; one that does not exist is no error.
    Cgroup {
        /// Absolute paths, parents before children.
        directories: Vec<PathBuf>,
    },
    /// An empty directory or file that was made on the host for something to be mounted on. Undone by removing it, if it is
    /// still what was made and still empty, and no other container needs it.
    MountPoint {
        /// The directory that it was made in: its path on the host.
        directory: PathBuf,
        /// What that directory must be for the path to count.
        within: Inode,
        /// Its name there.
        name: String,
        /// What was made; `None` for a name that nobody else uses.
        made: Option<Inode>,
    },
    /// A place in a network. Undone by giving it back; the network ends with the last.
    Network {
        /// The network's name below this state root.
        name: String,
    },
    /// A network device. Undone by removing it.
    Link {
        /// Its name, which nothing else has had.
        name: String,
        /// The network namespace in which it is, by device and inode (namespaces(7)).
        namespace: Inode,
    },
    /// A table of the packet filter. Undone by removing it with all that is in it.
    Rules {
        /// Its family, as nft(8) calls it.
        family: String,
        /// Its name, which nothing else has had.
        table: String,
        /// The network namespace in which it is.
        namespace: Inode,
    },
    /// A process that may outlive the one that made it. Undone by SIGKILL, if it is still the same process.
    Process(Process),
    /// Something only the backend knows. Undone by its `undo` verb.
    Plugin {
        /// What the plugin wrote for itself.
        document: serde_json::Value,
    },
}

/// A process, identified so that a reused process id is never mistaken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id in the core's pid namespace.
    pub pid: u32,
    /// Start time after boot in clock ticks: field 22 of `/proc/<pid>/stat`, proc(5).
    pub start_time: u64,
}

/// A file, identified so that another of its name is never mistaken for it: statx(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    /// Number of the device that it lies on.
    pub device: u64,
    /// Number of the inode.
    pub inode: u64,
    /// When it was made, in nanoseconds after 1970; 0 where the file system does not say.
    pub born: u64,
}

/// The writing end of a ledger.
#[derive(Debug)]
pub struct Ledger {
    file: File,
}

impl Ledger {
    /// Writes to an open file, which must have been opened with `O_APPEND`.
    pub fn new(file: File) -> Self {
        Self { file }
    }

    /// Appends one effect as one line with one `write(2)`, so that a crash leaves a whole line or none.
    ///
    /// # Errors
    /// What write(2) reports. The effect must then not be made.
    pub fn record(&mut self, effect: &Effect) -> io::Result<()> {
        let mut line = serde_json::to_vec(effect)?;
        line.push(b'\n');
        let written = self.file.write(&line)?;
        if written == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

impl AsFd for Ledger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Reads a ledger's effects in the order in which they were written. A last line without its end is the trace of a
/// crash inside `write(2)`; its effect was not made, so it is left out.
///
/// # Errors
/// The serde error of a whole line that is no effect.
pub fn read_ledger(text: &str) -> serde_json::Result<Vec<Effect>> {
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(serde_json::from_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_left_out() {
        let whole = r#"{"kind":"process","pid":7,"start_time":99}"#;
        let effects = read_ledger(&format!("{whole}\n{{\"kind\":\"cgr")).unwrap();
        assert_eq!(effects, [Effect::Process(Process { pid: 7, start_time: 99 })]);
    }

    #[test]
    fn a_whole_line_of_nonsense_is_an_error() {
        assert!(read_ledger("{}\n").is_err());
    }
}
