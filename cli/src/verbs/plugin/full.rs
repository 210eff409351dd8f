//! `nucleus plugin check --full`.

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode};
use nucleus_core::plugins::{Candidate, Trusted, load};
use nucleus_kit::{CASE, Case, Verdict, conduct, line, perform};
use serde_json::{Value, json};

use super::super::{print_json, wants_json};
use crate::output;

/// Puts a plugin through the suite: each case in a process of its own, which is this one, started again.
pub(super) fn check_in_full(candidate: Candidate, matches: &ArgMatches) -> Result<u8, Error> {
    if let Ok(case) = std::env::var(CASE) {
        return Ok(perform(&case, load(Trusted::to_be_tried(candidate))?));
    }
    let kind = candidate.note().kind.ok_or_else(|| {
        Error::new(ErrorCode::NotSupported, "check the plugin")
            .on(candidate.path().display())
            .because("it is a plugin of a kind that this nucleus does not know")
    })?;
    let json = wants_json(matches);
    let mut cases = Vec::new();
    let only = matches.get_one::<String>("only").map(String::as_str).unwrap_or_default();
    let conducted = conduct(kind, only, &options(matches)?, &mut |case, verdict| {
        if json {
            cases.push(document(case, verdict));
        } else {
            // A reader that has gone has read enough; the verdict is in the exit status.
            let _ = output::answer(&format!("{}\n", line(case, verdict)));
        }
    });
    if json {
        print_json(&cases)?;
    } else {
        output::answer(&format!("{conducted}\n"))?;
    }
    Ok(u8::from(conducted.failed > 0))
}

fn options(matches: &ArgMatches) -> Result<Value, Error> {
    let Some(text) = matches.get_one::<String>("options") else { return Ok(Value::Null) };
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorCode::InvalidArgument, "read --options")
            .on(text)
            .because(error)
            .hint("give a JSON object")
    })
}

fn document(case: &Case, verdict: &Verdict) -> Value {
    let (word, why) = match verdict {
        Verdict::Passed => ("passed", None),
        Verdict::Lacking(why) => ("lacking", Some(why)),
        Verdict::Failed(why) => ("failed", Some(why)),
    };
    json!({"case": case.name, "verdict": word, "why": why})
}
