//! `pause` and `resume`.

use std::fs;
use std::path::Path;

use nucleus_tests::{Bundle, Container, Host};

use super::Operated;

/// Counts in a file as fast as it can.
const COUNTER: &str = "i=0; while :; do i=$((i+1)); echo $i > /files/next; mv /files/next /files/count; done";

fn count(files: &Path) -> u64 {
    fs::read_to_string(files.join("count")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Waits until the counter has gone on.
fn goes_on(host: &Host, files: &Path) {
    let before = count(files);
    host.wait_until("the counter goes on", || count(files) > before);
}

fn counting<'a>(host: &'a Host, files: &Path) -> Container<'a> {
    let bundle = Bundle::shell(host, "counter", COUNTER).bind(files, "/files").write();
    let container = Container::create(host, &bundle);
    container.start();
    goes_on(host, files);
    container
}

#[test]
fn a_paused_container_stands_still_and_goes_on() {
    let host = Host::enter();
    let files = crate::open_directory(&host, "files");
    let container = counting(&host, &files);
    container.verb("pause").output().assert_success();
    assert_eq!(container.status(), "paused");
    let before = count(&files);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(count(&files), before);
    let again = container.verb("pause").output().assert_code(1);
    assert!(again.stderr.contains("container not running"), "{again}");
    container.verb("resume").output().assert_success();
    assert_eq!(container.status(), "running");
    goes_on(&host, &files);
    let again = container.verb("resume").output().assert_code(1);
    assert!(again.stderr.contains("container not paused"), "{again}");
    container.delete_by_force();
}

#[test]
fn a_paused_container_takes_no_process_and_can_be_killed() {
    let host = Host::enter();
    let files = crate::open_directory(&host, "files");
    let container = counting(&host, &files);
    container.verb("pause").output().assert_success();
    let exec = container.verb("exec").arg("true").output().assert_code(125);
    assert!(exec.stderr.contains("cannot exec in a paused container"), "{exec}");
    container.kill("KILL").assert_success();
    container.wait_for("stopped");
    container.delete();
}

#[test]
fn a_paused_container_can_be_removed_by_force() {
    let host = Host::enter();
    let files = crate::open_directory(&host, "files");
    let container = counting(&host, &files);
    container.verb("pause").output().assert_success();
    container.delete_by_force();
}

#[test]
fn a_process_that_ignores_the_pause_runs_after_it() {
    let host = Host::enter();
    let files = crate::open_directory(&host, "files");
    let container = counting(&host, &files);
    container.verb("pause").output().assert_success();
    let exec = host.nucleus("exec").args(["--ignore-paused", &container.id, "touch", "/files/done"]).spawn();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!files.join("done").exists());
    container.verb("resume").output().assert_success();
    exec.wait().assert_success();
    assert!(files.join("done").exists());
    container.delete_by_force();
}

#[test]
fn only_what_has_not_ended_can_be_paused() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "short", &["true"]).write());
    container.verb("pause").output().assert_success();
    assert_eq!(container.status(), "paused");
    container.verb("resume").output().assert_success();
    assert_eq!(container.status(), "created");
    container.start();
    container.wait_for("stopped");
    let paused = container.verb("pause").output().assert_code(1);
    assert!(paused.stderr.contains("container not running"), "{paused}");
    let resumed = container.verb("resume").output().assert_code(1);
    assert!(resumed.stderr.contains("container not paused"), "{resumed}");
    container.delete();
}

#[test]
fn an_operators_container_is_paused_too() {
    let host = Host::enter();
    let Operated { id, running, files } = Operated::run(&host, COUNTER, "count");
    host.nucleus("pause").arg(&id).output().assert_success();
    let before = count(&files);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(count(&files), before);
    host.nucleus("resume").arg(&id).output().assert_success();
    goes_on(&host, &files);
    host.nucleus("kill").args([&id, "KILL"]).output().assert_success();
    running.wait().assert_code(137);
}
