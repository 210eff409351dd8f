//! `update`: other limits for a container that runs.

use std::fs;

use nucleus_tests::{Bundle, Container, Host};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

fn sleeper(host: &Host) -> Container<'_> {
    let bundle = Bundle::new(host, "sleeper", &["sleep", "1000"])
        .set("/linux/resources/memory/limit", 64 * MIB)
        .set("/linux/resources/pids/limit", 50)
        .write();
    let container = Container::create(host, &bundle);
    container.start();
    container.wait_for("running");
    container
}

/// What the container uses, and its limits.
fn stats(host: &Host, container: &Container<'_>) -> Value {
    host.nucleus("events").args(["--stats", &container.id]).output().assert_success().json()["data"].take()
}

/// The stored limits.
fn stored(host: &Host, container: &Container<'_>) -> Value {
    let path = host.root().join(&container.id).join("bundle/config.json");
    let config: Value = serde_json::from_slice(&fs::read(path).expect("read it")).expect("it is JSON");
    config["linux"]["resources"].clone()
}

#[test]
fn single_limits_hold_and_are_stored() {
    let host = Host::enter();
    let container = sleeper(&host);
    assert_eq!(stats(&host, &container)["memory"]["usage"]["limit"], json!(64 * MIB));
    let options = ["--memory", "80m", "--pids-limit", "3", "--cpu-share", "512"];
    host.nucleus("update").args(options).arg(&container.id).output().assert_success();
    let now = stats(&host, &container);
    assert_eq!(now["memory"]["usage"]["limit"], json!(80 * MIB), "{now}");
    assert_eq!(now["pids"]["limit"], json!(3), "{now}");
    let stored = stored(&host, &container);
    assert_eq!(stored["memory"]["limit"], json!(80 * MIB), "{stored}");
    assert_eq!(stored["pids"]["limit"], json!(3), "{stored}");
    assert_eq!(stored["cpu"]["shares"], json!(512), "{stored}");
    // From inside: the shell can't have three children beside itself.
    let forks = ["/bin/sh", "-c", "sleep 1 & sleep 1 & sleep 1 & wait"];
    let refused = container.verb("exec").args(forks).output();
    assert!(refused.stderr.contains("fork") || !refused.status.success(), "{refused}");
    container.delete_by_force();
}

#[test]
fn a_document_changes_what_it_names_alone() {
    let host = Host::enter();
    let container = sleeper(&host);
    let document = json!({"memory": {"limit": 96 * MIB, "kernel": 1000}, "pids": null}).to_string();
    let update = host.nucleus("update").args(["--resources", "-", &container.id]).stdin(document).output();
    let update = update.assert_code(0);
    assert!(update.stderr.contains("kernel's own memory"), "{update}");
    let now = stats(&host, &container);
    assert_eq!(now["memory"]["usage"]["limit"], json!(96 * MIB), "{now}");
    assert_eq!(now["pids"]["limit"], json!(50), "{now}");
    let file = host.file("resources.json", json!({"pids": {"limit": 7}}).to_string());
    host.nucleus("update").arg("-r").arg(file).arg(&container.id).output().assert_success();
    assert_eq!(stats(&host, &container)["pids"]["limit"], json!(7));
    assert_eq!(stored(&host, &container)["memory"]["limit"], json!(96 * MIB));
    container.delete_by_force();
}

#[test]
fn a_mistake_is_named_and_changes_nothing() {
    let host = Host::enter();
    let container = sleeper(&host);
    let before = stored(&host, &container);
    let file = host.file("resources.json", "[]");
    let file = file.to_str().expect("a plain path");
    for (options, word) in [
        (&["--memory", "much"][..], "--memory"),
        (&["--cpu-share", "-5"], "--cpu-share"),
        (&["--resources", file], "resources.json"),
        (&["--resources", "/nowhere"], "/nowhere"),
        (&["--l3-cache-schema", "L3:0=f"], "linux.intelRdt"),
        (&["--resources", file, "--memory", "1g"], "--resources"),
    ] {
        let output = host.nucleus("update").args(options).arg(&container.id).output().assert_code(1);
        assert!(output.stderr.contains(word), "{output}");
    }
    assert_eq!(stored(&host, &container), before);
    container.delete_by_force();
}

#[test]
fn a_container_that_has_ended_has_no_limits_to_change() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "short", &["true"]).write());
    container.start();
    container.wait_for("stopped");
    let output = host.nucleus("update").args(["--memory", "80m", &container.id]).output().assert_code(1);
    assert!(output.stderr.contains("container not running"), "{output}");
    container.delete();
}

#[test]
fn of_updates_at_the_same_time_none_is_lost() {
    let host = Host::enter();
    let container = sleeper(&host);
    let update = |option: &str, value: u64| {
        host.nucleus("update")
            .arg(option)
            .arg(value.to_string())
            .arg(&container.id)
            .output()
            .assert_success();
    };
    std::thread::scope(|scope| {
        scope.spawn(|| (1..=10).for_each(|turn| update("--memory", (64 + turn) * MIB)));
        scope.spawn(|| (1..=10).for_each(|turn| update("--pids-limit", 50 + turn)));
        scope.spawn(|| (1..=10).for_each(|turn| update("--cpu-share", 512 + turn)));
    });
    let stored = stored(&host, &container);
    assert_eq!(stored["memory"]["limit"], json!(74 * MIB), "{stored}");
    assert_eq!(stored["pids"]["limit"], json!(60), "{stored}");
    assert_eq!(stored["cpu"]["shares"], json!(522), "{stored}");
    container.delete_by_force();
}
