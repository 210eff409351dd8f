//! `nucleus start`.

use clap::ArgMatches;
use nucleus_core::lifecycle;
use nucleus_core::plugins::Registry;

use super::container::notify_socket;
use super::container_id;
use crate::arguments::Invocation;
use crate::output::{self, Failure};

pub(super) fn start(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let (id, notify) = (container_id(matches)?, notify_socket());
    lifecycle::start(&id, &invocation.root, &Registry::linked()?, notify.as_deref(), &output::warn)?;
    Ok(0)
}
