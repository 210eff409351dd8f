//! The cases of the table.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use nucleus_tests::descriptor_socket::DescriptorSocket;
use nucleus_tests::pty::Terminal;
use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::{Bundle, Nucleus};
use rustix::process::Signal;

use super::{Backend, Subject};
use crate::{open_directory, writable};

pub(super) fn exit_codes(subject: &Subject) {
    for code in [0, 1, 7, 124, 200, 255] {
        let output = subject.shell("", &format!("exit {code}")).output().assert_code(code);
        assert_eq!(output.stderr, "", "nobody has anything to say about it");
    }
}

pub(super) fn missing_programs(subject: &Subject) {
    for program in ["/no/such/program", "no-such-program"] {
        let output = subject.run(&[program]).output().assert_code(127);
        assert!(output.stderr.contains(program), "{output}");
    }
    subject.run(&["/usr"]).output().assert_code(126);
}

/// A file that may be executed and is no program.
pub(super) fn run_no_program(subject: &Subject) -> Nucleus {
    let files = open_directory(&subject.host, "files");
    fs::write(files.join("plain"), "no program").unwrap();
    fs::set_permissions(files.join("plain"), fs::Permissions::from_mode(0o755)).unwrap();
    let volume = format!("{{source: {}, target: /files, exec: true}}", files.display());
    let profile = subject.profile(&format!("mounts: {{volumes: [{volume}]}}"));
    subject.host.run(profile, &["/files/plain"])
}

pub(super) fn no_program(subject: &Subject) {
    run_no_program(subject).output().assert_code(126);
}

pub(super) fn environment(subject: &Subject) {
    let text = subject.prints("workload: {env: {ONE: 'a b', TWO: ''}}", "env | sort");
    let names: Vec<&str> = text
        .lines()
        .filter(|line| {
            !line.starts_with("PWD=")
                && !line.starts_with("_=")
                && !line.starts_with("SHLVL=")
                && !line.starts_with("OLDPWD=")
        })
        .collect();
    let expected = [
        "HOME=/root",
        "LANG=C.UTF-8",
        "ONE=a b",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TWO=",
    ];
    assert_eq!(names, expected);
}

pub(super) fn user(subject: &Subject) {
    let yaml = "workload: {user: '10001:10002', additionalGroups: [7, 8]}";
    assert_eq!(subject.prints(yaml, "id -u; id -g; id -G"), "10001\n10002\n10002 7 8");
}

pub(super) fn working_directory(subject: &Subject) {
    assert_eq!(subject.prints("workload: {cwd: /usr/share}", "pwd"), "/usr/share");
}

pub(super) fn names(subject: &Subject) {
    let yaml = "workload: {hostname: web, domainname: example}";
    assert_eq!(subject.prints(yaml, "hostname; cat /proc/sys/kernel/domainname"), "web\nexample");
}

pub(super) fn umask_and_rlimits(subject: &Subject) {
    let yaml = "workload: {umask: '0027', rlimits: {nofile: 321}}";
    assert_eq!(subject.prints(yaml, "umask; ulimit -n"), "0027\n321");
}

pub(super) fn read_only_root(subject: &Subject) {
    let script = "touch /x 2>/dev/null; test -e /x || echo read-only; touch /tmp/x && echo but /tmp";
    assert_eq!(subject.prints("", script), "read-only\nbut /tmp");
}

/// The device is the one that the host's root is on: nobody inside may read it, whatever the image says.
pub(super) fn device_in_the_image(subject: &Subject) {
    let image = Rootfs::busybox(subject.host.path("image"));
    let device = fs::metadata("/").unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let node = image.path().join("disk");
    let numbers = [major.to_string(), minor.to_string()];
    assert!(Command::new("mknod").arg(&node).arg("b").args(numbers).status().unwrap().success());
    for readonly in [true, false] {
        let yaml = format!("rootfs: {{path: {}, readonly: {readonly}}}", image.path().display());
        let script = "test -b /disk && echo there; head -c 1 /disk >/dev/null 2>&1 || echo refused";
        assert_eq!(subject.prints(&yaml, script), "there\nrefused", "readonly: {readonly}");
    }
}

