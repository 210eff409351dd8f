//! Secrets in the plan: where each comes from and where it goes, never what it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::decided::Decided;
use super::types::UserPlan;

/// All secrets, and the file system that they lie on.
#[derive(Debug, Clone)]
pub struct SecretsPlan {
    /// In the order of the profile.
    pub list: Vec<Decided<SecretPlan>>,
    /// Room for all of them, in bytes.
    pub size: Decided<u64>,
    /// Whether the host may swap them out.
    pub swap: Swap,
}

/// One secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPlan {
    /// What it is called.
    pub name: String,
    /// Where its content comes from.
    pub source: SecretSource,
    /// The file that the workload sees.
    pub file: Option<SecretFile>,
    /// The variable of the workload that holds it.
    pub variable: Option<String>,
    /// What happens where its source is missing.
    pub presence: Presence,
}

/// Where the content of a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file of the host.
    File(PathBuf),
    /// A variable of nucleus' own environment.
    Variable(String),
    /// A descriptor that nucleus inherits.
    Descriptor(i32),
    /// What a program writes to its standard output.
    Command {
        /// Program and arguments; never empty.
        words: Vec<String>,
        /// How long it may take.
        timeout: Duration,
    },
    /// A credential of the service in which nucleus runs.
    Credential(String),
}

/// The file that the workload sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// In the container.
    pub target: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// Its owner; `None`: the workload's user.
    pub owner: Option<UserPlan>,
}

/// What happens where the source of a secret is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The profile's `enforcement` decides.
    Required,
    /// The workload starts without it.
    Optional,
}

/// Whether the host may swap secrets out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Swap {
    /// The kernel keeps them in memory (tmpfs(5), `noswap`).
    #[default]
    Never,
    /// It may, for this reason.
    Possible(&'static str),
}

impl SecretsPlan {
    /// The files, each with its target.
    pub fn targets(&self) -> impl Iterator<Item = (usize, &Path)> {
        let files = self.list.iter().enumerate();
        files.filter_map(|(index, secret)| Some((index, secret.value.file.as_ref()?.target.as_path())))
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "variable {name} of nucleus"),
            Self::Descriptor(number) => write!(f, "descriptor {number}"),
            // Arguments may be long, and say more than where it comes from.
            Self::Command { words, .. } => write!(f, "command {}", words.first().map_or("", |word| word)),
            Self::Credential(name) => write!(f, "credential {name}"),
        }
    }
}
