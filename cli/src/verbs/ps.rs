//! `nucleus ps`: the processes of a container, or the containers.

use std::process::Command;

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode};
use nucleus_core::lifecycle;
use nucleus_core::plugins::Registry;
use serde_json::json;

use super::{list, wants_json};
use crate::arguments::Invocation;
use crate::output::{self, Failure};

/// What ps(1) prints unless somebody says otherwise.
const OPTIONS: &str = "-ef";

pub(super) fn ps(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let mut words = matches.get_many::<String>("words").into_iter().flatten();
    let Some(id) = words.next() else { return list::show(invocation, list::shape(matches)) };
    let pids = lifecycle::processes(&id.parse()?, &invocation.root, &Registry::linked()?)?;
    if wants_json(matches) {
        output::answer(&format!("{}\n", json!(pids)))?;
    } else {
        let options: Vec<&str> = words.map(String::as_str).collect();
        let options = if options.is_empty() { vec![OPTIONS] } else { options };
        output::answer(&rows(&everything(&options)?, &pids)?)?;
    }
    Ok(0)
}

/// What the host's ps prints of all processes.
fn everything(options: &[&str]) -> Result<String, Error> {
    let failed = |cause: &dyn std::fmt::Display| {
        Error::new(ErrorCode::HostUnfit, "list processes")
            .on(format!("ps {}", options.join(" ")))
            .because(cause)
    };
    let output = Command::new("ps").args(options).output().map_err(|error| {
        failed(&error).hint("install ps(1), or ask for their numbers alone with `--format json`")
    })?;
    if !output.status.success() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The heading, and the rows of the given processes.
fn rows(table: &str, pids: &[u32]) -> Result<String, Error> {
    let mut lines = table.lines();
    let heading = lines.next().unwrap_or_default();
    let column = heading.split_whitespace().position(|name| name == "PID").ok_or_else(|| {
        Error::new(ErrorCode::InvalidArgument, "find the processes in what ps prints")
            .because("it has no column PID")
            .hint("choose options of ps(1) that show it, such as -ef or -o pid,args")
    })?;
    let is_ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|field| field.parse().ok());
        pid.is_some_and(|pid: u32| pids.contains(&pid))
    };
    Ok(std::iter::once(heading).chain(lines.filter(is_ours)).flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_of_the_container_stay() {
        let table = "UID PID PPID CMD\nroot 1 0 init\nroot 12 1 12 34\nroot 34 1 sleep\n";
        assert_eq!(rows(table, &[34, 2]).unwrap(), "UID PID PPID CMD\nroot 34 1 sleep\n");
        assert_eq!(rows(table, &[]).unwrap(), "UID PID PPID CMD\n");
    }

    #[test]
    fn a_table_without_pids_is_refused() {
        assert_eq!(rows("CMD\ninit\n", &[1]).unwrap_err().code, ErrorCode::InvalidArgument);
        assert!(rows("", &[1]).is_err());
    }
}
