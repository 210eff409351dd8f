//! Neighbours, by address and by name.

use std::fs;

use nucleus_tests::{Host, Town};

use super::bridged;
use super::start::Guest;

fn reach(host: &Host, guest: &Guest, target: &str) -> String {
    let words = ["/usr/bin/python3", "-c", nucleus_tests::town::REACH, target];
    host.nucleus("exec").arg(&guest.id).args(words).output().assert_success().text().to_owned()
}

#[test]
fn those_on_a_network_reach_each_other_by_name_and_those_on_another_do_not() {
    let host = Host::enter();
    let town = Town::build();
    let named = host.profile(bridged(&host, "").to_str().unwrap(), "workload: {hostname: database}");
    let server = Guest::server(&host, &town, &named, "inside", &["7000"]);
    let client = Guest::idle(&host, &town, &bridged(&host, ""));
    assert_eq!(reach(&host, &client, "tcp database 7000"), "tcp database 7000: inside 10.88.0.3");
    let by_id = format!("tcp {} 7000", server.id);
    assert_eq!(reach(&host, &client, &by_id), format!("{by_id}: inside 10.88.0.3"));
    assert_eq!(reach(&host, &client, "tcp fd88::2 7000"), "tcp fd88::2 7000: inside fd88::3");
    let elsewhere =
        host.profile(crate::BASE, "network: {mode: bridge, name: other, subnets: [10.77.0.0/24]}");
    let stranger = Guest::idle(&host, &town, &elsewhere);
    assert_eq!(reach(&host, &stranger, "tcp 10.88.0.2 7000"), "tcp 10.88.0.2 7000: nothing");
    assert!(!stranger.shell(&host, "cat /etc/hosts").contains("database"));
    // Whoever leaves is forgotten.
    drop(server);
    assert!(!client.shell(&host, "cat /etc/hosts").contains("database"));
}

#[test]
fn a_neighbour_is_judged_like_everybody_else() {
    let host = Host::enter();
    let town = Town::build();
    let server = Guest::server(&host, &town, &bridged(&host, ""), "inside", &["7000", "7001"]);
    let egress = "egress: {default: deny, allow: [{cidr: 10.88.0.2, ports: [7001]}]}";
    let client = Guest::idle(&host, &town, &bridged(&host, egress));
    assert_eq!(reach(&host, &client, "tcp 10.88.0.2 7001"), "tcp 10.88.0.2 7001: inside 10.88.0.3");
    assert_eq!(reach(&host, &client, "tcp 10.88.0.2 7000"), "tcp 10.88.0.2 7000: refused");
    assert_eq!(reach(&host, &client, "tcp fd88::2 7001"), "tcp fd88::2 7001: refused");
    drop(server);
}

#[test]
fn files_of_names_come_from_the_plan() {
    let host = Host::enter();
    let town = Town::build();
    let more = "dns: [10.0.0.53, 'fd00::53'], dnsSearch: [example.org], hosts: {db: 10.9.8.7}";
    let script = "cat /etc/resolv.conf; grep -c 'db$' /etc/hosts; echo > /etc/hosts";
    let output = town.nucleus(host.shell(bridged(&host, more), script)).output();
    let text = output.text();
    assert_eq!(text, "nameserver 10.0.0.53\nnameserver fd00::53\nsearch example.org\n1");
    assert!(output.stderr.contains("Read-only file system"), "{}", output.stderr);
}

/// A link in place of the file, as many images have it, is followed in the image and never outside.
#[test]
fn an_image_whose_resolver_file_is_a_link_gets_one_all_the_same() {
    let host = Host::enter();
    let town = Town::build();
    let image = nucleus_tests::rootfs::Rootfs::busybox(host.path("image"));
    let etc = image.path().join("etc");
    fs::create_dir_all(&etc).unwrap();
    let _ = fs::remove_file(etc.join("resolv.conf"));
    std::os::unix::fs::symlink("../run/systemd/resolve/stub-resolv.conf", etc.join("resolv.conf")).unwrap();
    let yaml =
        format!("rootfs: {{path: {}}}\nnetwork: {{mode: bridge, dns: [10.0.0.53]}}", image.path().display());
    let profile = host.profile(crate::BASE, &yaml);
    let output = town.nucleus(host.run(profile, &["/bin/busybox", "cat", "/etc/resolv.conf"])).output();
    assert_eq!(output.assert_success().text(), "nameserver 10.0.0.53");
    assert!(!image.path().join("run/systemd").exists());
}

#[test]
fn state_tells_addresses_and_what_was_denied() {
    let host = Host::enter();
    let town = Town::build();
    let more = "publish: ['8080:80'], egress: {default: deny, deny: [{cidr: 192.0.2.2}]}";
    let guest = Guest::idle(&host, &town, &bridged(&host, more));
    for target in ["tcp 192.0.2.2 7000", "tcp 203.0.113.1 7000", "tcp fd88::1 7000"] {
        assert!(reach(&host, &guest, target).ends_with("refused"), "{target}");
    }
    // From outside of the town, as an administrator would.
    let network = &host.nucleus("state").arg(&guest.id).output().assert_success().json()["network"];
    assert_eq!(network["name"], "town");
    assert_eq!(network["addresses"], serde_json::json!(["10.88.0.2", "fd88::2"]));
    assert_eq!(network["publish"], serde_json::json!(["8080:80/tcp"]));
    assert_eq!(network["denied"]["packets"], 3, "{network}");
    let none = host.profile(crate::BASE, "network: {mode: none}");
    let plain = Guest::idle(&host, &town, &none);
    let state = host.nucleus("state").arg(&plain.id).output().assert_success().json();
    assert!(state.get("network").is_none(), "{state}");
}
