//! One file for each verb.

mod backend;
mod explain;
mod gc;
mod profile;
mod run;

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode};
use nucleus_core::lifecycle::{Examined, examine};
use nucleus_core::plugins::Registry;
use nucleus_core::profile::{Loaded, Request, SearchPath, load};

use crate::arguments::Invocation;
use crate::flags;
use crate::output::{self, Failure};

/// Does what was typed and gives the exit status.
///
/// # Errors
/// What the verb says.
pub(crate) fn dispatch(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    match matches.subcommand() {
        Some(("run", matches)) => run::run(invocation, matches),
        Some(("explain", matches)) => explain::explain(invocation, matches),
        Some(("profile", matches)) => profile::profile(invocation, matches),
        Some(("backend", matches)) => backend::backend(matches),
        Some(("gc", matches)) => gc::gc(invocation, matches),
        // clap refuses everything else before it gets here.
        _ => Ok(crate::output::FAILED),
    }
}

/// Where profiles are looked up by name.
fn search() -> SearchPath {
    let uid = rustix::process::geteuid().as_raw();
    SearchPath::of_user(
        uid,
        std::env::var_os("XDG_CONFIG_HOME").as_deref(),
        std::env::var_os("HOME").as_deref(),
    )
}

/// The effective profile of a verb that takes the overriding options.
fn effective(invocation: &Invocation, matches: &ArgMatches) -> Result<Loaded, Failure> {
    let request = Request {
        profile: invocation.profile.as_deref(),
        workload: matches.get_one::<String>("workload").map(String::as_str),
        flags: flags::values(matches)?,
        search: search(),
    };
    Ok(load(&request)?)
}

/// The checked plan of a verb that takes the overriding options.
fn examined(invocation: &Invocation, matches: &ArgMatches, registry: &Registry) -> Result<Examined, Failure> {
    Ok(examine(&effective(invocation, matches)?, registry)?)
}

/// Prints a JSON document.
fn print_json(document: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Error::new(ErrorCode::Protocol, "write the answer as JSON").because(error))?;
    output::answer(&format!("{text}\n"))
}

/// Whether `--format json` was asked for.
fn wants_json(matches: &ArgMatches) -> bool {
    matches.get_one::<String>("format").is_some_and(|format| format == "json")
}
