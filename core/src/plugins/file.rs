//! The file of a plugin, opened once: who can have written it, what it holds, what it says of itself.

use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nucleus_abi::note::Note;
use nucleus_abi::{Error, ErrorCode, Kind, Result, SCHEMA};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::elf;
use crate::bundle::Digest;

const STEP: &str = "load the plugin";

/// A file that may be a plugin: nothing of it has run.
#[derive(Debug)]
pub struct Candidate {
    file: File,
    path: PathBuf,
    note: Note,
    digest: Digest,
    /// As it was when it was read.
    metadata: Metadata,
}

impl Candidate {
    /// Opens a file without following links, refuses one that others than its reader or root could have written, and reads what
    /// it is.
    ///
    /// # Errors
    /// `plugin-refused`, with the reason and the remedy.
    pub fn open(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|error| refuse(path, error))?;
        let file = open_alone(&path)?;
        Self::of(file, path)
    }

    /// Reads what an open file is.
    ///
    /// # Errors
    /// As for [`Candidate::open`].
    pub(super) fn of(file: File, path: PathBuf) -> Result<Self> {
        let unreadable = |error: io::Error| refuse(&path, format!("it cannot be read: {error}"));
        let metadata = file.metadata().map_err(unreadable)?;
        let note = elf::inspect(&file, metadata.len())
            .map_err(|unfit| refuse(&path, &unfit).hint(unfit.remedy()))?;
        check_versions(&note).map_err(|(cause, hint)| refuse(&path, cause).hint(hint))?;
        let mut buffer = vec![0; 256 << 10];
        let (digest, _) = Digest::of(file.as_fd(), &mut buffer).map_err(unreadable)?;
        Ok(Self { file, path, note, digest, metadata })
    }

    /// The same open file once more.
    ///
    /// # Errors
    /// EMFILE.
    pub(super) fn again(&self) -> io::Result<Self> {
        let Self { path, note, digest, metadata, .. } = self;
        let file = self.file.try_clone()?;
        Ok(Self { file, path: path.clone(), note: note.clone(), digest: *digest, metadata: metadata.clone() })
    }

    /// What it says of itself.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The SHA-256 of what it holds.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// The same in hexadecimal digits.
    pub fn sha256(&self) -> String {
        self.digest.to_string()
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Refuses it if it is not the plugin that was looked for.
    ///
    /// # Errors
    /// `plugin-refused`.
    pub fn expect(&self, kind: Kind, id: &str) -> Result<()> {
        if self.note.kind != Some(kind) {
            return Err(refuse(&self.path, format!("it is {}, and {} is looked for", a(self.note.kind), a(Some(kind))))
                .hint("name it where the profile names plugins of its kind, or install the right file under this name"));
        }
        if self.note.id == id {
            return Ok(());
        }
        Err(refuse(&self.path, format!("it is the plugin `{}`, and `{id}` is looked for", self.note.id))
            .hint(format!(
                "name it `{}` in the profile, and its file {}",
                self.note.id,
                super::file_name(kind, &self.note.id)
            )))
    }

    /// Refuses it if it was written to since it was read.
    ///
    /// # Errors
    /// `plugin-refused`.
    pub(super) fn refuse_changed(&self) -> Result<()> {
        let now = self.file.metadata().map_err(|error| refuse(&self.path, error))?;
        let identity = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        if identity(&now) == identity(&self.metadata) {
            return Ok(());
        }
        Err(refuse(&self.path, "it was written to while it was loaded")
            .hint("replace a plugin by renaming another file over it, never by writing into it"))
    }

    /// `plugin-refused` with a reason.
    pub(super) fn refuse(&self, cause: impl Display) -> Error {
        refuse(&self.path, cause)
    }
}

pub(super) fn refuse(path: &Path, cause: impl Display) -> Error {
    Error::new(ErrorCode::PluginRefused, STEP).on(path.display()).because(cause)
}

fn a(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Backend) => "a backend",
        Some(Kind::Hook) => "a hook",
        None => "a plugin of a kind that this nucleus does not know",
    }
}

