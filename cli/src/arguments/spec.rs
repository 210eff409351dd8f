//! What `spec` takes.

use clap::{Arg, ArgAction, Command};

use super::container::path;

pub(crate) fn arguments(command: Command) -> Command {
    let bundle =
        path("bundle").short('b').help("The directory that it is written into [default: the current one]");
    let rootless = Arg::new("rootless")
        .long("rootless")
        .action(ArgAction::SetTrue)
        .help("For the user who asks, in a user namespace");
    command.args([bundle, rootless])
}
