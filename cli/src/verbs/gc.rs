//! `nucleus gc`: remove what crashes left behind.

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode};
use nucleus_core::lifecycle::collect;
use nucleus_core::plugins::Registry;

use super::{print_json, wants_json};
use crate::arguments::Invocation;
use crate::output::{self, Failure};

pub(super) fn gc(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let collected = collect(&invocation.root, &Registry::linked()?)?;
    if wants_json(matches) {
        print_json(&collected)?;
    } else {
        let lines: Vec<&str> = collected.removed.iter().flat_map(|id| [id.as_str(), "\n"]).collect();
        output::answer(&lines.concat())?;
    }
    if collected.failed.is_empty() {
        return Ok(0);
    }
    Err(Error::new(ErrorCode::Teardown, "remove everything that crashes left behind")
        .because(format!("{} containers could not be removed", collected.failed.len()))
        .and(collected.failed)
        .into())
}
