//! Holding a container to the plan that it was made by, whatever it is told later.

use nucleus_abi::{Error, ErrorCode, Result, Shortfall};
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

/// What becomes of a process that cannot be held to all of the plan. Without a profile nobody has said that it may have less.
pub(super) fn shortfall(record: &Record) -> Shortfall {
    match &record.held {
        Some(held) if !held.strict.value => Shortfall::Tell,
        _ => Shortfall::Refuse,
    }
}

/// Puts the line of the profile to the field that a backend cannot hold a process to.
pub(super) fn name_line(record: &Record, error: Error) -> Error {
    let field = error.subject.clone().filter(|_| error.code == ErrorCode::CapabilityMissing);
    match field.and_then(|field| Some((origin(&record.plan, &field)?, field))) {
        Some((origin, field)) => error.on(format!("`{field}` ({origin})")),
        None => error,
    }
}

/// Where a field of the plan comes from. An engine's container has the rows among more ([`Record::plan`]).
fn origin(plan: &Value, field: &str) -> Option<String> {
    let rows = plan.as_array().or_else(|| plan["rows"].as_array())?;
    let row = rows.iter().find(|row| row["field"] == field)?;
    row["origin"].as_str().map(str::to_owned)
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
