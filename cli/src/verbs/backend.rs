//! `nucleus backend list`: what each backend can enforce on this host.

use clap::ArgMatches;
use nucleus_abi::{Capability, CapabilityReport, Client, ReportRequest, SCHEMA, Verdict};
use nucleus_core::plugins::Registry;
use serde_json::json;

use super::{print_json, wants_json};
use crate::arguments::Invocation;
use crate::output::{self, Failure};
use crate::table::layout;

pub(super) fn backend(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let registry = Registry::linked()?;
    let Some(("list", matches)) = matches.subcommand() else { return Ok(crate::output::FAILED) };
    let request = ReportRequest {
        schema: SCHEMA,
        asked: Capability::ALL.to_vec(),
        options: serde_json::Value::Null,
        memory: Some(invocation.root.memory()),
    };
    let mut documents = Vec::new();
    for client in registry.backends() {
        // One that cannot be asked (its program is missing) must not hide the others.
        let report = client
            .report(&request)
            .unwrap_or_else(|error| CapabilityReport::of(&request.asked, |_| Verdict::no(error.to_string())));
        if wants_json(matches) {
            documents.push(document(client, &report));
        } else {
            output::answer(&text(client, &report))?;
        }
    }
    if wants_json(matches) {
        print_json(&documents)?;
    }
    Ok(0)
}

fn document(client: &Client, report: &CapabilityReport) -> serde_json::Value {
    let description = client.description();
    json!({
        "id": description.id,
        "version": description.version,
        "rank": description.rank,
        "capabilities": report.entries,
    })
}

fn text(client: &Client, report: &CapabilityReport) -> String {
    let description = client.description();
    let rows: Vec<[String; 3]> = Capability::ALL
        .iter()
        .map(|capability| match report.verdict(*capability) {
            Verdict::Yes { by } => [capability.name().to_owned(), "yes".to_owned(), by],
            Verdict::No { reason } => [capability.name().to_owned(), "NO".to_owned(), reason],
        })
        .collect();
    let heading = format!("{} {} (rank {})\n", description.id, description.version, description.rank);
    heading + &layout(["CAPABILITY", "HERE", "BY WHAT, OR WHY NOT"], &rows)
}
