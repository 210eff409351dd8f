//! `nucleus start`.

use clap::ArgMatches;
use nucleus_core::lifecycle;
use nucleus_core::plugins::Registry;

use super::container_id;
use crate::arguments::Invocation;
use crate::output::{self, Failure};

pub(super) fn start(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    lifecycle::start(&container_id(matches)?, &invocation.root, &Registry::linked()?, &output::warn)?;
    Ok(0)
}
