//! `nucleus plugin trust`.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nucleus_abi::Error;
use nucleus_core::plugins::{Candidate, Signer, pin};
use nucleus_core::profile::SYSTEM_CONFIG;

use crate::output;

pub(super) fn trust(candidate: &Candidate, matches: &ArgMatches) -> Result<(), Error> {
    if let Some(key) = matches.get_one::<String>("key") {
        Signer::new(key)?.verify(candidate)?;
    }
    let config = matches.get_one::<PathBuf>("config").map_or(Path::new(SYSTEM_CONFIG), PathBuf::as_path);
    pin(candidate, config)?;
    output::answer(&format!("{}: {} in {}\n", candidate.note().id, candidate.sha256(), config.display()))
}