/// Whether this nucleus and the plugin understand each other: the typed surface by its major version, documents by their schema.
fn check_versions(note: &Note) -> std::result::Result<(), (String, &'static str)> {
    const NEWER: &str = "install a newer nucleus, or the plugin's release for this one";
    const OLDER: &str = "install the plugin's release for this nucleus";
    let ours = nucleus_abi::note::SURFACE.0;
    let (theirs, minor) = note.surface;
    let (oldest, newest) = note.schemas;
    let surface = |how: &str| {
        format!(
            "it is too {how}: it was made for version {theirs}.{minor} of the interface, this nucleus has {ours}"
        )
    };
    let schema = |how: &str| {
        format!(
            "it is too {how}: it reads documents of schema {oldest} to {newest}, this nucleus writes schema {SCHEMA}"
        )
    };
    if theirs > ours {
        return Err((surface("new"), NEWER));
    }
    if theirs < ours {
        return Err((surface("old"), OLDER));
    }
    if oldest > SCHEMA {
        return Err((schema("new"), NEWER));
    }
    if newest < SCHEMA {
        return Err((schema("old"), OLDER));
    }
    Ok(())
}

/// Opens a file of which nobody but root or this process's user can change a byte: not the file, and no name on the way to it.
pub(super) fn open_alone(path: &Path) -> Result<File> {
    let missing = |part: &Path, errno: rustix::io::Errno| {
        let error = refuse(path, format!("{} cannot be opened: {errno}", part.display()));
        if errno == rustix::io::Errno::LOOP { link(path, part) } else { error }
    };
    let as_directory = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut walked = PathBuf::from("/");
    let mut parent: OwnedFd =
        openat(CWD, "/", as_directory, Mode::empty()).map_err(|errno| missing(&walked, errno))?;
    let names: Vec<_> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            // `absolute` has removed `.`; a `..` is refused below, where it fails to be the name of anything.
            Component::ParentDir => Some(std::ffi::OsStr::new("..")),
            _ => None,
        })
        .collect();
    let Some((last, directories)) = names.split_last() else { return Err(refuse(path, "it is a directory")) };
    for name in directories {
        if *name == ".." {
            return Err(refuse(path, "its path leads back through `..`").hint("name it by a straight path"));
        }
        check_owner(path, &walked, &parent)?;
        parent = openat(&parent, *name, as_directory, Mode::empty())
            .map_err(|errno| missing(&walked.join(name), errno))?;
        walked.push(name);
    }
    check_owner(path, &walked, &parent)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file =
        File::from(openat(&parent, *last, flags, Mode::empty()).map_err(|errno| missing(path, errno))?);
    check_owner(path, path, file.as_fd())?;
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(file);
    }
    Err(refuse(path, "it is no regular file"))
}

/// Whoever can write to `part` decides what is loaded.
fn check_owner(path: &Path, part: &Path, open: impl AsFd) -> Result<()> {
    const STICKY: u32 = 0o1000;
    let stat = rustix::fs::fstat(open).map_err(|errno| refuse(path, errno))?;
    let (mode, uid) = (stat.st_mode, stat.st_uid);
    let kind = rustix::fs::FileType::from_raw_mode(mode);
    if kind == rustix::fs::FileType::Symlink {
        return Err(link(path, part));
    }
    let own = rustix::process::geteuid().as_raw();
    if uid != 0 && uid != own {
        return Err(refuse(
            path,
            format!("{} belongs to uid {uid}, who could put another plugin there", part.display()),
        )
        .hint(format!("chown root {}", part.display())));
    }
    // In a sticky directory others can make names, and neither rename nor remove those of root or ours (unlink(2)).
    let sticky = kind == rustix::fs::FileType::Directory && mode & STICKY != 0;
    if mode & 0o022 != 0 && !sticky {
        let mode = mode & 0o7777;
        return Err(refuse(
            path,
            format!("the mode of {} is {mode:04o}: others can write to it", part.display()),
        )
        .hint(format!("chmod go-w {}", part.display())));
    }
    Ok(())
}

fn link(path: &Path, part: &Path) -> Error {
    refuse(path, format!("{} is a symbolic link", part.display())).hint(format!(
        "name what it leads to: {}",
        path.canonicalize().unwrap_or_else(|_| path.to_owned()).display()
    ))
}
