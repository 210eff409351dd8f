//! What is `gvisor-runsc`'s own: its options, its known flaws, and what `explain` says of it.

use nucleus_tests::Host;

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
