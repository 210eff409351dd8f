//! `nucleus features`.

use clap::ArgMatches;
use nucleus_abi::{FeaturesRequest, SCHEMA};
use nucleus_core::plugins::Registry;

use super::print_json;
use crate::arguments::Invocation;
use crate::output::Failure;

/// What the backend implements that engines' containers get.
pub(super) fn features(_: &Invocation, _: &ArgMatches) -> Result<u8, Failure> {
    let request = FeaturesRequest { schema: SCHEMA, options: serde_json::Value::Null };
    print_json(&Registry::linked()?.best()?.features(&request)?.features)?;
    Ok(0)
}
