//! Crashes, and rules that others flush.

use nucleus_tests::town::Place;
use nucleus_tests::{Host, Town};
use rustix::process::{Signal, kill_process};

use super::bridged;
use super::start::Guest;

/// nucleus dies while the container runs: `gc` finds devices, rules and leases.
#[test]
fn a_crash_leaves_nothing_that_gc_does_not_remove() {
    let host = Host::enter();
    let town = Town::build();
    let before = town.traces();
    let mut guest =
        Guest::idle(&host, &town, &bridged(&host, "publish: ['8080:80'], egress: {default: deny}"));
    let other = Guest::idle(&host, &town, &bridged(&host, ""));
    kill_process(guest.nucleus(), Signal::KILL).unwrap();
    guest.forget();
    assert!(town.shell(Place::Host, "nft list ruleset").contains("8080"));
    // From outside of the town, as an administrator would.
    host.nucleus("gc").output().assert_success();
    let rules = town.shell(Place::Host, "nft list ruleset");
    assert!(!rules.contains("8080") && !rules.contains("egress-"), "{rules}");
    assert_eq!(town.shell(Place::Host, "ip -o link | grep -c nv-"), "1");
    drop(other);
    assert_eq!(town.traces(), before);
}

/// Killed at each step of the start.
#[test]
fn wherever_the_start_is_killed_nothing_stays() {
    let host = Host::enter();
    let town = Town::build();
    let before = town.traces();
    let profile =
        bridged(&host, "publish: ['8080:80'], egress: {default: deny, allow: [{cidr: 10.0.0.0/8}]}");
    // Each sendto(2) is a message to the kernel's netlink.
    for step in (1..150).step_by(3) {
        let inject = format!("inject=sendto:signal=KILL:when={step}");
        let call = host.run(&profile, &["true"]);
        let [nsenter, place] = town.words(Place::Host);
        let through = [
            nsenter.as_str(),
            &place,
            "strace",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=sendto",
            "-e",
            &inject,
        ];
        let output = call.through(through).output();
        host.nucleus("gc").output().assert_success();
        assert_eq!(town.traces(), before, "killed at message {step}");
        if output.code() == Some(0) {
            assert!(step > 30, "the start sends more than {step} messages");
            return;
        }
    }
    panic!("the start never came to its end");
}

/// Somebody flushes all rules, or removes the bridge: the next start on the network puts them back for all.
#[test]
fn what_others_flush_is_put_back_by_the_next_start() {
    let host = Host::enter();
    let town = Town::build();
    let _server = town.serve(Place::Lan);
    let denied = bridged(&host, "egress: {default: deny}");
    let guest = Guest::idle(&host, &town, &denied);
    let reached = || {
        let words = ["/usr/bin/python3", "-c", nucleus_tests::town::REACH, "tcp 192.0.2.2 7000"];
        host.nucleus("exec").arg(&guest.id).args(words).output().assert_success().text().to_owned()
    };
    let rules = || {
        let text = town.shell(Place::Host, "nft -s list ruleset");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let whole = rules();
    for harm in [
        "nft flush ruleset",
        "nft flush chain inet $(nft list tables | awk '/inet/ {print $3}') judge",
        "nft delete table netdev $(nft list tables | awk '/netdev/ {print $3}')",
        "nft insert rule inet $(nft list tables | awk '/inet/ {print $3}') judge accept",
        "for each in $(nft list tables | awk '/inet/ {print $3}'); do nft flush map inet $each egress4; done",
    ] {
        town.shell(Place::Host, harm);
        assert_ne!(rules(), whole, "{harm}");
        town.nucleus(host.run(&denied, &["true"])).output().assert_success();
        assert_eq!(rules(), whole, "{harm}");
        assert_eq!(reached(), "tcp 192.0.2.2 7000: refused", "{harm}");
    }
    town.shell(Place::Host, "ip link delete $(ip -o link | grep -o 'nu-[0-9a-f]*' | head -1)");
    let allowed = bridged(&host, "");
    town.nucleus(host.run(&allowed, &["true"])).output().assert_success();
    assert_eq!(reached(), "tcp 192.0.2.2 7000: refused");
}

/// Somebody removes a container's directory by hand: `gc` finds its place, its device and its rules by the network's file.
#[test]
fn a_place_without_a_container_is_given_back() {
    let host = Host::enter();
    let town = Town::build();
    let before = town.traces();
    let mut guest =
        Guest::idle(&host, &town, &bridged(&host, "publish: ['8080:80'], egress: {default: deny}"));
    kill_process(guest.nucleus(), Signal::KILL).unwrap();
    guest.forget();
    let first =
        host.nucleus("state").arg(&guest.id).output().assert_success().json()["pid"].as_i64().unwrap();
    kill_process(rustix::process::Pid::from_raw(first.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    std::fs::remove_dir_all(host.root().join(&guest.id)).unwrap();
    host.nucleus("gc").output().assert_success();
    assert_eq!(town.traces(), before);
    assert!(!host.root().join(".networks").exists());
    // What else was the container's nobody knows any more.
    let groups = format!("rmdir /sys/fs/cgroup/*/nucleus/{}.* 2>/dev/null; true", guest.id);
    std::process::Command::new("sh").args(["-c", &groups]).status().unwrap();
}

/// Rules of others are never touched.
#[test]
fn rules_of_others_stay_as_they_are() {
    let host = Host::enter();
    let town = Town::build();
    let script =
        "nft add table inet nucleus; nft add chain inet nucleus x; nft add rule inet nucleus x counter;
        nft add table ip filter; nft add chain ip filter FORWARD '{ type filter hook forward priority 0; }'";
    town.shell(Place::Host, script);
    let before = town.traces();
    town.nucleus(host.run(bridged(&host, "egress: {default: deny}"), &["true"])).output().assert_success();
    assert_eq!(town.traces(), before);
}
