//! What `ps` takes.

use clap::{Arg, Command};

use super::{last_wins, output_format};

pub(crate) fn arguments(command: Command) -> Command {
    let words = Arg::new("words")
        .value_names(["ID", "PS-OPTION"])
        .num_args(0..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .help("The container's id [default: list the containers], then options of ps(1) [default: -ef]");
    command.args([output_format().short('f'), words]).mut_args(last_wins)
}
