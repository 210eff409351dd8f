//! What `gc` takes.

use clap::Command;

use super::output_format;

pub(crate) fn arguments(command: Command) -> Command {
    command.arg(output_format())
}
