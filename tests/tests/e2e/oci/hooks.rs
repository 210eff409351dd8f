//! The hooks of `config.json`, through the verbs that engines call.

use std::fs;
use std::path::Path;

use nucleus_tests::{Bundle, Container, Host};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::open_directory;

const OF_THE_RUNTIME: [&str; 5] = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];

/// A hook that runs a script, with `$LOG` as a directory of the test's.
fn hook(log: &Path, script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": [format!("LOG={}", log.display()), "PATH=/usr/bin:/bin"]})
}

/// A waiting workload that shares a directory with the host.
fn bundle(host: &Host, log: &Path) -> Bundle {
    let name = format!("bundle-{}", log.file_name().unwrap().display());
    Bundle::shell(host, &name, "trap 'exit 7' TERM; while :; do sleep 0.02; done").bind(log, "/log")
}

fn read(log: &Path, name: &str) -> String {
    fs::read_to_string(log.join(name)).unwrap_or_default()
}

#[test]
fn hooks_follow_the_life_of_a_container() {
    let host = Host::enter();
    let log = open_directory(&host, "log");
    let mut bundle = bundle(&host, &log);
    for point in OF_THE_RUNTIME {
        let script = format!("cat >$LOG/{point}; echo {point} >>$LOG/order");
        bundle = bundle.push(&format!("/hooks/{point}"), hook(&log, &script));
    }
    let inside = json!({"path": "/bin/sh", "args": ["sh", "-c", "cat >/log/startContainer; echo startContainer >>/log/order"]});
    let bundle = bundle.push("/hooks/startContainer", inside).set("/annotations/key", "value").write();
    let container = Container::create(&host, &bundle);
    assert_eq!(read(&log, "order"), "prestart\ncreateRuntime\ncreateContainer\n");
    let state: Value = serde_json::from_str(&read(&log, "createRuntime")).unwrap();
    let told = json!({"ociVersion": "1.2.0", "id": container.id, "status": "creating", "pid": container.pid(),
        "bundle": bundle.path(), "annotations": {"key": "value"}});
    assert_eq!(state, told);
    container.start();
    assert_eq!(
        read(&log, "order"),
        "prestart\ncreateRuntime\ncreateContainer\nstartContainer\npoststart\n",
        "`start` returns after the poststart hooks"
    );
    container.delete_by_force();
    assert!(read(&log, "order").ends_with("poststart\npoststop\n"));
    host.assert_no_leak();
}

/// `created` lasts until the program is executed (runtime.md, "State").
#[test]
fn what_its_hooks_keep_from_its_program_does_not_run_yet() {
    let host = Host::enter();
    let log = open_directory(&host, "log");
    let waits = ": >/log/called; until test -e /log/go; do sleep 0.02; done";
    let inside = json!({"path": "/bin/sh", "args": ["sh", "-c", waits]});
    let container =
        Container::create(&host, &bundle(&host, &log).push("/hooks/startContainer", inside).write());
    let start = container.verb("start").spawn();
    host.wait_for_file(&log.join("called"));
    assert_eq!(container.status(), "created");
    fs::write(log.join("go"), "").unwrap();
    start.wait().assert_success();
    assert_eq!(container.status(), "running");
    container.delete_by_force();
}

#[test]
fn a_hook_that_fails_is_the_error_of_the_verb_and_nothing_stays() {
    let host = Host::enter();
    for point in ["prestart", "createRuntime", "createContainer"] {
        let log = open_directory(&host, point);
        let failing = hook(&log, "echo reason >&2; exit 3");
        let bundle = bundle(&host, &log)
            .push(&format!("/hooks/{point}"), failing)
            .push("/hooks/poststop", hook(&log, "touch $LOG/poststop; exit 4"))
            .write();
        let container = Container::fresh(&host);
        let output = container.creating(&bundle).output().assert_code(1);
        let words = format!("hooks.{point}[0]: /bin/sh: it left with status 3, and said: reason");
        assert!(output.stderr.contains(&words), "{output}");
        assert!(output.stderr.contains("warning: cannot run the poststop hook"), "{output}");
        assert!(log.join("poststop").exists(), "{point}");
        container.verb("state").output().assert_code(1);
    }
    host.assert_no_leak();
}

#[test]
fn a_hook_that_fails_at_the_start_stops_the_container() {
    let host = Host::enter();
    for point in ["startContainer", "poststart"] {
        let log = open_directory(&host, point);
        let failing = json!({"path": "/bin/sh", "args": ["sh", "-c", "echo reason >&2; exit 3"]});
        let bundle = bundle(&host, &log)
            .push(&format!("/hooks/{point}"), failing)
            .push("/hooks/poststop", hook(&log, "echo bye >&2; touch $LOG/poststop; exit 4"))
            .write();
        let container = Container::create(&host, &bundle);
        let output = container.verb("start").output().assert_code(1);
        assert!(output.stderr.contains(&format!("hooks.{point}[0]: /bin/sh")), "{output}");
        container.wait_for("stopped");
        assert!(!log.join("poststop").exists());
        let output = container.verb("delete").output().assert_code(0);
        assert!(
            output.stderr.contains("warning") && output.stderr.contains("status 4, and said: bye"),
            "{output}"
        );
        assert!(log.join("poststop").exists());
    }
    host.assert_no_leak();
}

#[test]
fn what_a_killed_create_leaves_is_removed_and_its_last_hooks_are_called() {
    let host = Host::enter();
    let log = open_directory(&host, "log");
    let waiting = hook(&log, "touch $LOG/hook; while [ ! -e $LOG/go ]; do sleep 0.02; done");
    let bundle = bundle(&host, &log)
        .push("/hooks/createRuntime", waiting)
        .push("/hooks/poststop", hook(&log, "touch $LOG/poststop"))
        .write();
    let container = Container::fresh(&host);
    let creating = container.creating(&bundle).spawn();
    host.wait_for_file(&log.join("hook"));
    creating.signal(Signal::KILL);
    assert_eq!(creating.wait().signal(), Some(9));
    // The hook is nobody's child now.
    fs::write(log.join("go"), "").unwrap();
    container.verb("delete").arg("--force").output().assert_success();
    assert!(log.join("poststop").exists());
    host.assert_no_leak();
}
