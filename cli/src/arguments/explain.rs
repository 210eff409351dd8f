//! What `explain` takes.

use clap::{Arg, ArgAction, Command};

use super::{output_format, words};
use crate::flags;

pub(crate) fn arguments(command: Command) -> Command {
    let hooks = Arg::new("hooks")
        .long("hooks")
        .action(ArgAction::SetTrue)
        .help("Asks the hooks of the profile that may change it, and shows what they change");
    command.args(flags::arguments()).args([output_format(), hooks, words()])
}
