//! `nucleus explain`: each effective value, who decided it, who enforces it.

use std::fmt::Write as _;

use clap::ArgMatches;
use nucleus_core::lifecycle::Examined;
use nucleus_core::plan::{CheckedRow, Enforcement, Enforcer};
use nucleus_core::plugins::Registry;
use serde_json::json;

use super::{examined, print_json, wants_json};
use crate::arguments::Invocation;
use crate::output::{self, Failure};
use crate::table::layout;

pub(super) fn explain(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let mut examined = examined(invocation, matches, &Registry::linked()?)?;
    examined.foresee();
    if wants_json(matches) {
        print_json(&json!({
            "profile": examined.plan.profile.value,
            "backend": examined.plan.backend.value,
            "starts": examined.allow().is_ok(),
            "rows": examined.rows,
            "refusals": examined.refusals,
        }))?;
    } else {
        output::answer(&table(&examined))?;
    }
    Ok(0)
}

fn table(examined: &Examined) -> String {
    let rows: Vec<[String; 4]> = examined.rows.iter().map(row).collect();
    let mut text = layout(["FIELD", "VALUE", "DECIDED BY", "ENFORCED BY"], &rows);
    if !examined.refusals.is_empty() {
        let verdict = match examined.plan.enforcement.value {
            Enforcement::Strict => "This profile is refused here (enforcement: strict):",
            Enforcement::Permissive => "This profile starts with these losses (enforcement: permissive):",
        };
        let _ = writeln!(text, "\n{verdict}");
        for refusal in &examined.refusals {
            let _ = writeln!(text, "  - {refusal}");
        }
    }
    text
}

fn row(row: &CheckedRow) -> [String; 4] {
    let enforcer = match &row.enforcer {
        Enforcer::Core => "nucleus".to_owned(),
        Enforcer::Backend { by } => by.clone(),
        Enforcer::Nobody { reason } => format!("NOBODY: {reason}"),
    };
    [row.field.clone(), row.value.clone(), row.origin.clone(), enforcer]
}
