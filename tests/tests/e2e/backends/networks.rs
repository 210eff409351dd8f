//! Networks of nucleus under backends that join a namespace which the core has made: the policy is the host's, and holds whoever
//! runs the container.

use std::fs;

use nucleus_tests::town::{Place, reach};
use nucleus_tests::Town;

use super::{Backend, Subject};
use crate::{open_directory, writable};

const BRIDGE: &str = "mode: bridge, name: town, subnets: [10.88.0.0/24]";

/// What is allowed is reached, and nothing else.
fn policy(backend: Backend) {
    let subject = Subject::new(backend);
    let town = Town::build();
    let _servers = [Place::Host, Place::Lan, Place::Internet].map(|place| town.serve(place));
    let before = town.traces();
    let rules = "egress: {default: deny, allow: [{cidr: 192.0.2.2/32, ports: [7000/tcp]}]}";
    let profile = subject.profile(&format!("network: {{{BRIDGE}, {rules}}}"));
    let targets = [
        ("tcp 192.0.2.2 7000", "lan 192.0.2.1"),
        ("tcp 192.0.2.2 7001", "refused"),
        ("tcp 192.0.2.1 7000", "refused"),
        ("tcp 10.88.0.1 7000", "refused"),
        ("tcp 203.0.113.1 7000", "refused"),
    ];
    let found = reach(&subject.host, &town, &profile, &targets.map(|(target, _)| target));
    assert_eq!(found, targets.map(|(target, result)| format!("{target}: {result}")));
    assert_eq!(town.traces(), before, "{backend:?}");
}

/// A published port leads in, from the neighbourhood and from the host itself.
fn publish(backend: Backend) {
    let subject = Subject::new(backend);
    let town = Town::build();
    let before = town.traces();
    let network = format!("network: {{{BRIDGE}, publish: ['8080:80'], egress: {{default: deny}}}}");
    let ready = open_directory(&subject.host, "ready");
    let serve = "import socket
server = socket.socket()
server.bind(('0.0.0.0', 80)); server.listen()
open('/ready/now', 'w')
for _ in range(2):
    client, peer = server.accept(); client.sendall(b'from inside'); client.close()";
    let call = subject.host.nucleus("run").profile(subject.profile(&network));
    let call =
        call.args(["--id", &subject.host.fresh_id(), "--no-tty", "--volume", &writable(&ready, "/ready")]);
    let mut running = town.nucleus(call.command(["/usr/bin/python3", "-c", serve])).spawn();
    running.wait_for_file(&ready.join("now"));
    let client = "import socket; print(socket.create_connection(('192.0.2.1', 8080), 5).recv(100).decode())";
    for place in [Place::Lan, Place::Host] {
        assert_eq!(town.shell(place, &format!("python3 -c \"{client}\"")), "from inside", "{place:?}");
    }
    running.wait().assert_success();
    assert_eq!(town.traces(), before, "{backend:?}");
}

#[test]
fn crun_is_held_to_the_policy() {
    policy(Backend::Crun);
}

#[test]
fn runc_is_held_to_the_policy() {
    policy(Backend::Runc);
}

#[test]
fn runsc_with_the_hosts_stack_is_held_to_the_policy() {
    policy(Backend::Runsc);
}

#[test]
fn a_later_runsc_with_the_hosts_stack_is_held_to_the_policy() {
    policy(Backend::LaterRunsc);
}

#[test]
fn crun_serves_at_a_published_port() {
    publish(Backend::Crun);
}

#[test]
fn runc_serves_at_a_published_port() {
    publish(Backend::Runc);
}

#[test]
fn runsc_with_the_hosts_stack_serves_at_a_published_port() {
    publish(Backend::Runsc);
}

/// runc 1.1 fails, and crun 1.8 would show the host's `/sys`: it is known before.
#[test]
fn a_user_namespace_cannot_own_a_network_that_was_there_before() {
    for backend in [Backend::Crun, Backend::Runc] {
        let subject = Subject::new(backend);
        let map = "[{container: 0, host: 100000, size: 65536}]";
        let user = format!("namespaces: {{user: {{uidMap: {map}, gidMap: {map}}}}}");
        let output = subject.shell(&format!("network: {{{BRIDGE}}}\n{user}"), "true").output();
        output.assert_refused(&["network.mode", "network-attached", "namespaces.user"]);
    }
}

/// Without the word nobody falls into the host's stack.
#[test]
fn the_sandbox_stack_is_refused_before_the_start_where_this_kernel_has_none_for_it() {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let kernel: Vec<u32> = kernel.split(['.', '-']).take(2).map(|number| number.parse().unwrap()).collect();
    if kernel < vec![6, 11] {
        return nucleus_tests::skip("before Linux 6.11 these releases of runsc have their own stack");
    }
    let subject = Subject::new(Backend::Runsc);
    let yaml = subject.backend.yaml(&subject.host).replace("networkStack: host", "networkStack: sandbox");
    let more = format!("{yaml}\nsecurity: {{landlock: off}}\nnetwork: {{{BRIDGE}}}");
    let output = subject.host.shell(subject.host.profile(crate::DEV, &more), "true").output();
    output.assert_refused(&["network-attached", "google/gvisor#10704", "networkStack: host"]);
}
