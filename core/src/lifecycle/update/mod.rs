//! `update`: other limits for a container.

mod merge;

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nucleus_abi::{ContainerId, Error, ErrorCode, Result, SCHEMA, UpdateRequest};
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::found::Found;
use super::held;
use super::operation::Operation;
use super::state_root::StateRoot;
use crate::plugins::Registry;

/// What is to change; what it does not name stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// In the form of the specification's `linux.resources`.
    pub resources: Value,
    /// In the form of the specification's `linux.intelRdt`.
    pub intel_rdt: Option<Value>,
}

/// Changes the limits of a container, and the stored `config.json` with them.
///
/// Returns what could not be done and is no error.
///
/// # Errors
/// `container-not-found`; `wrong-state` when it has ended; `profile-refuses` for what the container's plan does not allow;
/// `config-invalid` and `not-supported`, naming the field.
pub fn update(
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    change: &Change,
) -> Result<Vec<String>> {
    let found = Found::open(id, root, registry)?;
    let _alone = Operation::alone(id, root)?;
    found.refuse_ended("change the container's limits")?;
    let path = found.config_path();
    // Read and merged before anything changes: a configuration that cannot take the limits must not be left behind them.
    let stored = read(&path)?;
    let mut resources = change.resources.clone();
    if found.record.held.as_ref().is_some_and(|held| held.resources.swap.is_some()) {
        merge::let_swap_follow(&stored, &mut resources);
    }
    let mut config = merge::with(stored, "resources", &resources)?;
    if let Some(intel_rdt) = &change.intel_rdt {
        config = merge::with(config, "intelRdt", intel_rdt)?;
    }
    let heard = RefCell::new(Vec::new());
    let hear = |warning: &str| heard.borrow_mut().push(warning.to_owned());
    held::resources(&found.record, &resources, &mut config, &hear)?;
    let raw = |value: &Value| to_raw_value(value).map_err(|error| unreadable(&path, &error));
    let done = found.client.update(&UpdateRequest {
        schema: SCHEMA,
        id: id.clone(),
        directory: found.backend_directory(),
        resources: raw(&resources)?,
        intel_rdt: change.intel_rdt.as_ref().map(raw).transpose()?,
    })?;
    write(&path, &config).map_err(|error| {
        Error::new(ErrorCode::SystemCall, "store the container's new limits")
            .on(path.display())
            .because(error)
            .hint("the limits hold all the same; what reads the stored configuration does not know of them")
    })?;
    Ok([heard.into_inner(), done.warnings].concat())
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read(path).map_err(|error| unreadable(path, &error))?;
    serde_json::from_slice(&text).map_err(|error| unreadable(path, &error))
}

/// A reader sees the old document or the new one.
fn write(path: &Path, config: &Value) -> io::Result<()> {
    let temporary = path.with_extension("json.new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&serde_json::to_vec(config)?)?;
    fs::rename(&temporary, path)
}

fn unreadable(path: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::RecordUnreadable, "read the container's configuration")
        .on(path.display())
        .because(cause)
}
