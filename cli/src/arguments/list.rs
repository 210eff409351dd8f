//! What `list` takes.

use clap::{Arg, ArgAction, Command};

use super::{last_wins, output_format};

pub(crate) fn arguments(command: Command) -> Command {
    let quiet = Arg::new("quiet").long("quiet").short('q').action(ArgAction::SetTrue).help("Print ids only");
    command.args([output_format().short('f'), quiet]).mut_args(last_wins)
}
