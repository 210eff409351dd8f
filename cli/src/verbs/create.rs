//! `nucleus create`.

use clap::ArgMatches;
use nucleus_core::lifecycle;
use nucleus_core::plugins::Registry;

use super::container::{handed, handles};
use super::container_id;
use crate::arguments::Invocation;
use crate::output::{self, Failure};

pub(super) fn create(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let (id, handles) = (container_id(matches)?, handles(invocation, matches)?);
    let registry = Registry::linked()?;
    let source = handed(invocation, matches, &registry)?;
    handles.check_terminal(source.document().terminal)?;
    lifecycle::create(&source, &id, &invocation.root, &registry, &handles, &output::warn)?;
    Ok(0)
}
