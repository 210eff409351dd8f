//! The bundle that the runtime gets: in the engine's own directory, or where the operator wants to see it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nucleus_abi::{ContainerId, Effect, Result};
use nucleus_linux::fault::OrFail;
use serde_json::{Value, json};

use crate::place::Place;
use crate::runtime::Runtime;

/// What the ledger calls a bundle outside of the container's directory.
const FIELD: &str = "bundle";

/// A bundle that is to be made.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Its directory.
    pub(crate) path: PathBuf,
    /// Its `config.json`.
    text: Vec<u8>,
    home: Home,
}

#[derive(Debug, PartialEq, Eq)]
enum Home {
    Engine,
    Operator,
}

impl Bundle {
    /// Where it will be. In a directory of the operator's it has a name that nothing else has had: whoever undoes it cannot hit
    /// another's.
    pub(crate) fn of(runtime: &Runtime, place: &Place, id: &ContainerId, config: &Value) -> Result<Self> {
        let text = serde_json::to_vec(config)
            .map_err(io::Error::from)
            .or_fail("write the runtime's config.json", id)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Ok(match &runtime.bundles {
            None => Self { path: place.path().to_owned(), text, home: Home::Engine },
            Some(directory) => {
                Self { path: directory.join(format!("{id}-{now:x}")), text, home: Home::Operator }
            }
        })
    }

    /// Its directory, if it is not the engine's.
    pub(crate) fn elsewhere(&self) -> Option<&Path> {
        (self.home == Home::Operator).then_some(&self.path)
    }

    /// What the ledger says before it is made.
    pub(crate) fn effect(&self) -> Effect {
        let document = match self.elsewhere() {
            Some(path) => json!({FIELD: path}),
            None => json!({}),
        };
        Effect::Plugin { document }
    }

    /// Makes it.
    pub(crate) fn make(&self) -> Result<()> {
        if self.elsewhere().is_some() {
            let made = DirBuilder::new().mode(0o700).create(&self.path);
            made.or_fail("make the bundle's directory", self.path.display())?;
        }
        let file = self.path.join("config.json");
        fs::write(&file, &self.text).or_fail("write the runtime's config.json", file.display())
    }
}

/// The bundle that an entry of the ledger names.
pub(crate) fn of_effect(document: &Value) -> Option<PathBuf> {
    document[FIELD].as_str().map(PathBuf::from)
}

/// Removes one that is not in the engine's directory, or is no longer there.
pub(crate) fn remove(path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).or_fail("remove the bundle", path.display())
        }
        _ => Ok(()),
    }
}
