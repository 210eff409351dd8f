//! `nucleus kill`.

use clap::ArgMatches;
use nucleus_core::lifecycle::{self, SignalTarget};
use nucleus_core::plugins::Registry;

use super::container_id;
use crate::arguments::Invocation;
use crate::output::Failure;

pub(super) fn kill(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let signal = matches.get_one::<String>("signal").map_or("SIGTERM", String::as_str);
    let target = if matches.get_flag("all") { SignalTarget::All } else { SignalTarget::First };
    lifecycle::kill(&container_id(matches)?, &invocation.root, &Registry::linked()?, signal, target)?;
    Ok(0)
}