pub(super) fn volumes(subject: &Subject) {
    let (one, other) = (open_directory(&subject.host, "one"), open_directory(&subject.host, "other"));
    fs::write(one.join("file"), "content").unwrap();
    let script = "cat /one/file; touch /one/x 2>/dev/null || echo read-only; echo new > /other/new";
    let call = subject.shell("", script);
    let call = call.args(["--volume", &format!("{}:/one:ro", one.display())]);
    let output = call.args(["--volume", &writable(&other, "/other")]).output().assert_success();
    assert_eq!(output.text(), "contentread-only");
    assert_eq!(fs::read_to_string(other.join("new")).unwrap(), "new\n");
}

pub(super) fn submount(subject: &Subject) {
    let outer = open_directory(&subject.host, "outer");
    let inner = open_directory(&subject.host, "outer/inner");
    assert!(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&inner).status().unwrap().success());
    let script = "touch /outer/inner/x 2>/dev/null || echo read-only";
    let call = subject.shell("", script).args(["--volume", &format!("{}:/outer:ro", outer.display())]);
    let output = call.output();
    assert!(Command::new("umount").arg(&inner).status().unwrap().success());
    assert_eq!(output.assert_success().text(), "read-only");
}

pub(super) fn id_mapped_volume(subject: &Subject) {
    let files = open_directory(&subject.host, "files");
    std::os::unix::fs::chown(&files, Some(0), Some(0)).unwrap();
    let maps =
        "{uidMap: [{container: 0, host: 4000, size: 10}], gidMap: [{container: 0, host: 5000, size: 10}]}";
    let volume = format!("{{source: {}, target: /files, idmap: {maps}}}", files.display());
    let text = subject.prints(&format!("mounts: {{volumes: [{volume}]}}"), "busybox stat -c %u:%g /files");
    assert_eq!(text, "4000:5000");
}

pub(super) fn tmpfs(subject: &Subject) {
    let yaml = "mounts: {tmpfs: [{target: /small, size: 1M}]}";
    let script =
        "head -c 4000000 /dev/zero > /small/file 2>/dev/null || echo full; busybox stat -c %a /small";
    assert_eq!(subject.prints(yaml, script), "full\n1777");
}

