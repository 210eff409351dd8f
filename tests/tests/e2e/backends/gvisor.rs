//! What is `gvisor-runsc`'s own: its options, its known flaws, and what `explain` says of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};

use nucleus_tests::{Bundle, Host};
use serde_json::json;

use crate::DEV;

const PROFILE: &str = "configs/gvisor.yaml";

fn with_options(host: &Host, options: &str) -> std::path::PathBuf {
    let backend = format!("backend: {{name: gvisor-runsc, options: {options}}}");
    host.profile(DEV, &format!("{backend}\nsecurity: {{landlock: off}}"))
}

#[test]
fn the_profile_of_the_configs_runs() {
    let host = Host::enter();
    let output = host.shell(PROFILE, "hostname; uname -r; exit 3").output().assert_code(3);
    assert_eq!(output.text(), "dev\n4.4.0");
}

/// A network namespace that somebody has prepared.
struct Prepared(Child);

impl Prepared {
    fn make(host: &Host) -> Self {
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let made = Self(Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap());
        host.wait_until("a network namespace", || fs::read_link(made.path()).is_ok_and(|found| found != own));
        made
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Debian's releases refuse their own stack on kernels since 6.11: that is known before the start, and the way out is named.
#[test]
fn a_network_that_runsc_would_refuse_is_refused_before_the_start() {
    let host = Host::enter();
    let prepared = Prepared::make(&host);
    let profile = |stack: &str| {
        let accepted = "CVE-2023-7258, CVE-2025-2713, CVE-2024-10026, CVE-2024-10603";
        let options = format!("{{platform: ptrace, networkStack: {stack}, acceptAdvisories: [{accepted}]}}");
        let network = format!("namespaces: {{network: {{path: {}}}}}", prepared.path());
        let backend = format!("backend: {{name: gvisor-runsc, options: {options}}}");
        host.profile("configs/base.yaml", &format!("{backend}\nsecurity: {{landlock: off}}\n{network}"))
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let kernel: Vec<u32> = kernel.split(['.', '-']).take(2).map(|number| number.parse().unwrap()).collect();
    let explain = host.nucleus("explain").profile(profile("sandbox")).args(["--format", "json"]);
    let explained = explain.command(["true"]).output();
    let words = ["google/gvisor#10704", "networkStack: host"];
    assert_eq!(words.map(|word| explained.text().contains(word)), [kernel >= vec![6, 11]; 2], "{explained}");
    let output = host.shell(profile("host"), "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '").output();
    assert_eq!(output.assert_success().text(), "lo");
}

#[test]
fn a_container_of_a_pod_is_refused() {
    let host = Host::enter();
    let bundle = Bundle::shell(&host, "bundle", "true");
    let bundle = bundle.set("/annotations", json!({"io.kubernetes.cri.container-type": "container"})).write();
    let run = host.nucleus("run").profile(PROFILE).arg("--bundle").arg(bundle.path()).arg(host.fresh_id());
    run.output().assert_refused(&["io.kubernetes.cri.container-type", "a sandbox of its own"]);
}

/// What runsc found out on this host is remembered for nucleus alone.
#[test]
fn what_was_found_out_is_readable_by_its_owner_alone() {
    let host = Host::enter();
    host.shell(PROFILE, "true").output().assert_success();
    let memory = host.root().join(".memory");
    for (path, mode) in [(memory.join("gvisor-runsc.json"), 0o600), (memory, 0o700)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode, "{}", path.display());
    }
}

#[test]
fn a_known_flaw_refuses_the_start_unless_it_is_accepted_by_name() {
    let host = Host::enter();
    let accepted =
        |names: &str| with_options(&host, &format!("{{platform: ptrace, acceptAdvisories: [{names}]}}"));
    let refused = host.shell(accepted(""), "true").output();
    refused.assert_refused(&["CVE-2025-2713", "CVE-2023-7258", "acceptAdvisories"]);
    let one = host.shell(accepted("CVE-2023-7258"), "true").output();
    let output = one.assert_refused(&["CVE-2025-2713"]);
    assert!(!output.stderr.contains("CVE-2023-7258:"), "{output}");
    host.shell(accepted("CVE-2023-7258, CVE-2025-2713"), "true").output().assert_success();
}

#[test]
fn a_permissive_profile_is_warned_of_the_flaw_and_runs() {
    let host = Host::enter();
    let backend = "backend: {name: gvisor-runsc, options: {platform: ptrace}}";
    let more = format!("{backend}\nenforcement: permissive\nsecurity: {{landlock: off}}");
    let output = host.shell(host.profile(DEV, &more), "echo ran").output().assert_code(0);
    assert_eq!(output.text(), "ran");
    assert!(output.stderr.contains("CVE-2025-2713"), "{output}");
}
