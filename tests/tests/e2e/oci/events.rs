//! `events`: statistics, and the out-of-memory killer.

use nucleus_tests::{Bundle, Container, Host, Output};
use serde_json::{Value, json};

fn lines(output: &Output) -> Vec<Value> {
    output.text().lines().map(|line| serde_json::from_str(line).expect("each line is a document")).collect()
}

#[test]
fn statistics_are_printed_once_in_runcs_shape() {
    let host = Host::enter();
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000";
    let bundle = Bundle::shell(&host, "busy", script).set("/linux/resources/memory/limit", 64 << 20).write();
    let container = Container::create(&host, &bundle);
    container.start();
    container.wait_for("running");
    let output = host.nucleus("events").args(["--stats", &container.id]).output().assert_success();
    let [event] = &lines(&output)[..] else { panic!("one line: {output}") };
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(container.id)));
    let data = &event["data"];
    for counter in ["/cpu/usage/total", "/memory/usage/usage", "/pids/current"] {
        assert!(
            data.pointer(counter).and_then(Value::as_u64).is_some_and(|count| count > 0),
            "{counter}: {data}"
        );
    }
    assert_eq!(data["memory"]["usage"]["limit"], json!(64 << 20), "{data}");
    assert!(data["memory"]["raw"].as_object().is_some_and(|raw| !raw.is_empty()), "{data}");
    for part in ["blkio", "hugetlb", "intel_rdt"] {
        assert!(data[part].is_object(), "{part}: {data}");
    }
    assert!(data.as_object().expect("an object").contains_key("network_interfaces"), "{data}");
    container.delete_by_force();
}

#[test]
fn statistics_come_at_each_interval_until_the_container_ends() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "sleeper", &["sleep", "1000"]).write());
    container.start();
    container.wait_for("running");
    let file = host.path("events");
    let events = host.nucleus("events").args(["--interval", "20ms", &container.id]).output_to(&file).spawn();
    let printed = || std::fs::read_to_string(&file).unwrap_or_default();
    host.wait_until("five statistics", || printed().lines().count() >= 5);
    container.kill("KILL").assert_success();
    events.wait().assert_success();
    for line in printed().lines() {
        let event: Value = serde_json::from_str(line).expect("each line is a document");
        assert_eq!(event["type"], json!("stats"), "{line}");
    }
    container.wait_for("stopped");
    let over = container.verb("events").output().assert_code(1);
    assert!(over.stderr.contains("container not running"), "{over}");
    container.delete();
}

#[test]
fn the_out_of_memory_killer_is_told_of() {
    let host = Host::enter();
    let files = crate::open_directory(&host, "files");
    // The victim is a child of the first process, which lives on.
    let script =
        "until test -e /files/go; do sleep 0.02; done; tail /dev/zero; touch /files/killed; sleep 1000";
    let bundle = Bundle::shell(&host, "greedy", script)
        .bind(&files, "/files")
        .set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}))
        .write();
    let container = Container::create(&host, &bundle);
    container.start();
    container.wait_for("running");
    let file = host.path("events");
    let events = host.nucleus("events").args(["--interval", "1h", &container.id]).output_to(&file).spawn();
    // The watch must stand before the killer strikes; what it waits on is its only poll(2).
    host.wait_until("the watch sleeps", || events.sleeps_in("poll"));
    std::fs::write(files.join("go"), "").expect("give the word");
    host.wait_for_file(&files.join("killed"));
    let printed = || std::fs::read_to_string(&file).unwrap_or_default();
    host.wait_until("the event", || !printed().is_empty());
    assert_eq!(printed(), format!("{}\n", json!({"type": "oom", "id": container.id})));
    container.kill("KILL").assert_success();
    events.wait().assert_success();
    container.wait_for("stopped");
    container.delete();
}

#[test]
fn a_container_that_the_killer_ends_is_told_of_before_the_end() {
    let host = Host::enter();
    let files = crate::open_directory(&host, "files");
    let script = "until test -e /files/go; do sleep 0.02; done; exec tail /dev/zero";
    let bundle = Bundle::shell(&host, "greedy", script)
        .bind(&files, "/files")
        .set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}))
        .write();
    let container = Container::create(&host, &bundle);
    container.start();
    container.wait_for("running");
    let events = host.nucleus("events").args(["--interval", "1h", &container.id]).spawn();
    host.wait_until("the watch sleeps", || events.sleeps_in("poll"));
    std::fs::write(files.join("go"), "").expect("give the word");
    let output = events.wait().assert_success();
    assert_eq!(lines(&output), [json!({"type": "oom", "id": container.id})]);
    container.wait_for("stopped");
    container.delete();
}

#[test]
fn a_reader_that_has_gone_ends_it() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "sleeper", &["sleep", "1000"]).write());
    container.start();
    container.wait_for("running");
    let words = host.nucleus("events").args(["--interval", "20ms", &container.id]).words();
    let script = r#""$@" | head -n 1; echo "${PIPESTATUS[0]}""#;
    let output = std::process::Command::new("bash").args(["-c", script, "bash"]).args(words).output();
    let text = String::from_utf8(output.expect("bash runs").stdout).expect("it is text");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.ends_with("}\n0\n"), "{text}");
    container.delete_by_force();
}

#[test]
fn a_wrong_interval_is_refused() {
    let host = Host::enter();
    for interval in ["0s", "-1s", "soon"] {
        let output = host.nucleus("events").arg(format!("--interval={interval}")).arg("web").output();
        assert!(output.assert_code(1).stderr.contains("interval"));
    }
}
