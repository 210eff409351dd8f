//! What `pause` and `resume` take.

use clap::Command;

use super::container_id;

pub(crate) fn arguments(command: Command) -> Command {
    command.arg(container_id())
}
