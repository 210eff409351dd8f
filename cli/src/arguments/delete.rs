//! What `delete` takes.

use clap::{Arg, ArgAction, Command};

use super::{container_id, last_wins};

pub(crate) fn arguments(command: Command) -> Command {
    let force = Arg::new("force")
        .long("force")
        .short('f')
        .action(ArgAction::SetTrue)
        .help("Kill it first if it runs; it is no error if it is not there");
    command.args([force, container_id()]).mut_args(last_wins)
}
