//! What `profile` takes.

use clap::{Arg, Command};

use super::words;
use crate::flags;

pub(crate) fn arguments(command: Command) -> Command {
    let files =
        Arg::new("files").value_name("FILE|NAME").num_args(1..).required(true).help("The profiles to check");
    command
        .subcommand_required(true)
        .subcommand(Command::new("check").about("Report every mistake of the given profiles").arg(files))
        .subcommand(
            Command::new("show")
                .about("Print the effective profile, each value with who decided it")
                .args(flags::arguments())
                .arg(words()),
        )
        .subcommand(Command::new("schema").about("Print the JSON Schema of profiles"))
}
