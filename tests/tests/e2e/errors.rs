//! What nucleus says when it cannot.

use nucleus_tests::Host;
use serde_json::Value;

use crate::DEV;

/// Runs with a profile text of its own and returns what was said.
fn refusal(host: &Host, text: &str) -> String {
    let profile = host.file("wrong.yaml", text);
    let output = host.shell(profile, "true").output().assert_code(125);
    assert_eq!(output.text(), "", "stdout carries data only");
    output.stderr
}

#[test]
fn a_wrong_profile_is_shown_with_its_place() {
    let host = Host::enter();
    for (text, place, word) in [
        ("apiVersion: nucleus/v1\nresources:\n  memry: 64M\n", "wrong.yaml:3:3", "memory"),
        ("apiVersion: nucleus/v1\nresources:\n  memory: [1]\n", "wrong.yaml:3:11", "memory"),
        ("apiVersion: nucleus/v1\nname: a\nname: b\n", "wrong.yaml:3:1", "name"),
        ("apiVersion: nucleus/v1\nextends: nowhere.yaml\n", "wrong.yaml:2:10", "nowhere.yaml"),
        ("apiVersion: nucleus/v1\nextends: wrong.yaml\n", "wrong.yaml:2:10", "wrong.yaml"),
        ("apiVersion: nucleus/v1\nresources:\n\tpids: 5\n", "wrong.yaml:3", "tab"),
        ("", "wrong.yaml", "empty"),
    ] {
        let said = refusal(&host, text);
        assert!(said.contains(place), "`{place}` for {text:?}:\n{said}");
        assert!(said.contains(word), "`{word}` for {text:?}:\n{said}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let host = Host::enter();
    let said = refusal(
        &host,
        "apiVersion: nucleus/v1\nenforcment: strict\nresources:\n  pids: many\nsecurity:\n  seccomp: 5\n",
    );
    for place in ["wrong.yaml:2:1", "wrong.yaml:4:9", "wrong.yaml:6:12"] {
        assert!(said.contains(place), "`{place}`:\n{said}");
    }
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let host = Host::enter();
    let profile = host.file("binary.yaml", b"apiVersion: nucleus/v1\nname: \xff\xfe\n");
    host.shell(profile, "true").output().assert_refused(&["binary.yaml", "UTF-8"]);
    let profile = host.file("huge.yaml", vec![b'#'; 10 << 20]);
    host.shell(profile, "true").output().assert_refused(&["huge.yaml"]);
}

#[test]
fn errors_are_json_when_asked_for() {
    let host = Host::enter();
    let cases: [(&[&str], &str); 3] = [
        (&["--backend", "no-such-backend"], "backend-not-found"),
        (&["--volume", "/no/such/source:/x:ro"], ""),
        (&["--no-such-flag"], "invalid-argument"),
    ];
    for (options, code) in cases {
        let call = host.shell(DEV, "true").global("--error-format").global("json").args(options);
        let output = call.output().assert_code(125);
        let error: Value = serde_json::from_str(&output.stderr).unwrap_or_else(|e| panic!("{e}\n{output}"));
        let error = error.get("error").unwrap_or(&error);
        assert!(error["step"].is_string(), "{output}");
        assert!(code.is_empty() || error["code"] == code, "{output}");
    }
    let call = host.run(DEV, &["/no/such/program"]).global("--error-format").global("json");
    let output = call.output().assert_code(127);
    assert!(output.stderr.contains("command-not-found"), "{output}");
}

#[test]
fn an_error_says_what_on_what_why_and_what_to_do() {
    let host = Host::enter();
    let call = host.shell(DEV, "true").args(["--backend", "native-namespce"]);
    let output = call.output().assert_refused(&["native-namespce", "native-namespace"]);
    assert!(!output.stderr.contains("os error"), "{output}");
}

#[test]
fn the_same_id_twice_is_refused() {
    let host = Host::enter();
    let shared = crate::open_directory(&host, "shared");
    let id = host.fresh_id();
    let call = |script: &str| {
        let call = host.nucleus("run").profile(DEV).args(["--id", &id, "--no-tty"]);
        call.args(["--volume", &crate::writable(&shared, "/shared")]).command(["/bin/sh", "-c", script])
    };
    let mut first = call(": > /shared/ready; read line").stdin_open().spawn();
    first.wait_for_file(&shared.join("ready"));
    call("true").output().assert_refused(&[&id]);
    drop(first.stdin());
    first.wait();
    call("true").output().assert_success();
}

#[test]
fn an_id_that_is_a_path_is_refused() {
    let host = Host::enter();
    for id in ["../x", "a/b", "", ".", "..", "a b", "a\nb", &"x".repeat(2000)] {
        let output =
            host.nucleus("run").profile(DEV).arg(format!("--id={id}")).command(["/bin/true"]).output();
        assert_eq!(output.code(), Some(125), "id {id:?}\n{output}");
    }
}

#[test]
fn what_cannot_be_enforced_is_refused_or_warned_about() {
    let host = Host::enter();
    // No host has this block device, so that nobody can limit its speed.
    let limit = "resources: {io: {readBps: {/dev/no-such-disk: 1M}}}";
    let strict = host.profile(DEV, limit);
    host.shell(strict, "true").output().assert_refused(&["/dev/no-such-disk"]);
}
