//! What `backend` takes.

use clap::Command;

use super::output_format;

pub(crate) fn arguments(command: Command) -> Command {
    let list = Command::new("list").about("Print each backend and what it can enforce on this host");
    command.subcommand_required(true).subcommand(list.arg(output_format()))
}
