//! Where the engine keeps a container's files: one directory in the one that the core gave it.

use std::path::{Path, PathBuf};

/// The engine's own directory. It is the bundle's directory too, so that a runtime finds `config.json` in it.
#[derive(Debug, Clone)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// Below a request's `directory`.
    pub(crate) fn of(directory: &Path) -> Self {
        Self(directory.join("oci"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("backend.json")
    }

    /// Where mounts are attached, in the staging process's namespace only.
    pub(crate) fn stage(&self) -> PathBuf {
        self.0.join("stage")
    }

    /// The runtime's `--root`.
    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// The log of `create`.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Where `create` writes the first process's id.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.0.join("pid")
    }

    /// What `create` writes to standard error where the container has a terminal for its own.
    pub(crate) fn stderr(&self) -> PathBuf {
        self.0.join("stderr")
    }

    /// A file of one call among several that may be under way.
    pub(crate) fn of_call(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.{}", std::process::id()))
    }
}
