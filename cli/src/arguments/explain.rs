//! What `explain` takes.

use clap::Command;

use super::{output_format, words};
use crate::flags;

pub(crate) fn arguments(command: Command) -> Command {
    command.args(flags::arguments()).args([output_format(), words()])
}
