//! `nucleus explain`: each effective value, who decided it, who enforces it; with `--backend`, what that swap gains and loses.

use std::fmt::Write as _;

use clap::ArgMatches;
use nucleus_abi::Error;
use nucleus_core::lifecycle::{Examined, Reading, consult, examine};
use nucleus_core::plan::{CheckedRow, Enforcement};
use nucleus_core::plugins::Registry;
use serde_json::json;

use super::comparison::{Compared, enforcer};
use super::{effective_with, examined, print_json, wants_json};
use crate::arguments::Invocation;
use crate::flags;
use crate::output::{self, Failure};
use crate::table::layout;

pub(super) fn explain(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let registry = Registry::linked()?;
    let mut examined = examined(invocation, matches, &registry)?;
    if matches.get_flag("hooks") {
        let loaded = effective_with(invocation, matches, flags::values(matches)?)?;
        if let Some(consulted) = consult(&loaded, &"explain".parse()?, &output::warn)? {
            examined = examine(&consulted.loaded, &registry, Reading::Operator, &invocation.root)?;
        }
    }
    examined.foresee();
    let own = profiles_own(invocation, matches, &registry)?;
    let swap = own.as_ref().map(|own| own.as_ref().map(|own| compared(own, &examined)));
    if wants_json(matches) {
        let (swap, fault) = match &swap {
            None => (None, None),
            Some(Ok(compared)) => (Some(compared.json()), None),
            Some(Err(error)) => (None, Some(error)),
        };
        print_json(&json!({
            "profile": examined.plan.profile.value,
            "backend": examined.plan.backend.value,
            "starts": examined.allow().is_ok(),
            "rows": examined.rows,
            "refusals": examined.refusals,
            "swap": swap,
            "swapUnknown": fault,
        }))?;
    } else {
        let swap = match &swap {
            None => String::new(),
            Some(Ok(compared)) => swapped(compared, &examined),
            Some(Err(error)) => format!("\nWhat the swap changes is not known: {error}\n"),
        };
        output::answer(&format!("{}{swap}{}", table(&examined), verdict(&examined)))?;
    }
    Ok(0)
}

/// With `--backend`, what the profile says without it: a swap is measured with that. What is wrong with it, such as a backend
/// that this host has not, is no mistake of the command line's.
fn profiles_own(
    invocation: &Invocation,
    matches: &ArgMatches,
    registry: &Registry,
) -> Result<Option<Result<Examined, Error>>, Failure> {
    if !matches.contains_id("backend") {
        return Ok(None);
    }
    let mut flags = flags::values(matches)?;
    flags.retain(|flag| !flag.pointer.starts_with("/backend"));
    let loaded = effective_with(invocation, matches, flags)?;
    Ok(Some(examine(&loaded, registry, Reading::Operator, &invocation.root)))
}

fn compared<'a>(own: &'a Examined, examined: &'a Examined) -> Compared<'a> {
    let head = |examined: &Examined| examined.plan.backend.value.to_uppercase();
    Compared::new(own, examined, [head(own), head(examined)])
}

fn swapped(compared: &Compared<'_>, examined: &Examined) -> String {
    let (own, backend) = (&compared.left.plan.backend, &examined.plan.backend.value);
    let others = compared.comparison.changed.len();
    format!(
        "\n{backend} in place of {} ({}), the profile's own; {others} lines are kept by other means or changed:\n{}",
        own.value,
        own.origin,
        compared.lost_and_gained()
    )
}

fn table(examined: &Examined) -> String {
    let rows: Vec<[String; 4]> = examined.rows.iter().map(row).collect();
    layout(["FIELD", "VALUE", "DECIDED BY", "ENFORCED BY"], &rows)
}

/// What nobody enforces, with what can be done about it.
fn verdict(examined: &Examined) -> String {
    let mut text = String::new();
    if examined.refusals.is_empty() {
        return text;
    }
    let verdict = match examined.plan.enforcement.value {
        Enforcement::Strict => "This profile is refused here (enforcement: strict):",
        Enforcement::Permissive => "This profile starts with these losses (enforcement: permissive):",
    };
    let _ = writeln!(text, "\n{verdict}");
    for refusal in &examined.refusals {
        let _ = writeln!(text, "  - {refusal}");
        if let Some(hint) = &refusal.hint {
            let _ = writeln!(text, "    hint: {hint}");
        }
    }
    text
}

fn row(row: &CheckedRow) -> [String; 4] {
    [row.field.clone(), row.value.clone(), row.origin.clone(), enforcer(&row.enforcer)]
}
