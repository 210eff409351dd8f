//! What `run` takes.

use clap::{Arg, ArgAction, Command};

use super::words;
use crate::flags;

pub(crate) fn arguments(command: Command) -> Command {
    let id = Arg::new("id").long("id").value_name("ID").help("The container's id [default: a new one]");
    let dry_run = Arg::new("dry-run")
        .long("dry-run")
        .action(ArgAction::SetTrue)
        .help("Check everything, print the OCI config.json, and start nothing");
    command.args(flags::arguments()).args([id, dry_run, words()])
}
