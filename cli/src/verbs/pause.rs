//! `nucleus pause` and `nucleus resume`.

use clap::ArgMatches;
use nucleus_core::lifecycle;
use nucleus_core::plugins::Registry;

use super::container_id;
use crate::arguments::Invocation;
use crate::output::Failure;

pub(super) fn pause(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    lifecycle::pause(&container_id(matches)?, &invocation.root, &Registry::linked()?)?;
    Ok(0)
}

pub(super) fn resume(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    lifecycle::resume(&container_id(matches)?, &invocation.root, &Registry::linked()?)?;
    Ok(0)
}
