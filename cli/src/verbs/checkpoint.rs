//! `nucleus checkpoint` and `nucleus restore`: their options are understood, and no backend can do them.

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode};

use super::container_id;
use crate::arguments::Invocation;
use crate::output::Failure;

pub(super) fn checkpoint(_: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    Err(not_supported("checkpoint the container", matches)?.into())
}

pub(super) fn restore(_: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    Err(not_supported("restore the container", matches)?.into())
}

fn not_supported(step: &'static str, matches: &ArgMatches) -> Result<Error, Error> {
    Ok(Error::new(ErrorCode::NotSupported, step)
        .on(container_id(matches)?)
        .because("no backend of this release can freeze a container into files: the protocol has no such verb")
        .hint("run the container by a runtime that drives CRIU, such as runc, if it must be moved while it runs"))
}
