//! Tables of who is reached from inside, for each mode and policy.

use nucleus_tests::town::{Place, reach};
use nucleus_tests::{Host, Town};

use super::start::Guest;
use super::{assert_table, bridged};
use crate::BASE;

const TARGETS: [&str; 12] = [
    "tcp 192.0.2.1 7000",
    "tcp 10.88.0.1 7000",
    "tcp 192.0.2.2 7000",
    "udp 192.0.2.2 53",
    "tcp 203.0.113.1 7001",
    "tcp 2001:db8:1::1 7000",
    "tcp fd88::1 7000",
    "tcp 2001:db8:1::2 7000",
    "udp 2001:db8:1::2 53",
    "tcp 2001:db8:3::1 7001",
    "udp 198.51.100.2 7000",
    "tcp 203.0.113.1 7002",
];

fn table(more: &str, results: [&str; 12]) {
    let host = Host::enter();
    let town = Town::build();
    let _servers = [Place::Host, Place::Lan, Place::Internet].map(|place| town.serve(place));
    let before = town.traces();
    let found = reach(&host, &town, &bridged(&host, more), &TARGETS);
    let wanted: Vec<_> = TARGETS.into_iter().zip(results).collect();
    assert_table(&found, &wanted);
    assert_eq!(town.traces(), before);
}

/// Who is outside sees the host's address; the host itself sees the container's.
const EVERYWHERE: [&str; 12] = [
    "host 10.88.0.2",
    "host 10.88.0.2",
    "lan 192.0.2.1",
    "lan 192.0.2.1",
    "internet 198.51.100.1",
    "host fd88::2",
    "host fd88::2",
    "lan 2001:db8:1::1",
    "lan 2001:db8:1::1",
    "internet 2001:db8:2::1",
    "internet 198.51.100.1",
    "refused",
];

#[test]
fn without_a_policy_everything_is_reached() {
    table("", EVERYWHERE);
}

#[test]
fn a_policy_that_denies_nothing_denies_nothing() {
    table("egress: {default: allow}", EVERYWHERE);
}

#[test]
fn under_deny_nothing_is_reached_and_nothing_is_waited_for() {
    let denied = |target: &str| if target.starts_with("tcp") { "refused" } else { "prohibited" };
    table("egress: {default: deny}", TARGETS.map(denied));
}

#[test]
fn what_is_allowed_is_reached_and_no_neighbour_of_it() {
    let rules = "egress: {default: deny, allow: [
        {cidr: 192.0.2.2, ports: [53/udp]}, {cidr: 203.0.113.0/24, ports: [7001, 7002/tcp]},
        {cidr: '2001:db8:1::/64', ports: [7000-7001/tcp]}, {cidr: '2001:db8:1::1'}]}";
    let results = [
        "refused",
        "refused",
        "refused",
        "lan 192.0.2.1",
        "internet 198.51.100.1",
        "host fd88::2",
        "refused",
        "lan 2001:db8:1::1",
        "prohibited",
        "refused",
        "prohibited",
        "refused",
    ];
    table(rules, results);
}

#[test]
fn what_is_denied_stays_denied_though_more_is_allowed() {
    let rules = "egress: {default: allow, allow: [{cidr: 192.0.2.2}], deny: [
        {cidr: 192.0.2.0/24, ports: [tcp]}, {cidr: '::/0', ports: [53/udp, 7001]}]}";
    let mut results = EVERYWHERE;
    for (index, result) in [(0, "refused"), (2, "refused"), (8, "prohibited"), (9, "refused")] {
        results[index] = result;
    }
    table(rules, results);
}

#[test]
fn three_hundred_rules_hold_like_one() {
    let rule = |n: usize| format!("{{cidr: 203.0.{}.{}, ports: [{}/tcp]}}", n / 200, n % 200, 1000 + n);
    let rules: Vec<_> = (0..299).map(rule).collect();
    let rules = format!(
        "egress: {{default: deny, allow: [{}, {{cidr: 203.0.113.1, ports: [7001]}}]}}",
        rules.join(", ")
    );
    let mut results = TARGETS.map(|target| if target.starts_with("tcp") { "refused" } else { "prohibited" });
    results[4] = "internet 198.51.100.1";
    table(&rules, results);
}

#[test]
fn none_reaches_nobody() {
    let host = Host::enter();
    let town = Town::build();
    let before = town.traces();
    let profile = host.profile(BASE, "network: {mode: none, egress: {default: deny}}");
    let found = reach(&host, &town, &profile, &["tcp 192.0.2.1 7000", "tcp 2001:db8:1::1 7000"]);
    let wanted = [("tcp 192.0.2.1 7000", "no route"), ("tcp 2001:db8:1::1 7000", "no route")];
    assert_table(&found, &wanted);
    assert_eq!(town.traces(), before);
}

/// A network of IPv4 alone has no way out by IPv6.
#[test]
fn a_kind_of_address_that_the_network_lacks_leads_nowhere() {
    let host = Host::enter();
    let town = Town::build();
    let _server = town.serve(Place::Lan);
    let profile = host.profile(BASE, "network: {mode: bridge}");
    let found = reach(&host, &town, &profile, &["tcp 192.0.2.2 7000", "tcp 2001:db8:1::2 7000"]);
    assert_table(&found, &[("tcp 192.0.2.2 7000", "lan 192.0.2.1"), ("tcp 2001:db8:1::2 7000", "no route")]);
}

/// The host passes nothing on that it did not pass on before.
#[test]
fn the_host_becomes_no_router_for_others() {
    let host = Host::enter();
    let town = Town::build();
    let _servers = [Place::Host, Place::Internet].map(|place| town.serve(place));
    let guest = Guest::idle(&host, &town, &bridged(&host, ""));
    let targets =
        ["tcp 203.0.113.1 7000", "tcp 2001:db8:3::1 7000", "tcp 10.88.0.2 7000", "tcp 192.0.2.1 7000"];
    let found = super::from(&town, Place::Lan, &targets);
    assert_table(
        &found,
        &[
            ("tcp 203.0.113.1 7000", "nothing"),
            ("tcp 2001:db8:3::1 7000", "nothing"),
            ("tcp 10.88.0.2 7000", "nothing"),
            ("tcp 192.0.2.1 7000", "host 192.0.2.2"),
        ],
    );
    assert_eq!(town.shell(Place::Host, "cat /proc/sys/net/ipv4/ip_forward"), "1");
    drop(guest);
    assert_eq!(town.shell(Place::Host, "cat /proc/sys/net/ipv4/ip_forward"), "0");
}
