//! The same tables on other backends: the core attaches the network before they are called.

use std::path::PathBuf;

use nucleus_tests::town::{Place, reach};
use nucleus_tests::{Host, Town};

use super::start::Guest;
use super::{SUBNETS, assert_table, from};
use crate::DEV;

/// A backend, and what its profile must say beside.
const BACKENDS: [(&str, &str); 3] = [
    ("crun", "{name: oci-runtime, options: {path: /usr/bin/crun}}"),
    ("runc", "{name: oci-runtime, options: {path: /usr/sbin/runc}}"),
    // Debian's release cannot have its own stack on kernels since 6.11; its flaws are accepted by name here.
    (
        "gVisor",
        "{name: gvisor-runsc, options: {networkStack: host, acceptAdvisories: \
         [CVE-2023-7258, CVE-2025-2713, CVE-2024-10026, CVE-2024-10603]}}",
    ),
];

fn profile(host: &Host, backend: &str, more: &str) -> PathBuf {
    let yaml = format!(
        "backend: {backend}\nsecurity: {{landlock: off}}\nnetwork: {{mode: bridge, name: town, {SUBNETS}, {more}}}"
    );
    host.profile(DEV, &yaml)
}

#[test]
fn a_policy_holds_whoever_runs_the_workload() {
    let rules = "egress: {default: deny, allow: [{cidr: 192.0.2.2, ports: [53/udp]}, {cidr: '2001:db8:1::2', ports: [7000]}]}";
    let table = [
        ("tcp 192.0.2.2 7000", "refused"),
        ("udp 192.0.2.2 53", "lan 192.0.2.1"),
        ("tcp 192.0.2.1 7000", "refused"),
        ("tcp 10.88.0.1 7000", "refused"),
        ("tcp 2001:db8:1::2 7000", "lan 2001:db8:1::1"),
        ("tcp 2001:db8:1::2 7001", "refused"),
    ];
    let targets = table.map(|(target, _)| target);
    for (name, backend) in BACKENDS {
        let host = Host::enter();
        let town = Town::build();
        let _servers = [Place::Host, Place::Lan].map(|place| town.serve(place));
        let before = town.traces();
        println!("{name}");
        assert_table(&reach(&host, &town, &profile(&host, backend, rules), &targets), &table);
        assert_eq!(town.traces(), before, "{name}");
    }
}

#[test]
fn ports_are_published_whoever_runs_the_workload() {
    for (name, backend) in BACKENDS {
        let host = Host::enter();
        let town = Town::build();
        let profile = profile(&host, backend, "publish: ['8000:7000']");
        let program =
            nucleus_tests::town::SERVE.replace("print('ready', flush=True)", "open('/ready/now', 'w')");
        let _guest =
            Guest::start_plain(&host, &town, &profile, &["/usr/bin/python3", "-c", &program, name, "7000"]);
        let found = from(&town, Place::Lan, &["tcp 192.0.2.1 8000"]);
        assert_table(&found, &[("tcp 192.0.2.1 8000", &format!("{name} 192.0.2.2"))]);
    }
}
