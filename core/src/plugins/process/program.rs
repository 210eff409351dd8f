//! The file of a plugin that is a program.

use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, Result};

use super::super::file::{open_alone, refuse};
use super::super::trust::{Pin, judge};
use crate::bundle::Digest;

/// A program that may be executed: nobody but root or this user can have written it, and the operator has pinned it.
#[derive(Debug)]
pub struct Program {
    file: File,
    path: PathBuf,
    sha256: String,
    metadata: Metadata,
}

impl Program {
    /// Opens a program without following links, with the checks that libraries get.
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
    /// As for [`Program::open`].
    pub(in crate::plugins) fn of(file: File, path: PathBuf) -> Result<Self> {
        let unreadable = |error: std::io::Error| refuse(&path, format!("it cannot be read: {error}"));
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.permissions().mode() & 0o111 == 0 {
            return Err(refuse(&path, "it cannot be executed").hint(format!("chmod +x {}", path.display())));
        }
        let mut buffer = vec![0; 256 << 10];
        let (digest, _) = Digest::of(file.as_fd(), &mut buffer).map_err(unreadable)?;
        Ok(Self { file, sha256: digest.to_string(), path, metadata })
    }

    /// Refuses it unless the operator has pinned this very file under its name.
    ///
    /// # Errors
    /// `plugin-refused`.
    pub fn pinned(self, id: &str, pin: Option<&Pin>) -> Result<Self> {
        judge(id, &self.sha256, &self.path, pin).map(|()| self)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its SHA-256 in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The open file.
    pub(in crate::plugins) fn file(&self) -> &File {
        &self.file
    }

    /// Refuses it if it was written to since it was read.
    ///
    /// # Errors
    /// `plugin-refused`.
    pub(super) fn refuse_changed(&self) -> Result<()> {
        let now = self.file.metadata().map_err(|error| self.refuse(error))?;
        let identity = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        if identity(&now) == identity(&self.metadata) {
            return Ok(());
        }
        Err(self
            .refuse("it was written to while it was opened")
            .hint("replace a plugin by renaming another file over it, never by writing into it"))
    }

    fn refuse(&self, cause: impl std::fmt::Display) -> Error {
        refuse(&self.path, cause)
    }
}