pub(super) fn secrets(subject: &Subject) {
    let file = subject.host.file("key", "the key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let secret =
        format!("{{source: {{file: {}}}, name: key, mode: '0440', owner: '10001:10002'}}", file.display());
    let script = "busybox stat -c %a:%u:%g /run/secrets/key; cat /run/secrets/key; touch /run/secrets/x 2>/dev/null || echo; grep -c /run/secrets/key /proc/mounts";
    let text = subject.prints(&format!("secrets: [{secret}]"), script);
    assert_eq!(text, "440:10001:10002\nthe key\n1");
}

pub(super) fn devices(subject: &Subject) {
    let yaml = "devices: [{path: /dev/fuse}]";
    let script = "ls -l /dev/fuse | cut -c1; : < /dev/fuse && echo opened";
    assert_eq!(subject.prints(yaml, script), "c\nopened");
}

pub(super) fn context(subject: &Subject) {
    let context = open_directory(&subject.host, "context");
    fs::write(context.join("file"), "content").unwrap();
    for mode in ["copy", "bind"] {
        let yaml = format!("context: {{source: {}, target: /context, mode: {mode}}}", context.display());
        let script = "cat /context/file; touch /context/x 2>/dev/null || echo";
        assert!(subject.prints(&yaml, script).starts_with("content"), "{mode}");
    }
}

pub(super) fn rights(subject: &Subject) {
    let script = "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t' ' '";
    let yaml = "security: {landlock: off, capabilities: [CHOWN]}";
    let profile =
        subject.host.profile(crate::DEV, &format!("{}\n{yaml}", subject.backend.yaml(&subject.host)));
    let output = subject.host.shell(profile, script).output().assert_success();
    assert_eq!(output.text(), "CapEff: 0000000000000001\nNoNewPrivs: 1\nSeccomp: 2");
}

pub(super) fn kernel_files(subject: &Subject) {
    let script =
        "echo x 2>/dev/null > /proc/sysrq-trigger || echo refused; busybox ls -A /sys/firmware | wc -l";
    assert_eq!(subject.prints("", script), "refused\n0");
}

pub(super) fn memory_limit(subject: &Subject) {
    let script = "import os\ntry:\n  b = bytearray(200 << 20)\n  print('had it')\nexcept MemoryError: pass";
    let limited = |limit: &str| subject.run(&["python3", "-c", script]).args(["--memory", limit]).output();
    assert_eq!(limited("400M").assert_success().text(), "had it");
    limited("64M").assert_code(137);
}

pub(super) fn pids_limit(subject: &Subject) {
    let script = "import os\nn = 0\ntry:\n  while n < 100:\n    if os.fork() == 0: os.pause() if hasattr(os, 'pause') else __import__('time').sleep(60)\n    n += 1\nexcept OSError: pass\nprint(n < 20)";
    let output = subject.run(&["python3", "-c", script]).args(["--pids", "20"]).output().assert_success();
    assert_eq!(output.text(), "True");
}

pub(super) fn network(subject: &Subject) {
    let script = "ls /sys/class/net; cat /sys/class/net/lo/operstate; grep -c . /proc/net/route";
    assert_eq!(subject.prints("", script), "lo\nunknown\n1");
}

pub(super) fn user_namespace(subject: &Subject) {
    let map = "[{container: 0, host: 100000, size: 65536}]";
    let yaml = format!("namespaces: {{user: {{uidMap: {map}, gidMap: {map}}}}}");
    let script = "id -u; tr -s ' ' < /proc/self/uid_map; touch /x 2>/dev/null || echo read-only; touch /tmp/x && echo but /tmp";
    assert_eq!(subject.prints(&yaml, script), "0\n 0 100000 65536\nread-only\nbut /tmp");
    let tmpfs = "mounts: {tmpfs: [{target: /closed, size: 1M, mode: '0700', uid: 3, gid: 4}]}";
    let text = subject.prints(&format!("{yaml}\n{tmpfs}"), "stat -c %a:%u:%g /tmp /closed");
    assert_eq!(text, "1777:0:0\n700:3:4");
    let (id, running) = sleeping(subject, &yaml);
    let output = subject.host.nucleus("exec").args([&id, "/bin/sh", "-c", "id -u; exit 3"]).output();
    assert_eq!(output.assert_code(3).text(), "0");
    end(subject, &id, running);
}

pub(super) fn parameters(subject: &Subject) {
    let base = format!("{}\nworkload: {{oomScoreAdj: 500}}", subject.backend.yaml(&subject.host));
    let yaml = format!("{base}\nsecurity: {{landlock: off, sysctls: {{kernel.msgmax: '7000'}}}}");
    let profile = subject.host.profile(crate::DEV, &yaml);
    let script = "cat /proc/sys/kernel/msgmax /proc/self/oom_score_adj";
    assert_eq!(subject.host.shell(profile, script).output().assert_success().text(), "7000\n500");
}

pub(super) fn other_networks(subject: &Subject) {
    let script = "readlink /proc/self/ns/net";
    let host = fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    assert_eq!(subject.prints("network: {mode: host, allowHost: true}", script), host);
    let mut other = Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap();
    let path = format!("/proc/{}/ns/net", other.id());
    let is_there = || fs::read_link(&path).is_ok_and(|found| found.display().to_string() != host);
    subject.host.wait_until("a network namespace", is_there);
    let wanted = fs::read_link(&path).unwrap().display().to_string();
    let base = format!("{}\nsecurity: {{landlock: off}}", subject.backend.yaml(&subject.host));
    let profile =
        subject.host.profile(crate::BASE, &format!("{base}\nnamespaces: {{network: {{path: {path}}}}}"));
    let output = subject.host.shell(profile, script).output();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(output.assert_success().text(), wanted);
}

pub(super) fn signals(subject: &Subject) {
    let files = open_directory(&subject.host, "files");
    let script = "trap 'echo caught; exit 9' USR1; : > /files/ready; while :; do sleep 0.02; done";
    let call = subject.shell("", script).args(["--volume", &writable(&files, "/files")]);
    let mut running = call.spawn();
    running.wait_for_file(&files.join("ready"));
    running.signal(Signal::USR1);
    let output = running.wait().assert_code(9);
    assert_eq!(output.text(), "caught");
}

/// The first process of a pid namespace does not die of its own signals: another must send them.
pub(super) fn death_by_signal(subject: &Subject) {
    let files = open_directory(&subject.host, "files");
    for (signal, code) in [(Signal::TERM, 143), (Signal::KILL, 137)] {
        let id = subject.host.fresh_id();
        let script = "trap - TERM; : > /files/ready; exec sleep 60";
        // No signal without a handler reaches the first process from inside; from outside SIGKILL does.
        let script = if signal == Signal::TERM {
            "trap 'trap - TERM; exit 143' TERM; : > /files/ready; while :; do sleep 0.02; done"
        } else {
            script
        };
        let call = subject.host.nucleus("run").profile(subject.profile("")).args(["--id", &id, "--no-tty"]);
        let call = call.args(["--volume", &writable(&files, "/files")]).command(["/bin/sh", "-c", script]);
        let mut running = call.spawn();
        running.wait_for_file(&files.join("ready"));
        fs::remove_file(files.join("ready")).unwrap();
        let number = signal.as_raw().to_string();
        subject.host.nucleus("kill").args([&id, &number]).output().assert_success();
        running.wait().assert_code(code);
    }
}

pub(super) fn terminal(subject: &Subject) {
    let call = subject.host.nucleus("run").profile(subject.profile(""));
    let call = call.args(["--id", &subject.host.fresh_id(), "-t"]);
    let script = "trap 'stty size; exit 4' WINCH; tty; test -t 1 && echo ready; while :; do sleep 0.02; done";
    let call = call.command(["/bin/sh", "-c", script]);
    let mut terminal = Terminal::start(&call.words(), 31, 97);
    terminal.expect("/dev/pts/0");
    terminal.expect("ready");
    terminal.resize(50, 132);
    terminal.expect("50 132");
    let (status, text) = terminal.wait();
    assert_eq!(status.code(), Some(4), "{text}");
}

/// A container that runs until it is killed, and its id.
pub(super) fn sleeping(subject: &Subject, more: &str) -> (String, nucleus_tests::Running) {
    let files = open_directory(&subject.host, "files");
    let id = subject.host.fresh_id();
    let call = subject.host.nucleus("run").profile(subject.profile(more)).args(["--id", &id, "--no-tty"]);
    let call = call.args(["--volume", &writable(&files, "/files")]);
    let mut running = call.command(["/bin/sh", "-c", ": > /files/ready; exec sleep 60"]).spawn();
    running.wait_for_file(&files.join("ready"));
    (id, running)
}

pub(super) fn end(subject: &Subject, id: &str, running: nucleus_tests::Running) {
    subject.host.nucleus("kill").args([id, "KILL"]).output().assert_success();
    running.wait().assert_code(137);
}

pub(super) fn exec(subject: &Subject) {
    let (id, running) = sleeping(subject, "workload: {user: '10001:10001'}");
    let exec = |words: &[&str]| subject.host.nucleus("exec").arg(&id).args(words);
    let output =
        exec(&["/bin/sh", "-c", "id -u; grep Seccomp: /proc/self/status; hostname; exit 3"]).output();
    let output = output.assert_code(3);
    assert_eq!(output.text(), "10001\nSeccomp:\t2\ndev");
    assert_eq!(exec(&["cat"]).stdin("through").output().assert_success().text(), "through");
    exec(&["/no/such"]).output().assert_code(127);
    exec(&["/bin/sh", "-c", "kill -9 $$"]).output().assert_code(137);
    end(subject, &id, running);
}

pub(super) fn exec_on_a_terminal(subject: &Subject) {
    exec_stty(subject, "", "stty size; exit 6");
}

/// Runs a script that tells the size of its terminal.
pub(super) fn exec_stty(subject: &Subject, yaml: &str, script: &str) {
    let (id, running) = sleeping(subject, yaml);
    let call = subject.host.nucleus("exec").args(["-t", &id, "/bin/sh", "-c", script]);
    let (status, text) = Terminal::start(&call.words(), 31, 97).wait();
    assert_eq!(status.code(), Some(6), "{text}");
    assert!(text.contains("31 97"), "{text}");
    end(subject, &id, running);
}

pub(super) fn operations(subject: &Subject) {
    let host = &subject.host;
    let (id, running) = sleeping(subject, "resources: {memory: 512M, pids: 64}");
    let status = || host.nucleus("state").arg(&id).output().assert_success().json()["status"].clone();
    host.nucleus("pause").arg(&id).output().assert_success();
    assert_eq!(status(), "paused");
    host.nucleus("exec").args([&id, "true"]).output().assert_code(125);
    host.nucleus("resume").arg(&id).output().assert_success();
    assert_eq!(status(), "running");
    host.nucleus("update").args(["--memory", "300M", &id]).output().assert_success();
    let used = host.nucleus("events").args(["--stats", &id]).output().assert_success().json();
    assert_eq!(used["data"]["memory"]["usage"]["limit"], 300 << 20, "{used}");
    assert!(used["data"]["pids"]["current"].as_u64().unwrap() >= 1, "{used}");
    let processes = host.nucleus("ps").args(["--format", "json", &id]).output().assert_success().json();
    assert_eq!(processes.as_array().unwrap().len(), 1, "{processes}");
    end(subject, &id, running);
}

pub(super) fn streams(subject: &Subject) {
    let output = subject.shell("", "echo out; echo err >&2").output().assert_code(0);
    assert_eq!((output.text(), output.stderr.trim()), ("out", "err"));
}

pub(super) fn input_ends(subject: &Subject) {
    let mut running = subject.run(&["cat"]).stdin_open().spawn();
    drop(running.stdin());
    assert_eq!(running.wait().assert_success().text(), "");
}

pub(super) fn ten_megabytes(subject: &Subject) {
    let bytes: Vec<u8> = (0..10_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    let output = subject.run(&["cat"]).stdin(bytes.clone()).output().assert_success();
    assert!(output.stdout == bytes, "{} bytes came back, and not the same", output.stdout.len());
}

/// `create`, `start`, `state` and `delete`, as an engine calls them, under the profile's backend.
pub(super) fn made_for_an_engine(subject: &Subject) {
    let host = &subject.host;
    let bundle = Bundle::new(host, "bundle", &["sleep", "60"]).write();
    let id = host.fresh_id();
    let profile = subject.profile("");
    let status = || host.nucleus("state").arg(&id).output().assert_success().json()["status"].clone();
    let create =
        host.nucleus("create").profile(&profile).arg("--bundle").arg(bundle.path()).arg(&id).detached();
    create.output().assert_success();
    assert_eq!(status(), "created");
    host.nucleus("start").arg(&id).output().assert_success();
    assert_eq!(status(), "running");
    host.nucleus("kill").args([&id, "KILL"]).output().assert_success();
    host.wait_until("it has ended", || status() == "stopped");
    host.nucleus("delete").arg(&id).output().assert_success();
}

/// The terminal of an engine's container goes to the engine.
pub(super) fn console_socket(subject: &Subject) {
    terminal_of_an_engine(subject, "tty; stty size; exit 5", "/dev/pts/0");
}

/// Runs a script on it that prints a line, and its size.
pub(super) fn terminal_of_an_engine(subject: &Subject, script: &str, line: &str) {
    let host = &subject.host;
    let bundle = Bundle::shell(host, "bundle", script).set("/process/terminal", true);
    let size = serde_json::json!({"height": 31, "width": 97});
    let bundle = bundle.set("/process/consoleSize", size).write();
    let socket = DescriptorSocket::listen(host.path("console"));
    let id = host.fresh_id();
    let create = host.nucleus("create").profile(subject.profile("")).arg("--bundle").arg(bundle.path());
    create.arg("--console-socket").arg(socket.path()).arg(&id).detached().output().assert_success();
    let (_, terminal) = socket.receive();
    host.nucleus("start").arg(&id).output().assert_success();
    let mut text = String::new();
    // When the last process has left its terminal, reading it fails (EIO).
    let _ = fs::File::from(terminal).read_to_string(&mut text);
    assert_eq!(text.lines().collect::<Vec<_>>(), [line, "31 97"]);
    host.nucleus("delete").args(["--force", &id]).output().assert_success();
}

/// The victim is a child of the first process, which lives on.
pub(super) fn out_of_memory(subject: &Subject) {
    let host = &subject.host;
    let files = open_directory(host, "files");
    let script =
        "until test -e /files/go; do sleep 0.02; done; tail /dev/zero; touch /files/killed; exec sleep 1000";
    let bundle = Bundle::shell(host, "bundle", script).bind(&files, "/files");
    let limits = serde_json::json!({"limit": 16 << 20, "swap": 16 << 20});
    let bundle = bundle.set("/linux/resources/memory", limits).write();
    let id = host.fresh_id();
    let create = host.nucleus("create").profile(subject.profile("")).arg("--bundle").arg(bundle.path());
    create.arg(&id).detached().output().assert_success();
    host.nucleus("start").arg(&id).output().assert_success();
    let log = host.path("events");
    let events = host.nucleus("events").args(["--interval", "100ms", &id]).output_to(&log).spawn();
    // The watch stands before the first count.
    host.wait_until("the first count", || fs::read_to_string(&log).is_ok_and(|text| text.contains("stats")));
    fs::write(files.join("go"), "").unwrap();
    host.wait_for_file(&files.join("killed"));
    host.wait_until("the event", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains(r#""type":"oom""#))
    });
    host.nucleus("delete").args(["--force", &id]).output().assert_success();
    events.wait().assert_code(0);
}

/// Each kind of hook that an engine's document has is called once and in order, whoever calls it.
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
    host.nucleus("delete").args(["--force", &id]).output().assert_success();
    assert_eq!(fs::read_to_string(&log).unwrap(), "prestart\ncreateRuntime\npoststart\npoststop\n");
}

pub(super) fn descriptors(subject: &Subject) {
    let host = &subject.host;
    let file = host.file("preserved", "content");
    let bundle = Bundle::shell(host, "bundle", "cat <&3; ls /proc/self/fd | tr '\\n' ' '").write();
    let run = host.nucleus("run").profile(subject.profile("")).arg("--bundle").arg(bundle.path());
    let run = run.args(["--preserve-fds", "1"]).arg(host.fresh_id());
    let open = format!("exec 3<{0} 4<{0}; exec \"$@\"", file.display());
    let output = run.through(["/bin/bash", "-c", &open, "bash"]).output().assert_success();
    // The fourth is the directory that ls itself reads.
    assert_eq!(output.text(), "content0 1 2 3 4");
}

/// What is left of a container whose nucleus was killed goes with `gc`: checked when the host is left.
pub(super) fn killed_nucleus(subject: &Subject) {
    let (id, running) = sleeping(subject, "");
    running.signal(Signal::KILL);
    running.wait();
    let left = subject.host.root().join(&id);
    assert!(Path::new(&left).exists(), "there is something to collect");
    subject.host.nucleus("gc").output().assert_success();
    assert!(matches!(subject.backend, Backend::Native | Backend::Loaded) || !left.exists());
}
