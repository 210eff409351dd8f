//! What `kill` takes.

use clap::{Arg, ArgAction, Command};

use super::{container_id, last_wins};

pub(crate) fn arguments(command: Command) -> Command {
    let all = Arg::new("all")
        .long("all")
        .short('a')
        .action(ArgAction::SetTrue)
        .help("Send it to every process of the container");
    let signal = Arg::new("signal")
        .value_name("SIGNAL")
        .default_value("SIGTERM")
        .help("A name, with or without SIG, or a number");
    command.args([all, container_id(), signal]).mut_args(last_wins)
}
