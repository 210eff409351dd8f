//! `nucleus plugin list`.

use clap::ArgMatches;
use nucleus_abi::{Client, Error, Kind, linked_plugins};
use nucleus_core::plugins::{Candidate, Found, Lookup};
use serde::Serialize;

use super::super::{print_json, wants_json};
use super::{kind, trust_in};
use crate::output;
use crate::table::layout;

#[derive(Serialize)]
struct Line {
    id: String,
    kind: &'static str,
    trust: String,
    file: Option<String>,
}

pub(super) fn list(lookup: &Lookup, matches: &ArgMatches) -> Result<(), Error> {
    let linked = linked_plugins().map(Client::new).collect::<Result<Vec<_>, _>>()?;
    let mut lines: Vec<Line> = linked.iter().map(of_the_program).collect();
    lines.sort_by(|a, b| a.id.cmp(&b.id));
    lines.extend(lookup.search().all().iter().map(|found| of_a_file(found, lookup)));
    if wants_json(matches) {
        return print_json(&lines);
    }
    let rows: Vec<[String; 4]> = lines
        .into_iter()
        .map(|line| [line.id, line.kind.to_owned(), line.trust, line.file.unwrap_or_default()])
        .collect();
    output::answer(&layout(["NAME", "KIND", "TRUST", "FILE"], &rows))
}

fn of_the_program(client: &Client) -> Line {
    let description = client.description();
    Line {
        id: description.id.clone(),
        kind: word(description.kind),
        trust: "part of nucleus".to_owned(),
        file: None,
    }
}

/// Opened and examined, not loaded. One that cannot be used says why.
fn of_a_file(found: &Found, lookup: &Lookup) -> Line {
    let file = Some(found.path.display().to_string());
    match Candidate::open(&found.path) {
        Ok(candidate) => Line {
            id: candidate.note().id.clone(),
            kind: kind(candidate.note()),
            trust: trust_in(&candidate, lookup),
            file,
        },
        Err(error) => Line {
            id: found.stem.replace('_', "-"),
            kind: word(found.kind),
            trust: format!("REFUSED: {}", error.cause.unwrap_or_default()),
            file,
        },
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Backend => "backend",
        Kind::Hook => "hook",
    }
}
