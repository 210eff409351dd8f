//! Networks, in a town of network namespaces: who reaches whom, what may leave, what is left.

mod attacker;
mod backends;
mod crash;
mod first_packet;
mod many;
mod names;
mod publish;
mod reach;
mod refusals;
mod start;
mod userspace;

use std::path::PathBuf;

use nucleus_tests::{Host, Output, Town};

use crate::BASE;

/// The rows of addresses of the tests' networks.
const SUBNETS: &str = "subnets: [10.88.0.0/24, \"fd88::/64\"]";

/// A profile with a bridge in both families, and more of `network`.
fn bridged(host: &Host, more: &str) -> PathBuf {
    host.profile(BASE, &format!("network: {{mode: bridge, name: town, {SUBNETS}, {more}}}"))
}

/// What `tcp 192.0.2.1 7000` and so on say to a program of the town's host.
fn from_host(town: &Town, targets: &[&str]) -> Vec<String> {
    from(town, nucleus_tests::town::Place::Host, targets)
}

fn from(town: &Town, place: nucleus_tests::town::Place, targets: &[&str]) -> Vec<String> {
    let mut command = town.command(place, "/usr/bin/python3");
    let output =
        command.args(["-c", nucleus_tests::town::REACH]).args(targets).output().expect("start python");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// Compares a table of targets and results, and shows all of it where it differs.
#[track_caller]
fn assert_table(found: &[String], wanted: &[(&str, &str)]) {
    let wanted: Vec<String> = wanted.iter().map(|(target, result)| format!("{target}: {result}")).collect();
    assert_eq!(found, wanted, "\nfound:\n{}\nwanted:\n{}", found.join("\n"), wanted.join("\n"));
}

/// A workload that was never to run says nothing.
#[track_caller]
fn assert_no_start(output: &Output) {
    assert_eq!(output.text(), "", "it ran");
}
