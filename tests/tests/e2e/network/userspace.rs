//! Networks by a program of the host.

use std::fs;
use std::path::PathBuf;

use nucleus_tests::town::{Place, reach};
use nucleus_tests::{Host, Town};

use super::start::Guest;
use super::{assert_table, from, from_host};
use crate::BASE;

fn profile(host: &Host, more: &str) -> PathBuf {
    host.profile(BASE, &format!("network: {{mode: userspace, {more}}}"))
}

const TARGETS: [&str; 4] =
    ["tcp 192.0.2.2 7000", "udp 192.0.2.2 53", "tcp 203.0.113.1 7001", "udp 192.0.2.2 7000"];

#[test]
fn everything_is_reached_and_the_host_is_not_changed() {
    let host = Host::enter();
    let town = Town::build();
    let _servers = [Place::Lan, Place::Internet].map(|place| town.serve(place));
    let before = town.traces();
    let found = reach(&host, &town, &profile(&host, ""), &TARGETS);
    let wanted = ["lan 192.0.2.1", "lan 192.0.2.1", "internet 198.51.100.1", "lan 192.0.2.1"];
    assert_table(&found, &TARGETS.into_iter().zip(wanted).collect::<Vec<_>>());
    assert_eq!(town.traces(), before);
}

#[test]
fn a_policy_holds_as_on_a_bridge() {
    let host = Host::enter();
    let town = Town::build();
    let _servers = [Place::Host, Place::Lan, Place::Internet].map(|place| town.serve(place));
    let rules = "egress: {default: deny, allow: [{cidr: 192.0.2.2, ports: [53/udp]}, {cidr: 203.0.113.1}]}";
    let found = reach(&host, &town, &profile(&host, rules), &TARGETS);
    let wanted = ["refused", "lan 192.0.2.1", "internet 198.51.100.1", "prohibited"];
    assert_table(&found, &TARGETS.into_iter().zip(wanted).collect::<Vec<_>>());
}

#[test]
fn ports_are_published_and_counted_and_everything_ends_with_the_container() {
    let host = Host::enter();
    let town = Town::build();
    let before = town.traces();
    let more =
        "publish: ['8000-8001:7000-7001', '127.0.0.1:9000:7000', '8000:7000/udp'], egress: {default: deny}";
    let guest = Guest::server(&host, &town, &profile(&host, more), "inside", &["7000", "7001"]);
    let targets = ["tcp 192.0.2.1 8000", "tcp 192.0.2.1 8001", "udp 192.0.2.1 8000", "tcp 192.0.2.1 9000"];
    let found = from(&town, Place::Lan, &targets);
    for (line, target) in found.iter().zip(&targets[..3]) {
        assert!(line.starts_with(&format!("{target}: inside")), "{found:?}");
    }
    assert_eq!(found[3], "tcp 192.0.2.1 9000: refused");
    let found = from_host(&town, &["tcp 127.0.0.1 9000"]);
    assert!(found[0].contains("inside"), "{found:?}");
    let words = ["/usr/bin/python3", "-c", nucleus_tests::town::REACH, "tcp 192.0.2.2 7000"];
    let call = host.nucleus("exec").arg(&guest.id).args(words);
    assert_eq!(call.output().assert_success().text(), "tcp 192.0.2.2 7000: refused");
    let state = host.nucleus("state").arg(&guest.id).output().assert_success().json();
    assert_eq!(state["network"]["denied"]["packets"], 1, "{state}");
    drop(guest);
    assert_eq!(town.traces(), before);
}

