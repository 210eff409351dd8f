//! What `run` takes, in both readings.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use nucleus_abi::{Error, ErrorCode, Result};

use super::container::{self, MAKING};
use super::{container_id, words};
use crate::flags;

/// What only the OCI reading takes, beside [`MAKING`].
const OF_ENGINES: [&str; 3] = ["detach", "keep", "no-subreaper"];

/// What only the operator's reading takes, beside the options that override the profile.
const OF_OPERATORS: [&str; 3] = ["id", "dry-run", "command"];

pub(crate) fn arguments(command: Command) -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let id = Arg::new("id").long("id").value_name("NAME").help("The container's id [default: a new one]");
    let dry_run = flag("dry-run").help("Check everything, print the OCI config.json, and start nothing");
    let container = container_id()
        .required(false)
        .help("Run an OCI bundle under this id: config.json says all, and no option above holds");
    let engines = [
        flag("detach").short('d').help("Return as soon as the workload runs"),
        flag("keep").help("Keep the container when it has ended, until somebody deletes it"),
        flag("no-subreaper").help("Accepted for engines that say it; nucleus is no subreaper"),
    ];
    command
        .override_usage("nucleus run [OPTIONS] [-- COMMAND...]\n       nucleus run [OPTIONS] ID")
        .args(flags::arguments())
        .args([id, dry_run])
        .next_help_heading("Options with ID")
        .args(container::making())
        .args(engines)
        .args([container, words()])
}

/// Refuses a command line that mixes the two readings.
///
/// # Errors
/// `invalid-argument`, naming the option that belongs to the other one.
pub(crate) fn refuse_mixture(matches: &ArgMatches) -> Result<()> {
    let typed = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let (foreign, hint) = if matches.contains_id("container") {
        let foreign = flags::names().chain(OF_OPERATORS).find(|name| typed(name));
        (
            foreign,
            "with an id, config.json of the bundle says what runs; without one, the profile and the options do",
        )
    } else {
        let foreign = MAKING.into_iter().chain(OF_ENGINES).find(|name| typed(name));
        (foreign, "it belongs to an OCI bundle: name the container as `nucleus run ... ID`")
    };
    let Some(name) = foreign else { return Ok(()) };
    let subject = if name == "command" { "-- COMMAND".to_owned() } else { format!("--{name}") };
    Err(Error::new(ErrorCode::InvalidArgument, "read the command line as one whole")
        .on(subject)
        .because("it does not go with the rest")
        .hint(hint))
}
