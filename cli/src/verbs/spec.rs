//! `nucleus spec`.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nucleus_core::bundle::{Caller, write_template};

use crate::arguments::Invocation;
use crate::output::Failure;

pub(super) fn spec(_: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let bundle = matches.get_one::<PathBuf>("bundle").map_or(Path::new("."), PathBuf::as_path);
    let caller = if matches.get_flag("rootless") { Caller::Unprivileged } else { Caller::Root };
    write_template(bundle, caller)?;
    Ok(0)
}
