//! create, start, state, kill, delete: a container's life, step by step.

use std::fs;

use nucleus_tests::{Bundle, Container, Host};
use serde_json::{Value, json};

use crate::open_directory;

/// A workload that says that it runs, and ends when it is told to.
const WAITING: &str = "trap 'exit 7' TERM; : > /shared/ready; while :; do sleep 0.02; done";

fn waiting(host: &Host) -> Bundle {
    let shared = open_directory(host, "shared");
    Bundle::shell(host, "bundle", WAITING)
        .bind(&shared, "/shared")
        .set("/annotations/org.example", "yes")
        .write()
}

/// A group is removed with all that is below it.
#[test]
fn no_container_comes_above_or_below_another() {
    let host = Host::enter();
    let sleeping = |name: &str, place: Value| {
        Bundle::new(&host, name, &["sleep", "60"]).set("/linux/cgroupsPath", place).write()
    };
    let first = Container::create(&host, &sleeping("first", Value::Null));
    first.start();
    for (name, place) in [("same", format!("/{}", first.id)), ("below", format!("{}/b", first.id))] {
        let refused = Container::fresh(&host).creating(&sleeping(name, json!(place))).output().assert_code(1);
        for word in ["linux.cgroupsPath", &first.id] {
            assert!(refused.stderr.contains(word), "{word}: {refused}");
        }
    }
    let beside = Container::create(&host, &sleeping("beside", Value::Null));
    beside.start();
    beside.delete_by_force();
    assert_eq!(first.status(), "running");
    let place = json!(first.id);
    first.delete_by_force();
    // Nobody is there any more.
    Container::create(&host, &sleeping("later", place)).delete();
    host.assert_no_leak();
}

/// Whoever starts a container may be killed before it has said so.
#[test]
fn what_is_executed_runs_whether_or_not_its_start_was_finished() {
    let host = Host::enter();
    let bundle = waiting(&host);
    let container = Container::create(&host, &bundle);
    let place = host.root().join(&container.id).join("backend");
    container.start();
    host.wait_for_file(&host.path("shared/ready"));
    fs::rename(place.join("started-gate"), place.join("start")).unwrap();
    assert_eq!(container.status(), "running");
    let again = container.verb("start").output().assert_code(1);
    assert!(again.stderr.contains("already running"), "{again}");
    container.delete_by_force();
    host.assert_no_leak();
}

#[test]
fn a_container_lives_step_by_step() {
    let host = Host::enter();
    let bundle = waiting(&host);
    let container = Container::create(&host, &bundle);
    let state = container.state();
    assert_eq!(state["ociVersion"], "1.2.0");
    assert_eq!((&state["id"], &state["status"]), (&json!(container.id), &json!("created")));
    assert_eq!(state["bundle"], json!(bundle.path()));
    assert_eq!(state["rootfs"], json!(bundle.rootfs()));
    assert_eq!(state["owner"], "root");
    assert_eq!(state["annotations"], json!({"org.example": "yes"}));
    assert!(!host.path("shared/ready").exists(), "nothing of the workload runs before the start");
    let pid = container.pid();
    assert!(
        fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap() != fs::read_link("/proc/self/ns/pid").unwrap()
    );

    container.start();
    container.wait_for("running");
    assert_eq!(container.pid(), pid, "the process that waited is the one that runs");
    while !host.path("shared/ready").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    container.kill("TERM").assert_success();
    container.wait_for("stopped");
    assert_eq!(container.pid(), 0);
    container.delete();
    host.assert_no_leak();
}

#[test]
fn what_the_state_does_not_allow_is_refused_and_changes_nothing() {
    let host = Host::enter();
    let bundle = waiting(&host);
    let container = Container::create(&host, &bundle);
    container.start();
    let refused = |verb: &str, words: &str| {
        let output = container.verb(verb).output().assert_code(1);
        assert!(output.stderr.contains(words), "{output}");
        assert_eq!(container.status(), "running");
    };
    refused("start", "already running");
    refused("delete", "--force");
    let again = container.creating(&bundle).output().assert_code(1);
    assert!(again.stderr.contains("a container with this id exists"), "{again}");
    container.kill("KILL").assert_success();
    container.wait_for("stopped");
    for verb in ["start", "kill"] {
        let output = container.verb(verb).output().assert_code(1);
        let words = if verb == "kill" { "container not running" } else { "has stopped" };
        assert!(output.stderr.contains(words), "{output}");
    }
    container.delete();
}

#[test]
fn what_does_not_exist_is_said_to_every_verb_and_forced_away_without_a_word() {
    let host = Host::enter();
    for verb in ["state", "start", "kill", "delete"] {
        let output = host.nucleus(verb).arg(host.fresh_id()).output().assert_code(1);
        assert!(output.stderr.contains("container does not exist"), "{output}");
    }
    host.nucleus("delete").args(["--force", &host.fresh_id()]).output().assert_success();
}

#[test]
fn a_container_that_was_never_started_can_be_deleted() {
    let host = Host::enter();
    let bundle = waiting(&host);
    Container::create(&host, &bundle).delete();
    Container::create(&host, &bundle).delete_by_force();
    assert!(!host.path("shared/ready").exists());
}

#[test]
fn force_kills_what_runs() {
    let host = Host::enter();
    let container = Container::create(&host, &waiting(&host));
    container.start();
    container.delete_by_force();
    host.assert_no_leak();
}
