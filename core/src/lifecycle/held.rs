//! Holding a container to the plan that it was made by, whatever it is told later.

use nucleus_abi::Result;
use serde_json::Value;

use super::record::Record;
use crate::plan::tighten::{self, Tightened};

/// Holds the process of an `exec` to the plan of the container, whose `config.json` is given: what can be tightened is.
///
/// # Errors
/// `profile-refuses`, naming the profile's line; `config-invalid`, naming the field.
pub(super) fn process(
    record: &Record,
    container: &Value,
    process: &mut Value,
    warn: &dyn Fn(&str),
) -> Result<()> {
    if record.held.is_some() {
        keep_labels(container, process);
    }
    hold(record, warn, |held| tighten::process(process, held))
}

/// A label confines: another one could confine less.
fn keep_labels(container: &Value, process: &mut Value) {
    for label in ["apparmorProfile", "selinuxLabel"] {
        process[label] = container["process"][label].clone();
    }
}

/// Holds the `resources` of an `update`, and the configuration that they were merged into, to the container's plan.
///
/// # Errors
/// `profile-refuses`, naming the profile's line; `config-invalid`, naming the field.
pub(super) fn resources(
    record: &Record,
    asked: &Value,
    config: &mut Value,
    warn: &dyn Fn(&str),
) -> Result<()> {
    hold(record, warn, |held| tighten::resources(asked, config, held))
}

fn hold(
    record: &Record,
    warn: &dyn Fn(&str),
    tighten: impl FnOnce(&crate::plan::Held) -> Result<Tightened>,
) -> Result<()> {
    let Some(held) = &record.held else { return Ok(()) };
    let tightened = tighten(held)?;
    tightened.allow(held)?;
    tightened.warnings(held).iter().for_each(|warning| warn(warning));
    Ok(())
}
