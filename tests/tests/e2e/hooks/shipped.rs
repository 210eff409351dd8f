//! The hooks that come with nucleus.

use std::os::unix::net::UnixDatagram;

use nucleus_tests::Host;
use serde_json::Value;

#[test]
fn the_audit_log_has_a_line_for_each_event() {
    let host = Host::enter();
    let log = host.path("audit.jsonl");
    let yaml = format!("hooks: [{{plugin: audit-log, options: {{path: {}, fsync: true}}}}]", log.display());
    host.shell(host.profile(crate::DEV, &yaml), "exit 4").output().assert_code(4);
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["created", "started", "stopped", "deleted"]);
    assert_eq!(lines[2]["exit"]["exited"]["code"], 4);
    host.assert_no_leak();
}

#[test]
fn without_its_log_a_container_does_not_start() {
    let host = Host::enter();
    let yaml = "hooks: [{plugin: audit-log, options: {path: /nonexistent/log}}]";
    let output = host.shell(host.profile(crate::DEV, yaml), "echo ran").output().assert_code(125);
    assert!(output.stderr.contains("write the audit log") && output.text().is_empty(), "{output}");
    host.assert_no_leak();
}

#[test]
fn the_service_manager_hears_of_start_and_end() {
    let host = Host::enter();
    let path = host.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let yaml = "hooks: [{plugin: sd-notify, events: [started, stopped], environment: [NOTIFY_SOCKET]}]";
    let run = host.shell(host.profile(crate::DEV, yaml), "true").env("NOTIFY_SOCKET", &path);
    run.output().assert_success();
    let heard = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert!(heard().starts_with("READY=1\n"));
    assert!(heard().starts_with("STOPPING=1\n"));
}
