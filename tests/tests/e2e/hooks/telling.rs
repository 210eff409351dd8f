//! What a hook hears, and what its answer does.

use nucleus_tests::Host;

use super::{Probe, points, requests};

#[test]
fn a_hook_hears_of_the_whole_life_in_order() {
    let host = Host::enter();
    let (probe, log) = Probe::recorder(&host);
    let profile = probe.profile(", options: {colour: blue}, environment: [TOLD]");
    host.shell(profile, "exit 3").env("TOLD", "yes").env("UNTOLD", "no").output().assert_code(3);
    assert_eq!(points(&log), ["created", "started", "stopped", "deleted"]);
    let heard = requests(&log);
    assert_eq!(heard[0]["options"]["colour"], "blue");
    assert_eq!(heard[0]["environment"], serde_json::json!({"TOLD": "yes"}));
    assert!(heard[0]["container"]["pid"].as_u64().is_some_and(|pid| pid > 1));
    assert_eq!(heard[2]["container"]["exit"]["exited"]["code"], 3);
    assert!(heard.iter().all(|request| request["id"] == heard[0]["id"]));
    host.assert_no_leak();
}

#[test]
fn only_the_events_that_are_named_are_told() {
    let host = Host::enter();
    let (probe, log) = Probe::recorder(&host);
    host.shell(probe.profile(", events: [stopped]"), "true").output().assert_success();
    assert_eq!(points(&log), ["stopped"]);
}

#[test]
fn the_workload_does_not_run_before_its_hooks_have_heard_of_it() {
    let host = Host::enter();
    let shared = crate::open_directory(&host, "shared");
    let witness = shared.join("ran");
    let body = format!(
        "time.sleep(0.3)\nif point == 'created' and os.path.exists({:?}): reply = {{'veto': 'too late'}}",
        witness.display().to_string()
    );
    let probe = Probe::new(&host, &body);
    let run = host.shell(probe.profile(", events: [created]"), "touch /s/ran");
    run.arg("--volume").arg(crate::writable(&shared, "/s")).output().assert_success();
    assert!(witness.exists());
}

#[test]
fn a_veto_at_created_keeps_the_workload_from_running() {
    let host = Host::enter();
    let probe = Probe::new(&host, "if point == 'created': reply = {'veto': 'not on a Sunday'}");
    // A veto is a decision and no failure.
    let output = host.shell(probe.profile(", onFailure: warn"), "echo ran").output();
    let output = output.assert_refused(&["hook `probe`", "created", "not on a Sunday"]);
    assert_eq!(output.text(), "");
    host.assert_no_leak();
}

#[test]
fn a_veto_at_started_ends_the_workload() {
    let host = Host::enter();
    let probe = Probe::new(&host, "if point == 'started': reply = {'veto': 'no more'}");
    host.shell(probe.profile(""), "sleep 600").output().assert_refused(&[
        "hook `probe`",
        "started",
        "no more",
    ]);
    host.assert_no_leak();
}

#[test]
fn a_veto_after_the_end_is_a_warning() {
    let host = Host::enter();
    let probe = Probe::new(&host, "reply = {'veto': 'never'}");
    let output = host.shell(probe.profile(", events: [stopped, deleted]"), "exit 5").output().assert_code(5);
    assert!(output.stderr.matches("it refuses: never").count() == 2, "{output}");
}

#[test]
fn hooks_are_called_as_they_are_written() {
    let host = Host::enter();
    let log = host.path("log");
    let body = format!("open({:?}, 'a').write(options['name'])", log.display().to_string());
    let probe = Probe::new(&host, &body);
    let entry = |name: &str| format!("options: {{name: {name}}}, events: [created]");
    let more =
        format!(", {}}}, {{plugin: probe, {}}}, {{plugin: probe, {}", entry("c"), entry("a"), entry("b"));
    host.shell(probe.profile(&more), "true").output().assert_success();
    assert_eq!(std::fs::read_to_string(log).unwrap(), "cab");
}

#[test]
fn what_kills_nucleus_is_told_by_whoever_removes_the_rest() {
    let host = Host::enter();
    let (probe, log) = Probe::recorder(&host);
    let running = host.shell(probe.profile(""), "sleep 600").spawn();
    host.wait_until("it runs", || points(&log).len() == 2);
    running.signal(rustix::process::Signal::KILL);
    running.wait();
    host.nucleus("gc").output().assert_success();
    assert_eq!(points(&log), ["created", "started", "stopped", "deleted"]);
    host.assert_no_leak();
}
