//! `nucleus delete`.

use clap::ArgMatches;
use nucleus_core::lifecycle::{self, Deletion};
use nucleus_core::plugins::Registry;

use super::container_id;
use crate::arguments::Invocation;
use crate::output::{self, Failure};

pub(super) fn delete(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let deletion = if matches.get_flag("force") { Deletion::Force } else { Deletion::Ended };
    lifecycle::delete(
        &container_id(matches)?,
        &invocation.root,
        &Registry::linked()?,
        deletion,
        &output::warn,
    )?;
    Ok(0)
}
