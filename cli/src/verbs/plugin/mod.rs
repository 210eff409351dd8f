//! `nucleus plugin`: looks at plugins, checks them, trusts them.

mod full;
mod list;
mod new;
mod trust;

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nucleus_abi::note::Note;
use nucleus_abi::{Error, Kind};
use nucleus_core::plugins::{Candidate, Lookup};
use nucleus_core::profile::{Request, load};
use serde_json::json;

use super::{print_json, search, wants_json};
use crate::arguments::Invocation;
use crate::output::{self, Failure};

pub(super) fn plugin(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    match matches.subcommand() {
        Some(("list", matches)) => list::list(&lookup(invocation)?, matches)?,
        Some(("info", matches)) => info(&Candidate::open(file(matches))?, &lookup(invocation)?, matches)?,
        Some(("check", matches)) if matches.get_flag("full") => {
            return Ok(full::check_in_full(Candidate::open(file(matches))?, matches)?);
        }
        Some(("check", matches)) => check(&Candidate::open(file(matches))?, &lookup(invocation)?, matches)?,
        Some(("new", matches)) => new::new(matches)?,
        Some(("trust", matches)) => trust::trust(&Candidate::open(file(matches))?, matches)?,
        _ => return Ok(output::FAILED),
    }
    Ok(0)
}

fn file(matches: &ArgMatches) -> &Path {
    matches.get_one::<PathBuf>("file").map_or(Path::new(""), PathBuf::as_path)
}

/// What the profile and the system say of plugins.
fn lookup(invocation: &Invocation) -> Result<Lookup, Failure> {
    let request = Request {
        profile: invocation.profile.as_deref(),
        workload: None,
        flags: Vec::new(),
        search: search(),
    };
    Ok(Lookup::new(Some(&load(&request)?.profile.plugins))?)
}

/// Whether a profile could name it, in words.
fn trust_in(candidate: &Candidate, lookup: &Lookup) -> String {
    match lookup.pin(&candidate.note().id) {
        None => "not pinned".to_owned(),
        Some(pin) if pin.digest.as_str() == candidate.sha256() => format!("pinned by {}", pin.by),
        Some(pin) => format!("CHANGED: {} pins {}", pin.by, pin.digest),
    }
}

fn kind(note: &Note) -> &'static str {
    match note.kind {
        Some(Kind::Backend) => "backend",
        Some(Kind::Hook) => "hook",
        None => "unknown",
    }
}

fn info(candidate: &Candidate, lookup: &Lookup, matches: &ArgMatches) -> Result<(), Error> {
    let note = candidate.note();
    let trust = trust_in(candidate, lookup);
    if wants_json(matches) {
        return print_json(&json!({
            "id": note.id,
            "kind": kind(note),
            "interface": format!("{}.{}", note.surface.0, note.surface.1),
            "schemas": [note.schemas.0, note.schemas.1],
            "sha256": candidate.sha256(),
            "trust": trust,
            "file": candidate.path(),
        }));
    }
    output::answer(&format!(
        "id         {}\nkind       {}\ninterface  {}.{}\nschemas    {} to {}\nsha256     {}\ntrust      {trust}\nfile       {}\n",
        note.id,
        kind(note),
        note.surface.0,
        note.surface.1,
        note.schemas.0,
        note.schemas.1,
        candidate.sha256(),
        candidate.path().display()
    ))
}

/// What would keep a profile from naming it, if the operator pinned it, is found when it is opened; what is left is its name.
fn check(candidate: &Candidate, lookup: &Lookup, matches: &ArgMatches) -> Result<(), Error> {
    let note = candidate.note();
    let right = note.kind.map(|kind| nucleus_core::plugins::file_name(kind, &note.id));
    let named = candidate.path().file_name().and_then(|name| name.to_str()).map(str::to_owned);
    if let Some(right) = right.filter(|right| Some(right) != named.as_ref()) {
        output::warn(&format!("profiles find it only as {right}"));
    }
    info(candidate, lookup, matches)
}
