//! Hooks before the plan: they refuse, and change what the profile grants them.

use nucleus_tests::{Host, Output};

use super::Probe;

const MEMORY: &str = "reply = {'patches': [{'op': 'add', 'path': '/resources/memory', 'value': '64M'}]}";

fn run(host: &Host, body: &str, more: &str) -> Output {
    let probe = Probe::new(host, body);
    host.shell(probe.profile(&format!(", events: [plan]{more}")), "echo ran").output()
}

#[test]
fn a_granted_change_is_in_force_and_explain_names_its_author() {
    let host = Host::enter();
    let probe = Probe::new(
        &host,
        "reply = {'patches': [{'op': 'add', 'path': '/workload/env/LEVEL', 'value': 'high'}]}",
    );
    let profile = probe.profile(", grants: [workload.env]");
    // The life's events come to it too, and take no patches.
    let output = host.shell(&profile, "echo $LEVEL").output();
    assert_eq!(output.assert_code(0).text(), "high");
    let explain = |more: &[&str]| {
        host.nucleus("explain").profile(&profile).args(more).command(["true"]).output().assert_success()
    };
    assert!(explain(&["--hooks"]).text().contains("plugin probe"));
    assert!(!explain(&[]).text().contains("plugin probe"), "unasked, no hook is started");
}

#[test]
fn a_change_that_is_not_granted_is_refused_with_the_remedy() {
    let host = Host::enter();
    let output = run(&host, MEMORY, ", grants: [workload.env]");
    output.assert_refused(&["hook `probe`", "does not grant it `resources.memory`", "hooks[0].grants"]);
    host.assert_no_leak();
}

#[test]
fn under_warn_a_change_that_is_refused_is_left_out() {
    let host = Host::enter();
    let output = run(&host, MEMORY, ", grants: [workload.env], onFailure: warn").assert_code(0);
    assert_eq!(output.text(), "ran");
    assert!(output.stderr.contains("does not grant it"), "{output}");
}

#[test]
fn a_change_that_makes_no_profile_is_refused() {
    let host = Host::enter();
    let body = "reply = {'patches': [{'op': 'add', 'path': '/resources/memory', 'value': 'much'}]}";
    run(&host, body, ", grants: [resources.memory]").assert_refused(&["hook `probe`", "change the profile"]);
}

#[test]
fn the_mount_policy_holds_for_what_a_hook_mounts() {
    let host = Host::enter();
    let body = "reply = {'patches': [{'op': 'add', 'path': '/mounts/volumes', 'value': [{'source': '/etc/shadow', 'target': '/s'}]}]}";
    let probe = Probe::new(&host, body);
    let parent = host.profile(crate::DEV, "mounts: {policy: {deny: [/etc/shadow]}}");
    let profile = probe.under(&parent.display().to_string(), ", grants: [mounts.volumes]");
    host.shell(profile, "echo ran").output().assert_refused(&["/etc/shadow"]);
}

#[test]
fn a_veto_refuses_before_anything_is_made() {
    let host = Host::enter();
    run(&host, "reply = {'veto': 'not here'}", "").assert_refused(&["hook `probe`", "`plan`", "not here"]);
    host.assert_no_leak();
}

#[test]
fn a_dry_run_starts_no_hook() {
    let host = Host::enter();
    let probe = Probe::new(&host, "reply = {'veto': 'not here'}");
    let run = host.run(probe.profile(", events: [plan]"), &["true"]);
    run.arg("--dry-run").output().assert_success();
}
