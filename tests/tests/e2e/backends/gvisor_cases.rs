//! What is tried under gVisor in place of the table's cases.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use nucleus_tests::Bundle;
use nucleus_tests::pty::Terminal;
use nucleus_tests::rootfs::Rootfs;

use super::Subject;
use super::cases::{end, exec_stty, sleeping};

#[track_caller]
fn refused(subject: &Subject, yaml: &str, words: &[&str]) {
    subject.shell(yaml, "true").output().assert_refused(words);
}

pub(super) fn umask_and_rlimits(subject: &Subject) {
    assert_eq!(subject.prints("workload: {rlimits: {nofile: 321}}", "umask; ulimit -n"), "0022\n321");
    refused(subject, "workload: {umask: '0027'}", &["process.user.umask", "0027 is asked for"]);
}

pub(super) fn names(subject: &Subject) {
    assert_eq!(subject.prints("workload: {hostname: web}", "hostname"), "web");
    refused(subject, "workload: {domainname: example}", &["config.json: domainname"]);
}

/// The node of the device that the host's root is on.
pub(super) fn device_in_the_image(subject: &Subject) {
    let image = Rootfs::busybox(subject.host.path("image"));
    let device = fs::metadata("/").unwrap().dev();
    let numbers = [rustix::fs::major(device).to_string(), rustix::fs::minor(device).to_string()];
    let node = image.path().join("disk");
    assert!(Command::new("mknod").arg(&node).arg("b").args(numbers).status().unwrap().success());
    for readonly in [true, false] {
        let yaml = format!("rootfs: {{path: {}, readonly: {readonly}}}", image.path().display());
        let script = "head -c 1 /disk >/dev/null 2>&1 || echo refused";
        assert_eq!(subject.prints(&yaml, script), "refused", "readonly: {readonly}");
    }
}

pub(super) fn devices(subject: &Subject) {
    refused(subject, "devices: [{path: /dev/fuse}]", &["devices[/dev/fuse]", "no others"]);
}

pub(super) fn rights(subject: &Subject) {
    let script = "grep -E '^(CapEff|Seccomp):' /proc/self/status | tr -s '\\t' ' '; \
                  python3 -c 'import ctypes; print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))'";
    let yaml = "security: {landlock: off, capabilities: [CHOWN]}";
    let profile =
        subject.host.profile(crate::DEV, &format!("{}\n{yaml}", subject.backend.yaml(&subject.host)));
    let output = subject.host.shell(profile, script).output().assert_success();
    assert_eq!(output.text(), "CapEff: 0000000000000001\nSeccomp: 2\n1");
}

/// The sandbox itself has more threads than that: it does not start, and says so.
pub(super) fn pids_limit(subject: &Subject) {
    let output = subject.run(&["true"]).args(["--pids", "5"]).output();
    assert!(output.code() != Some(0) && !output.stderr.is_empty(), "{output}");
    subject.run(&["true"]).args(["--pids", "300"]).output().assert_success();
}

pub(super) fn network(subject: &Subject) {
    let script = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '";
    assert_eq!(subject.prints("", script), "lo");
}

/// A socket of the host's loopback interface is within reach, and in no other network.
pub(super) fn host_network(subject: &Subject) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "import socket; print(socket.create_connection((\"127.0.0.1\", {port}), 5).recv(9).decode())"
    );
    let command = ["python3", "-c", &script];
    let greet = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"the host").unwrap());
    let none = subject.run(&command).output();
    assert_eq!(none.code(), Some(1), "{none}");
    let profile = subject.profile("network: {mode: host, allowHost: true}");
    let output = subject.host.run(profile, &command).output().assert_success();
    greet.join().unwrap();
    assert_eq!(output.text(), "the host");
}

pub(super) fn user_namespace(subject: &Subject) {
    let map = "[{container: 0, host: 100000, size: 65536}]";
    let yaml = format!("namespaces: {{user: {{uidMap: {map}, gidMap: {map}}}}}");
    refused(subject, &yaml, &["namespaces.user", "namespace-user"]);
}

pub(super) fn parameters(subject: &Subject) {
    let base = format!(
        "{}\nsecurity: {{landlock: off, sysctls: {{kernel.msgmax: '7000'}}}}",
        subject.backend.yaml(&subject.host)
    );
    let profile = subject.host.profile(crate::DEV, &base);
    subject.host.shell(profile, "true").output().assert_refused(&["security.sysctls", "passes over"]);
}

pub(super) fn terminal(subject: &Subject) {
    let call = subject.host.nucleus("run").profile(subject.profile(""));
    let call = call.args(["--id", &subject.host.fresh_id(), "-t"]);
    let script =
        "trap 'stty size; exit 4' WINCH; test -t 0 && test -t 1 && echo ready; while :; do sleep 0.02; done";
    let call = call.command(["/bin/sh", "-c", script]);
    let mut terminal = Terminal::start(&call.words(), 31, 97);
    terminal.expect("ready");
    terminal.resize(50, 132);
    terminal.expect("50 132");
    let (status, text) = terminal.wait();
    assert_eq!(status.code(), Some(4), "{text}");
}