/// slirp4netns knows IPv4 alone, and has its ports told through a socket.
#[test]
fn slirp4netns_does_where_pasta_is_not_wanted() {
    let host = Host::enter();
    let town = Town::build();
    let _servers = [Place::Host, Place::Lan].map(|place| town.serve(place));
    let before = town.traces();
    let rules =
        "program: slirp4netns, egress: {default: deny, allow: [{cidr: 192.0.2.2, ports: [53/udp, 7000]}]}";
    let targets = ["tcp 192.0.2.2 7000", "tcp 192.0.2.2 7001", "udp 192.0.2.2 53", "tcp 10.0.2.2 7000"];
    let found = reach(&host, &town, &profile(&host, rules), &targets);
    let wanted = ["lan 192.0.2.1", "refused", "lan 192.0.2.1", "refused"];
    assert_table(&found, &targets.into_iter().zip(wanted).collect::<Vec<_>>());
    let more = "program: slirp4netns, publish: ['8000-8001:7000-7001']";
    let guest = Guest::server(&host, &town, &profile(&host, more), "inside", &["7000", "7001"]);
    for line in from(&town, Place::Lan, &["tcp 192.0.2.1 8000", "tcp 192.0.2.1 8001"]) {
        assert!(line.contains(": inside"), "{line}");
    }
    drop(guest);
    assert_eq!(town.traces(), before);
}

/// The program is in the ledger: it goes after a crash too.
#[test]
fn a_crash_leaves_no_program() {
    let host = Host::enter();
    let town = Town::build();
    let mut guest = Guest::idle(&host, &town, &profile(&host, "publish: ['8000:7000']"));
    let programs = || {
        let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            fs::read(entry.path().join("cmdline"))
                .ok()
                .map(|words| String::from_utf8_lossy(&words).into_owned())
        });
        all.filter(|words| words.contains("--config-net") && words.contains("8000")).count()
    };
    assert_eq!(programs(), 1);
    rustix::process::kill_process(guest.nucleus(), rustix::process::Signal::KILL).unwrap();
    guest.forget();
    host.nucleus("gc").output().assert_success();
    assert_eq!(programs(), 0);
}

#[test]
fn what_a_program_cannot_do_is_refused() {
    let host = Host::enter();
    for (network, words) in [
        ("publish: ['80:80/sctp']", &["nothing but TCP and UDP"][..]),
        ("name: web", &["the container's alone"]),
    ] {
        host.run(profile(&host, network), &["true"]).output().assert_refused(words);
    }
    let output =
        host.nucleus("explain").profile(profile(&host, "")).command(["true"]).output().assert_success();
    let program = output.text().lines().find(|line| line.contains("network.program")).unwrap_or_default();
    assert!(program.contains("pasta"), "{}", output.text());
}

/// One container uses the network of another.
#[test]
fn a_container_joins_the_network_of_another() {
    let host = Host::enter();
    let town = Town::build();
    let _server = town.serve(Place::Lan);
    let egress = "egress: {default: deny, allow: [{cidr: 192.0.2.2, ports: [7000]}]}";
    let first = Guest::server(&host, &town, &super::bridged(&host, egress), "first", &["7100"]);
    let joining = host.profile(BASE, &format!("network: {{mode: container, id: {}}}", first.id));
    let targets = ["tcp 127.0.0.1 7100", "tcp 192.0.2.2 7000", "tcp 192.0.2.2 7001"];
    let found = reach(&host, &town, &joining, &targets);
    let wanted = ["first 127.0.0.1", "lan 192.0.2.1", "refused"];
    assert_table(&found, &targets.into_iter().zip(wanted).collect::<Vec<_>>());
    let output = town.nucleus(host.shell(&joining, "grep -c 10.88.0.2 /etc/hosts")).output().assert_success();
    assert_eq!(output.text(), "1");
    let refused = |yaml: String, words: &[&str]| {
        let call = host.run(host.profile(BASE, &yaml), &["true"]);
        town.nucleus(call).output().assert_refused(words);
    };
    refused(
        format!("network: {{mode: container, id: {}, {egress}}}", first.id),
        &["network.egress", "another container's"],
    );
    refused("network: {mode: container}".to_owned(), &["nobody says whose network it is"]);
    refused("network: {mode: container, id: nobody}".to_owned(), &["container does not exist"]);
    let id = first.id.clone();
    drop(first);
    refused(format!("network: {{mode: container, id: {id}}}"), &["container does not exist"]);
}
