//! The plugin that is tried, and the place where it is tried.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nucleus_abi::{Client, Error, ErrorCode};
use serde_json::Value;

/// How long something is waited for that a plugin does; far beyond what it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a case did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The plugin breaks its contract, in this way.
    Fault(String),
    /// The plugin says that it does not have what the case is about.
    Lacking(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Fault(error.to_string())
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Fault(error.to_string())
    }
}

pub(crate) type Trial<T = ()> = Result<T, Stop>;

/// The plugin breaks its contract.
pub(crate) fn fault<T>(what: impl Display) -> Trial<T> {
    Err(Stop::Fault(what.to_string()))
}

/// Nothing, if it is so.
pub(crate) fn must(so: bool, or: impl Display) -> Trial {
    if so { Ok(()) } else { fault(or) }
}

/// A verb that a plugin may lack.
pub(crate) fn optional<T>(result: nucleus_abi::Result<T>) -> Trial<T> {
    result.map_err(|error| match error.code {
        ErrorCode::NotSupported => Stop::Lacking(error.to_string()),
        _ => Stop::Fault(error.to_string()),
    })
}

/// A verb that must fail, in an orderly way.
pub(crate) fn refused<T>(what: &str, result: nucleus_abi::Result<T>) -> Trial<Error> {
    match result {
        Ok(_) => fault(format!("{what} succeeds")),
        Err(error) if error.code == ErrorCode::PluginPanicked || error.code == ErrorCode::Protocol => {
            fault(format!("{what}: {error}"))
        }
        Err(error) => Ok(error),
    }
}

/// The plugin that is tried.
#[derive(Debug)]
pub struct Subject {
    /// The way to it.
    pub client: Client,
    /// The options that it gets.
    pub options: Value,
    scratch: PathBuf,
}

impl Subject {
    /// A plugin, and an empty directory whose name stands in everything that is made for the trial.
    pub fn new(client: Client, options: Value, scratch: PathBuf) -> Self {
        Self { client, options, scratch }
    }

    /// The directory of the trial.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The name of the trial.
    pub(crate) fn name(&self) -> &str {
        self.scratch.file_name().and_then(|name| name.to_str()).unwrap_or("kit")
    }

    /// This program again, for a verb that must work in another process.
    pub(crate) fn another_process(step: &str, container: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap_or_default());
        command
            .args(std::env::args_os().skip(1))
            .env("NUCLEUS_KIT_STEP", step)
            .env("NUCLEUS_KIT_CONTAINER", container);
        command
    }
}

/// Waits until something is so.
pub(crate) fn until(what: &str, condition: impl Fn() -> Trial<bool>) -> Trial {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > deadline {
            return fault(format!("it never came: {what}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
