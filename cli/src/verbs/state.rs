//! `nucleus state`.

use clap::ArgMatches;
use nucleus_core::lifecycle;
use nucleus_core::plugins::Registry;

use super::{container_id, print_json};
use crate::arguments::Invocation;
use crate::output::Failure;

pub(super) fn state(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    print_json(&lifecycle::state(&container_id(matches)?, &invocation.root, &Registry::linked()?)?)?;
    Ok(0)
}
