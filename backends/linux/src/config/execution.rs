//! What holds for a process that is executed in a container which exists.

use nucleus_abi::{Beyond, Keyring, LandlockRule, Result};

use super::document::{self, Spec};
use super::each_process::{self, EachProcess};
use super::filter;
use super::process::{self, Process};
use crate::seccomp::Program;

/// A process of its own, and what the container's configuration says of all its processes.
#[derive(Debug)]
pub struct Execution {
    /// The process.
    pub process: Process,
    /// The container's compiled system call filter.
    pub seccomp: Option<Program>,
    /// What each process of the container is given.
    pub each_process: EachProcess,
    /// The container's Landlock rules.
    pub landlock: Option<Vec<LandlockRule>>,
    /// Which session keyring it has.
    pub keyring: Keyring,
    /// What was asked for and left out, where the specification says that this is no error.
    pub warnings: Vec<String>,
}

impl Execution {
    /// Reads the container's `config.json` and the process, in the form of its `process`.
    ///
    /// # Errors
    /// `config-invalid` and `not-supported`; both name the field.
    pub fn parse(config: &str, process: &str, beyond: &Beyond) -> Result<Self> {
        let spec: Spec<'_> = document::read(config)?;
        let document: document::Process<'_> = document::read(process)?;
        let mut warnings = Vec::new();
        Ok(Self {
            process: process::read(Some(&document), &mut warnings)?,
            // Its unknown names were told when the container was created.
            seccomp: filter(&spec.linux, &mut Vec::new())?,
            each_process: each_process::read(&spec.linux)?,
            landlock: beyond.landlock.clone(),
            keyring: beyond.keyring,
            warnings,
        })
    }
}
