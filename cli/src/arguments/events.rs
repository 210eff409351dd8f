//! What `events` takes.

use clap::{Arg, ArgAction, Command, value_parser};

use super::{container_id, last_wins};
use crate::interval::Interval;

pub(crate) fn arguments(command: Command) -> Command {
    let stats = Arg::new("stats")
        .long("stats")
        .action(ArgAction::SetTrue)
        .help("Print what the container uses now, and end");
    let interval = Arg::new("interval")
        .long("interval")
        .value_name("DURATION")
        .value_parser(value_parser!(Interval))
        .default_value("5s")
        .help("How often statistics are printed, such as 5s, 1m30s or 500ms");
    command.args([stats, interval, container_id()]).mut_args(last_wins)
}
