//! What `create` takes.

use clap::Command;

use super::container::making;
use super::{container_id, last_wins};

pub(crate) fn arguments(command: Command) -> Command {
    command.args(making()).arg(container_id()).mut_args(last_wins)
}
