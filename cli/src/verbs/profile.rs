//! `nucleus profile check|show|schema`.

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode};
use nucleus_core::profile::{LoadError, Request, check, schema};

use super::{Statuses, effective, print_json, search};
use crate::arguments::{ErrorFormat, Invocation};
use crate::output::{self, Failure};

pub(super) fn profile(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    match matches.subcommand() {
        Some(("check", matches)) => check_all(invocation, matches),
        Some(("show", matches)) => show(invocation, matches),
        _ => {
            print_json(&schema())?;
            Ok(0)
        }
    }
}

/// Reports the mistakes of every file before it fails.
fn check_all(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let files = matches.get_many::<String>("files").into_iter().flatten();
    let failures: Vec<LoadError> = files.filter_map(|file| check_one(file).err()).collect();
    match invocation.error_format {
        ErrorFormat::Text => {
            let failed = !failures.is_empty();
            for failure in failures {
                output::report(&failure.into(), ErrorFormat::Text, Statuses::Plain);
            }
            Ok(u8::from(failed))
        }
        ErrorFormat::Json => match failures.len() {
            0 => Ok(0),
            count => Err(Error::new(ErrorCode::ProfileInvalid, "accept every profile")
                .because(format!("{count} of them have mistakes"))
                .and(failures.into_iter().map(Error::from))
                .into()),
        },
    }
}

fn check_one(file: &str) -> Result<(), LoadError> {
    check(&Request { profile: Some(file), search: search(), ..Request::default() }).map(|_| ())
}

fn show(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    output::answer(&effective(invocation, matches)?.origins.to_yaml())?;
    Ok(0)
}
