//! `nucleus profile check|show|diff|schema`.

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode};
use nucleus_core::lifecycle::{Examined, Reading, examine};
use nucleus_core::plugins::Registry;
use nucleus_core::profile::{FlagValue, LoadError, Request, check, load, schema};

use super::comparison::Compared;
use super::{Statuses, effective, print_json, search, wants_json};
use crate::arguments::{ErrorFormat, Invocation};
use crate::flags;
use crate::output::{self, Failure};

pub(super) fn profile(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    match matches.subcommand() {
        Some(("check", matches)) => check_all(invocation, matches),
        Some(("show", matches)) => show(invocation, matches),
        Some(("diff", matches)) => Ok(compare(invocation, matches)),
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

/// As diff(1) has it: nothing is lost, something is, or there is no telling.
const SAME: u8 = 0;
const LOST: u8 = 1;
const TROUBLE: u8 = 2;

/// Its failure has a status of its own, so that no script takes it for a loss.
fn compare(invocation: &Invocation, matches: &ArgMatches) -> u8 {
    diff(invocation, matches).unwrap_or_else(|failure| {
        output::report(&failure, invocation.error_format, Statuses::Plain);
        TROUBLE
    })
}

fn diff(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let registry = Registry::linked()?;
    let word = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let (left, workload) = (word("left").unwrap_or_default(), word("workload"));
    let right = word("right").unwrap_or(left);
    let side = |name: &str, flags: Vec<FlagValue>| -> Result<Examined, Failure> {
        let (profile, own) = name.split_once('#').map_or((name, None), |(file, own)| (file, Some(own)));
        let request = Request { profile: Some(profile), workload: own.or(workload), flags, search: search() };
        Ok(examine(&load(&request)?, &registry, Reading::Operator, &invocation.root)?)
    };
    let examined = (side(left, Vec::new())?, side(right, flags::backend_values(matches)?)?);
    let heads = [head(left, &examined.0), head(right, &examined.1)];
    let compared = Compared::new(&examined.0, &examined.1, heads);
    if wants_json(matches) {
        print_json(&compared.json())?;
    } else {
        output::answer(&compared.text())?;
    }
    Ok(if compared.comparison.lost.is_empty() { SAME } else { LOST })
}

fn head(name: &str, examined: &Examined) -> String {
    format!("{name} ({})", examined.plan.backend.value)
}
