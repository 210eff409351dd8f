//! What cannot be: refused in clear words, with nothing left behind.

use nucleus_tests::town::Place;
use nucleus_tests::{Host, Town};

use super::{assert_no_start, bridged};
use crate::BASE;

#[test]
fn what_cannot_be_is_refused_with_its_reason_and_leaves_nothing() {
    let host = Host::enter();
    let town = Town::build();
    let before = town.traces();
    let refused = |network: &str, words: &[&str]| {
        let profile = host.profile(BASE, &format!("network: {{mode: bridge, {network}}}"));
        let output = town.nucleus(host.run(profile, &["echo", "it ran"])).output().assert_refused(words);
        assert_no_start(&output);
        assert_eq!(town.traces(), before, "{network}");
        assert!(!host.root().join(".networks").exists(), "{network}");
    };
    refused(
        "subnets: [192.0.2.0/25]",
        &["network.subnets: 192.0.2.0/25", "the host reaches 192.0.2.0/24 elsewhere"],
    );
    refused("subnets: [10.88.0.1/24]", &["bits behind the prefix are set; the row is 10.88.0.0/24"]);
    refused("subnets: [10.88.0.0/33]", &["the prefix lies between 0 and 32"]);
    refused("subnets: [10.88.0.0/31]", &["10.88.0.0/31 is no network"]);
    refused("subnets: [10.0.0.0/24, 10.1.0.0/24]", &["one row of IPv4 and one of IPv6 at most"]);
    refused("subnets: [127.1.0.0/16]", &["belong to no container"]);
    refused("subnets: ['fe80::/64']", &["belong to no container"]);
    refused("subnets: [10.88.0.0/24], address: [10.89.0.2]", &["10.89.0.2 does not lie in 10.88.0.0/24"]);
    refused("subnets: [10.88.0.0/24], address: [10.88.0.1]", &["10.88.0.1 is the gateway"]);
    refused("subnets: [10.88.0.0/24], address: [10.88.0.255]", &["means all of 10.88.0.0/24"]);
    refused("address: [10.88.0.2]", &["does not say in which row it lies"]);
    refused("mac: '01:00:5e:00:00:01'", &["many devices (multicast)"]);
    refused("subnets: [10.88.0.0/24], mac: '02:00:0a:58:00:01'", &["02:00:0a:58:00:01 is taken"]);
    refused("mtu: 1000", &["1280"]);
    refused("publish: ['70000:80']", &["`70000` is no port between 1 and 65535"]);
    refused("publish: ['8000-8010:80']", &["11 ports of the host cannot lead to 1"]);
    refused("publish: ['8080:80', '8000-9000:8000-9000']", &["publishes the same port of the host"]);
    refused("publish: ['[::1]:8080:80']", &["loopback address of IPv6"]);
    refused("publish: ['[2001:db8:1::1]:8080:80']", &["the network has no addresses of this kind"]);
    refused("egress: {default: deny, allow: [{cidr: 10.0.0.1/8}]}", &["the row is 10.0.0.0/8"]);
    refused(
        "egress: {default: deny, allow: [{cidr: 10.0.0.0/8, ports: [80/icmp]}]}",
        &["is not tcp, udp or sctp"],
    );
    refused("egress: {allow: []}", &["default"]);
    refused("name: ../x", &["begins with none of these"]);
    refused("bridge: br0", &["unknown key `bridge`"]);
}

#[test]
fn a_network_is_the_same_to_all_on_it() {
    let host = Host::enter();
    let town = Town::build();
    let guest = super::start::Guest::idle(&host, &town, &bridged(&host, "address: [10.88.0.9]"));
    let refused = |network: &str, words: &[&str]| {
        let profile = host.profile(BASE, &format!("network: {{mode: bridge, {network}}}"));
        let output = town.nucleus(host.run(profile, &["echo", "it ran"])).output().assert_refused(words);
        assert_no_start(&output);
    };
    refused(
        "name: town, subnets: [10.77.0.0/24]",
        &["join the network `town`", "know it as 10.88.0.0/24, fd88::/64"],
    );
    refused("name: town, mtu: 9000", &["have an MTU of 1500"]);
    refused("name: other, subnets: [10.88.0.0/16]", &["10.88.0.0/16", "elsewhere"]);
    let same = bridged(&host, "address: [10.88.0.9]");
    let holder = format!("the container `{}` has 10.88.0.9", guest.id);
    town.nucleus(host.run(same, &["true"])).output().assert_refused(&[&holder]);
}

#[test]
fn the_hosts_network_takes_no_policy() {
    let host = Host::enter();
    let yaml = "network: {mode: host, allowHost: true, egress: {default: deny}}";
    host.run(host.profile(BASE, yaml), &["true"])
        .output()
        .assert_refused(&["network.egress", "cannot be told from what the host itself sends"]);
}

/// `explain` shows the network, and touches nothing.
#[test]
fn explain_shows_it_line_by_line() {
    let host = Host::enter();
    let town = Town::build();
    let before = town.traces();
    let profile = bridged(
        &host,
        "publish: ['8080:80'], egress: {default: deny, allow: [{cidr: 10.0.0.0/8, ports: [443]}]}",
    );
    let call = host.nucleus("explain").profile(profile).command(["true"]);
    let output = town.nucleus(call).output().assert_success();
    for (field, value) in [
        ("network.mode", "bridge"),
        ("network.name", "town"),
        ("network.publish[0]", "8080:80/tcp"),
        ("network.egress.default", "deny"),
        ("network.egress.allow", "10.0.0.0/8, 443/tcp"),
    ] {
        let line = output.text().lines().find(|line| line.contains(field)).unwrap_or_default();
        assert!(line.contains(value), "{field}: {}", output.text());
    }
    assert_eq!(town.traces(), before);
    assert_eq!(town.shell(Place::Host, "nft list ruleset"), "");
}
