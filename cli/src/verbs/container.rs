//! What the verbs of the OCI reading have in common.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_core::bundle::read;
use nucleus_core::lifecycle::{Handed, Handles};
use nucleus_core::plugins::Registry;

use crate::arguments::Invocation;

/// The bundle that was named, as a source of a container.
pub(super) fn handed(invocation: &Invocation, matches: &ArgMatches, registry: &Registry) -> Result<Handed> {
    if let Some(profile) = &invocation.profile {
        return Err(Error::new(ErrorCode::NotSupported, "tighten a bundle by a profile")
            .on(profile)
            .because("this release honours config.json as it is, and knows no profile for it")
            .hint("leave --profile out, or run the workload by `nucleus run --profile ... -- COMMAND`"));
    }
    let document = read(path(matches, "bundle").as_deref().unwrap_or(Path::new(".")))?;
    Handed::new(document, registry, invocation.cgroups)
}

/// What the caller wants to hold of the container, and gives to it.
pub(super) fn handles(invocation: &Invocation, matches: &ArgMatches) -> Result<Handles> {
    Ok(Handles {
        extra: Handles::inherited(invocation.reserved)?,
        console_socket: path(matches, "console-socket"),
        pidfd_socket: path(matches, "pidfd-socket"),
        pid_file: path(matches, "pid-file"),
    })
}

fn path(matches: &ArgMatches, name: &str) -> Option<PathBuf> {
    matches.get_one::<PathBuf>(name).cloned()
}