/// What the terminal of an engine has.
pub(super) fn console_socket(subject: &Subject) {
    super::cases::terminal_of_an_engine(subject, "test -t 0 && echo terminal; stty size; exit 5", "terminal");
}

/// With this a process of `exec` may run without the profile's filter.
const UNFILTERED: &str = "enforcement: permissive";

/// What is weaker than the container is refused, with the profile's line, or told of.
pub(super) fn exec(subject: &Subject) {
    let (id, running) = sleeping(subject, "");
    let output = subject.host.nucleus("exec").args([&id, "true"]).output();
    output.assert_refused(&["`security.seccomp` (", "system call filter", "permissive"]);
    end(subject, &id, running);
    fs::remove_file(subject.host.path("files").join("ready")).unwrap();
    let (id, running) = sleeping(subject, &format!("{UNFILTERED}\nworkload: {{user: '10001:10001'}}"));
    let exec = |words: &[&str]| subject.host.nucleus("exec").arg(&id).args(words);
    let output = exec(&["grep", "Seccomp:", "/proc/self/status"]).output().assert_code(0);
    assert_eq!(output.text(), "Seccomp:\t0");
    assert!(output.stderr.contains("`security.seccomp` does not hold for this process"), "{output}");
    let output = exec(&["/bin/sh", "-c", "id -u; hostname; exit 3"]).output().assert_code(3);
    assert_eq!(output.text(), "10001\ndev");
    assert_eq!(exec(&["cat"]).stdin("through").output().assert_code(0).text(), "through");
    exec(&["/no/such"]).output().assert_code(127);
    exec(&["/bin/sh", "-c", "kill -9 $$"]).output().assert_code(137);
    exec(&["/bin/sh", "-c", "exit 137"]).output().assert_code(137);
    end(subject, &id, running);
}

pub(super) fn exec_on_a_terminal(subject: &Subject) {
    let script = "while [ \"$(stty size)\" = '0 0' ]; do sleep 0.02; done; stty size; exit 6";
    exec_stty(subject, UNFILTERED, script);
}

pub(super) fn operations(subject: &Subject) {
    let host = &subject.host;
    let (id, running) = sleeping(subject, "resources: {memory: 512M, pids: 300}");
    let status = || host.nucleus("state").arg(&id).output().assert_success().json()["status"].clone();
    host.nucleus("pause").arg(&id).output().assert_success();
    assert_eq!(status(), "paused");
    host.nucleus("exec").args([&id, "true"]).output().assert_code(125);
    host.nucleus("resume").arg(&id).output().assert_success();
    assert_eq!(status(), "running");
    let update = host.nucleus("update").args(["--memory", "300M", &id]).output();
    assert!(update.code() != Some(0) && update.stderr.contains("no `update`"), "{update}");
    let used = host.nucleus("events").args(["--stats", &id]).output().assert_success().json();
    assert_eq!(used["data"]["memory"]["usage"]["limit"], 512 << 20, "{used}");
    let processes = host.nucleus("ps").args(["--format", "json", &id]).output().assert_success().json();
    assert_eq!(processes.as_array().unwrap().len(), 1, "{processes}");
    end(subject, &id, running);
}

pub(super) fn hooks(subject: &Subject) {
    let host = &subject.host;
    let log = host.path("order");
    let mut bundle = Bundle::new(host, "bundle", &["sleep", "60"]);
    for point in ["prestart", "createRuntime", "poststart", "poststop"] {
        let script = format!("echo {point} >> {}", log.display());
        let hook = serde_json::json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
        bundle = bundle.push(&format!("/hooks/{point}"), hook);
    }
    let bundle = bundle.write();
    let (id, profile) = (host.fresh_id(), subject.profile(""));
    let create =
        host.nucleus("create").profile(&profile).arg("--bundle").arg(bundle.path()).arg(&id).detached();
    create.output().assert_success();
    host.nucleus("start").arg(&id).output().assert_success();
    assert_eq!(fs::read_to_string(&log).unwrap(), "prestart\ncreateRuntime\npoststart\n");
    host.nucleus("kill").args([&id, "KILL"]).output().assert_success();
    // An engine reaps what its calls of nucleus leave behind; the list of what is left does that for this test.
    host.wait_until("the sandbox has ended", || {
        !host.leaks_now().iter().any(|leak| leak.contains("process"))
    });
    host.nucleus("delete").args(["--force", &id]).output().assert_success();
    assert_eq!(fs::read_to_string(&log).unwrap(), "prestart\ncreateRuntime\npoststart\npoststop\n");
}

pub(super) fn descriptors(subject: &Subject) {
    let host = &subject.host;
    let file = host.file("preserved", "content");
    let bundle = Bundle::shell(host, "bundle", "true").write();
    let run = host.nucleus("run").profile(subject.profile("")).arg("--bundle").arg(bundle.path());
    let run = run.args(["--preserve-fds", "1"]).arg(host.fresh_id());
    let open = format!("exec 3<{}; exec \"$@\"", file.display());
    let output = run.through(["/bin/bash", "-c", &open, "bash"]).output();
    output.assert_refused(&["--preserve-fds", "passes none on"]);
}
