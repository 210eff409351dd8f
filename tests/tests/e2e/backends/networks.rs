//! Networks that a backend cannot join: that is known before the start. What it is held to in one that it joins is tried in
//! `network::backends`.

use std::fs;

use super::{Backend, Subject};

const BRIDGE: &str = "mode: bridge, name: town, subnets: [10.88.0.0/24]";

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
