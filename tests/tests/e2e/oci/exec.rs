//! `exec`: another process in a container.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::thread;

use nucleus_tests::descriptor_socket::DescriptorSocket;
use nucleus_tests::pty::Terminal;
use nucleus_tests::{Bundle, Container, Host, Nucleus, Output};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::json;

use super::Operated;

const NAMESPACES: [&str; 6] = ["pid", "net", "ipc", "uts", "mnt", "user"];

fn running(host: &Host, bundle: Bundle) -> Container<'_> {
    let container = Container::create(host, &bundle.write());
    container.start();
    container.wait_for("running");
    container
}

fn sleeper(host: &Host) -> Container<'_> {
    running(host, Bundle::new(host, "sleeper", &["sleep", "1000"]))
}

/// `nucleus exec OPTIONS ID COMMAND`.
fn exec(host: &Host, options: &[&str], container: &Container<'_>, command: &[&str]) -> Nucleus {
    host.nucleus("exec").args(options).arg(&container.id).args(command)
}

fn shell(host: &Host, options: &[&str], container: &Container<'_>, script: &str) -> Output {
    exec(host, options, container, &["/bin/sh", "-c", script]).output()
}

/// Ends a detached process and reaps it, as whoever calls for one does: the test is its nearest subreaper.
fn end(pid: &str) {
    let pid = Pid::from_raw(pid.parse().expect("the file holds a number")).expect("and not 0");
    kill_process(pid, Signal::KILL).expect("it lives");
    waitpid(Some(pid), WaitOptions::empty()).expect("it is ours");
}

#[test]
fn output_input_and_status_are_the_processes_own() {
    let host = Host::enter();
    let container = sleeper(&host);
    let output = exec(&host, &[], &container, &["cat"]).stdin("through\n").output().assert_success();
    assert_eq!(output.text(), "through");
    let failed = shell(&host, &[], &container, "echo out; echo err >&2; exit 3").assert_code(3);
    assert_eq!((failed.text(), failed.stderr.as_str()), ("out", "err\n"));
    shell(&host, &[], &container, "kill -9 $$").assert_code(137);
    let missing = exec(&host, &[], &container, &["no-such-program"]).output().assert_code(127);
    assert!(missing.stderr.contains("no-such-program"), "{missing}");
    exec(&host, &[], &container, &["/etc/passwd"]).output().assert_code(126);
    container.delete_by_force();
}

#[test]
fn it_joins_the_containers_namespaces_and_groups() {
    let host = Host::enter();
    let container = sleeper(&host);
    let script = format!("for n in {}; do readlink /proc/self/ns/$n; done", NAMESPACES.join(" "));
    let inside = shell(&host, &[], &container, &script).assert_success();
    let own = NAMESPACES
        .map(|name| fs::read_link(format!("/proc/{}/ns/{name}", container.pid())).expect("it lives"));
    let own: Vec<String> = own.iter().map(|link| link.to_string_lossy().into_owned()).collect();
    assert_eq!(inside.text().lines().collect::<Vec<_>>(), own);
    let pid_file = host.path("pid");
    let options = ["--detach", "--pid-file", pid_file.to_str().expect("a plain path")];
    exec(&host, &options, &container, &["sleep", "1000"]).detached().output().assert_success();
    let pid = fs::read_to_string(&pid_file).expect("the file is there");
    let groups = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives");
    assert_eq!(groups(&pid), groups(&container.pid().to_string()));
    end(&pid);
    container.delete_by_force();
}

#[test]
fn it_can_stand_in_a_group_below_in_single_hierarchies() {
    let host = Host::enter();
    if !std::path::Path::new("/sys/fs/cgroup/pids/cgroup.procs").exists() {
        return nucleus_tests::skip("the controller `pids` is not in a hierarchy of cgroup v1 here");
    }
    let container = sleeper(&host);
    let below = format!("/sys/fs/cgroup/pids/{}/below", container.id);
    fs::create_dir(&below).unwrap();
    let lines = |options: &[&str]| {
        let output =
            exec(&host, options, &container, &["cat", "/proc/self/cgroup"]).output().assert_success();
        let (there, others): (Vec<_>, Vec<_>) =
            output.text().lines().map(str::to_owned).partition(|line| line.ends_with("/below"));
        (there.len(), others.len())
    };
    let (none, all) = lines(&[]);
    assert_eq!(none, 0);
    assert_eq!(lines(&["--cgroup", "pids:below"]), (1, all - 1));
    for (wrong, words) in [
        ("pids:missing", "name a group that exists"),
        ("nothing:below", "no group in a hierarchy of cgroup v1 with this controller"),
        ("below", "name a group that exists"),
    ] {
        let refused = exec(&host, &["--cgroup", wrong], &container, &["true"]).output().assert_code(125);
        assert!(refused.stderr.contains(words), "{refused}");
    }
    container.delete_by_force();
}

#[test]
fn options_change_the_containers_own_process() {
    let host = Host::enter();
    let bundle = Bundle::new(&host, "sleeper", &["sleep", "1000"])
        .set("/process/user", json!({"uid": 0, "gid": 0, "additionalGids": [11]}))
        .push("/process/env", "OWN=1");
    let container = running(&host, bundle);
    let own = shell(&host, &[], &container, "echo $OWN $HOME $PWD; id -u; id -g; id -G").assert_success();
    assert_eq!(own.text(), "1 /root /\n0\n0\n0 11");
    let options =
        ["-u", "1234:2345", "-g", "77", "--cwd", "/tmp", "-e", "OWN=2", "-e", "MORE=a b", "--env", "MORE=c"];
    let changed = shell(&host, &options, &container, "echo $OWN $HOME $PWD $MORE; id -u; id -g; id -G");
    assert_eq!(changed.assert_success().text(), "2 /srv /tmp c\n1234\n2345\n2345 11 77");
    let homeless = shell(&host, &["-u", "4711"], &container, "echo $HOME").assert_success();
    assert_eq!(homeless.text(), "/");
    for wrong in ["1000abc", "-1", "4294967295", "0x0", ":5", "web"] {
        let option = format!("--user={wrong}");
        let refused = exec(&host, &[&option], &container, &["true"]).output().assert_code(125);
        assert!(refused.stderr.contains("--user"), "{refused}");
    }
    container.delete_by_force();
}

fn status_of(host: &Host, options: &[&str], container: &Container<'_>, field: &str) -> String {
    let output = exec(host, options, container, &["cat", "/proc/self/status"]).output().assert_success();
    crate::status_field(output.text(), field).to_owned()
}

#[test]
fn rights_are_those_of_the_container_and_inheritable_ones_there_are_none() {
    let host = Host::enter();
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let bundle = Bundle::new(&host, "sleeper", &["sleep", "1000"])
        .set("/process/capabilities/inheritable", json!(capabilities))
        .set("/process/noNewPrivileges", false);
    let container = running(&host, bundle);
    let own = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("it lives");
    for field in ["CapBnd", "CapPrm", "CapEff", "NoNewPrivs"] {
        assert_eq!(status_of(&host, &[], &container, field), crate::status_field(&own, field), "{field}");
    }
    assert_eq!(status_of(&host, &[], &container, "CapInh"), "0000000000000000");
    // CAP_CHOWN is number 0.
    for field in ["CapBnd", "CapPrm", "CapEff"] {
        let more = status_of(&host, &["--cap", "CAP_CHOWN"], &container, field);
        assert!(more.ends_with('1'), "{field}: {more}");
    }
    assert_eq!(status_of(&host, &["--no-new-privs"], &container, "NoNewPrivs"), "1");
    container.delete_by_force();
}

#[test]
fn the_containers_system_call_filter_holds() {
    let host = Host::enter();
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    });
    let container =
        running(&host, Bundle::new(&host, "sleeper", &["sleep", "1000"]).set("/linux/seccomp", filter));
    let refused = exec(&host, &[], &container, &["mkdir", "/tmp/x"]).output().assert_code(1);
    assert!(refused.stderr.contains("not supported"), "{refused}");
    container.delete_by_force();
}

#[test]
fn a_document_says_all_there_is_to_say() {
    let host = Host::enter();
    let container = sleeper(&host);
    let document = json!({
        "args": ["/bin/sh", "-c", "echo $A $0; id -u"], "cwd": "/tmp", "env": ["PATH=/bin", "A=1"],
        "user": {"uid": 5, "gid": 6},
    });
    let file = host.file("process.json", document.to_string());
    let options = ["--process", file.to_str().expect("a plain path")];
    let output = exec(&host, &options, &container, &[]).output().assert_success();
    assert_eq!(output.text(), "1 /bin/sh\n5");
    let both = exec(&host, &options, &container, &["true"]).output().assert_code(125);
    assert!(both.stderr.contains("--process"), "{both}");
    for (document, word) in [
        (json!({"args": ["true"]}), "process.cwd"),
        (json!({"args": ["true"], "cwd": "tmp"}), "process.cwd"),
        (json!({"args": [], "cwd": "/"}), "process.args"),
        (json!(7), "process"),
    ] {
        host.file("process.json", document.to_string());
        let refused = exec(&host, &options, &container, &[]).output().assert_code(125);
        assert!(refused.stderr.contains(word), "{refused}");
    }
    host.file("process.json", "{");
    let refused = exec(&host, &options, &container, &[]).output().assert_code(125);
    assert!(refused.stderr.contains("process.json"), "{refused}");
    container.delete_by_force();
}

#[test]
fn a_detached_process_outlives_the_call_and_a_missing_one_is_told_of() {
    let host = Host::enter();
    let files = crate::open_directory(&host, "files");
    let bundle = Bundle::new(&host, "sleeper", &["sleep", "1000"]).bind(&files, "/files");
    let container = running(&host, bundle);
    let pid_file = host.path("pid");
    let options = ["-d", "--pid-file", pid_file.to_str().expect("a plain path")];
    let script = "sleep 0.2; touch /files/done; sleep 1000";
    exec(&host, &options, &container, &["/bin/sh", "-c", script]).detached().output().assert_success();
    let pid = fs::read_to_string(&pid_file).expect("the file is there");
    let command = fs::read(format!("/proc/{pid}/cmdline")).expect("it lives");
    assert!(command.starts_with(b"/bin/sh\0-c\0"), "the program runs when the call returns: {command:?}");
    host.wait_for_file(&files.join("done"));
    end(&pid);
    fs::remove_file(&pid_file).expect("it is there");
    let missing =
        exec(&host, &options, &container, &["no-such-program"]).detached().output().assert_code(127);
    assert!(missing.stderr.contains("no-such-program"), "{missing}");
    assert!(!pid_file.exists());
    let unwritable = ["-d", "--pid-file", "/nowhere/pid"];
    let refused =
        exec(&host, &unwritable, &container, &["sleep", "2345"]).detached().output().assert_code(125);
    assert!(refused.stderr.contains("/nowhere/pid"), "{refused}");
    let left = host.nucleus("ps").args([&container.id, "-eo", "pid,args"]).output().assert_success();
    assert!(!left.text().contains("2345"), "{left}");
    container.delete_by_force();
}

#[test]
fn a_terminal_is_its_own_and_has_the_operators_size() {
    let host = Host::enter();
    let container = sleeper(&host);
    let script = "tty; stty size; read word; echo got $word; exit 4";
    let call = exec(&host, &["-t"], &container, &["/bin/sh", "-c", script]);
    let mut terminal = Terminal::start(&call.words(), 31, 97);
    terminal.expect("/dev/pts/0");
    terminal.expect("31 97");
    terminal.send("hello\r");
    terminal.expect("got hello");
    let (status, text) = terminal.wait();
    assert_eq!(status.code(), Some(4), "{text}");
    let none = shell(&host, &[], &container, "tty").assert_code(1);
    assert_eq!(none.text(), "not a tty");
    let detached = exec(&host, &["-t", "-d"], &container, &["true"]).output().assert_code(125);
    assert!(detached.stderr.contains("--console-socket"), "{detached}");
    container.delete_by_force();
}

#[test]
fn the_terminal_and_a_pidfd_of_a_detached_process_are_handed_out() {
    let host = Host::enter();
    let container = sleeper(&host);
    let document = json!({
        "terminal": true, "consoleSize": {"height": 22, "width": 77}, "cwd": "/", "env": ["PATH=/bin"],
        "args": ["/bin/sh", "-c", "stty size; read word; echo got $word; exec sleep 1000"],
        "user": {"uid": 0, "gid": 0},
    });
    let file = host.file("process.json", document.to_string());
    let (console, pidfd) = (host.path("console"), host.path("pidfd"));
    let sockets = [&console, &pidfd].map(DescriptorSocket::listen);
    let pid_file = host.path("pid");
    let call = host.nucleus("exec").args(["--detach", "--tty", "--process"]).arg(file);
    let call = call.arg("--console-socket").arg(console).arg("--pidfd-socket").arg(pidfd);
    call.arg("--pid-file").arg(&pid_file).arg(&container.id).detached().output().assert_success();
    let [mut terminal, pidfd] = sockets.map(|socket| fs::File::from(socket.receive().1));
    terminal.write_all(b"hello\n").expect("type");
    let mut seen = String::new();
    while !(seen.contains("22 77") && seen.contains("got hello")) {
        let mut bytes = [0; 1024];
        let count = terminal.read(&mut bytes).expect("the terminal is open");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).expect("it is a pidfd of the process");
    end(&fs::read_to_string(&pid_file).expect("the file is there"));
    container.delete_by_force();
}

#[test]
fn signals_are_passed_on() {
    let host = Host::enter();
    let files = crate::open_directory(&host, "files");
    let container = running(&host, Bundle::new(&host, "sleeper", &["sleep", "1000"]).bind(&files, "/files"));
    let script = "trap 'echo told; exit 9' TERM; touch /files/ready; while :; do sleep 0.02; done";
    let mut running = exec(&host, &[], &container, &["/bin/sh", "-c", script]).spawn();
    running.wait_for_file(&files.join("ready"));
    running.signal(Signal::TERM);
    assert_eq!(running.wait().assert_code(9).text(), "told");
    container.delete_by_force();
}

#[test]
fn it_holds_the_descriptors_that_were_preserved_and_no_others() {
    let host = Host::enter();
    let container = sleeper(&host);
    let file = host.file("preserved", "content");
    let inode = fs::metadata(&file).expect("it is there").ino().to_string();
    let open = format!("exec 3<{0} 4<{0} 5<{0}; exec \"$@\"", file.display());
    let through = ["/bin/bash", "-c", &open, "bash"];
    let list = ["/bin/sh", "-c", "stat -L -c %i /proc/self/fd/3; ls /proc/self/fd"];
    let kept =
        exec(&host, &["--preserve-fds", "1"], &container, &list).through(through).output().assert_success();
    let lines: Vec<&str> = kept.text().lines().collect();
    assert_eq!(lines[0], inode, "{kept}");
    // The fourth is the directory that ls itself reads.
    assert_eq!(lines[1..], ["0", "1", "2", "3", "4"], "{kept}");
    let none =
        exec(&host, &[], &container, &["ls", "/proc/self/fd"]).through(through).output().assert_success();
    assert_eq!(none.text(), "0\n1\n2\n3");
    let missing = exec(&host, &["--preserve-fds", "60"], &container, &["true"]).output().assert_code(125);
    assert!(missing.stderr.contains("--preserve-fds"), "{missing}");
    container.delete_by_force();
}

#[test]
fn only_a_container_that_lives_takes_a_process() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "short", &["true"]).write());
    container.start();
    container.wait_for("stopped");
    let ended = exec(&host, &[], &container, &["true"]).output().assert_code(125);
    assert!(ended.stderr.contains("cannot exec in a stopped container"), "{ended}");
    container.delete();
    let unknown = host.nucleus("exec").args(["nobody", "true"]).output().assert_code(125);
    assert!(unknown.stderr.contains("container does not exist"), "{unknown}");
}

#[test]
fn an_operators_container_takes_processes_within_its_plan() {
    let host = Host::enter();
    let Operated { id, running, .. } =
        Operated::run(&host, "trap 'exit 7' TERM; touch /files/ready; while :; do sleep 0.02; done", "ready");
    let output = host.nucleus("exec").args([&id, "cat", "/proc/self/status"]).output().assert_success();
    assert_eq!(crate::status_field(output.text(), "Seccomp"), "2");
    assert_eq!(crate::status_field(output.text(), "NoNewPrivs"), "1");
    assert_eq!(crate::status_field(output.text(), "CapInh"), "0000000000000000");
    running.signal(Signal::TERM);
    running.wait().assert_code(7);
}

#[test]
fn of_two_hundred_at_once_none_is_lost() {
    let host = Host::enter();
    let container = sleeper(&host);
    let words: Vec<String> = (0..200).map(|number| format!("word {number}")).collect();
    // All are there before the first is waited for.
    let running: Vec<_> = words
        .iter()
        .map(|word| exec(&host, &[], &container, &["/bin/sh", "-c", "sleep 0.1; echo $0", word]).spawn())
        .collect();
    for (running, word) in running.into_iter().zip(&words) {
        assert_eq!(running.wait().assert_success().text(), word);
    }
    let left = host.nucleus("ps").args(["-f", "json", &container.id]).output().assert_success();
    assert_eq!(left.json().as_array().map(Vec::len), Some(1), "{left}");
    container.delete_by_force();
}

#[test]
fn a_container_that_ends_meanwhile_gives_a_status_or_a_clear_error() {
    let host = Host::enter();
    let bundle = Bundle::new(&host, "sleeper", &["sleep", "1000"]).write();
    for _ in 0..10 {
        let container = Container::create(&host, &bundle);
        container.start();
        container.wait_for("running");
        thread::scope(|scope| {
            let execs: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| exec(&host, &[], &container, &["sleep", "1000"]).output()))
                .collect();
            container.kill("KILL").assert_success();
            for exec in execs {
                let output = exec.join().expect("it ends");
                match output.code() {
                    Some(137) => {}
                    Some(125) => assert!(output.stderr.contains("cannot "), "{output}"),
                    _ => panic!("it neither ran nor was refused: {output}"),
                }
            }
        });
        container.wait_for("stopped");
        container.delete();
    }
}

#[test]
fn a_container_that_only_waits_for_its_start_takes_a_process() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "sleeper", &["sleep", "1000"]).write());
    let output = exec(&host, &[], &container, &["hostname"]).output().assert_success();
    assert_eq!((output.text(), container.status().as_str()), ("nucleus", "created"));
    container.delete_by_force();
}

#[test]
fn no_document_loosens_the_plan() {
    let host = Host::enter();
    let Operated { id, running, files } = Operated::run(
        &host,
        "cat /proc/self/status > /files/own; touch /files/ready; exec sleep 1000",
        "ready",
    );
    let own = fs::read_to_string(files.join("own")).expect("the workload has written it");
    let ids: Vec<u32> = ["Uid", "Gid"].map(|name| own_id(&own, name)).into();
    let all = ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_KILL", "CAP_NET_ADMIN"];
    let document = json!({
        "args": ["/bin/cat", "/proc/self/status"], "cwd": "/", "env": ["PATH=/bin"],
        "user": {"uid": ids[0], "gid": ids[1]}, "noNewPrivileges": false,
        "capabilities": {"bounding": all, "effective": all, "permitted": all, "inheritable": all, "ambient": all},
    });
    let file = host.file("process.json", document.to_string());
    let output = host.nucleus("exec").arg("--process").arg(file).arg(&id).output().assert_code(0);
    let bits =
        |status: &str, name| u64::from_str_radix(crate::status_field(status, name), 16).expect("a mask");
    for set in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"] {
        let beyond = bits(output.text(), set) & !bits(&own, "CapBnd");
        assert_eq!(beyond, 0, "{set} has more than the container's bounding set\n{output}");
    }
    assert_eq!(crate::status_field(output.text(), "NoNewPrivs"), "1");
    assert_eq!(crate::status_field(output.text(), "Seccomp"), "2");
    host.nucleus("kill").args([&id, "KILL"]).output().assert_success();
    running.wait().assert_code(137);
}

/// An id of the process whose `/proc/<pid>/status` is given.
fn own_id(status: &str, name: &str) -> u32 {
    let ids = crate::status_field(status, name);
    ids.split_whitespace().next().and_then(|id| id.parse().ok()).expect("an id is a number")
}

#[test]
fn sockets_of_a_service_manager_are_passed_on() {
    let host = Host::enter();
    let container = sleeper(&host);
    let file = host.file("socket", "content");
    let open = format!("exec 3<{}; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", file.display());
    let script = ["/bin/sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; cat /proc/self/fd/3"];
    let output = exec(&host, &[], &container, &script).through(["/bin/bash", "-c", &open, "bash"]).output();
    assert_eq!(output.assert_success().text(), "1 1\ncontent");
    container.delete_by_force();
}

#[test]
fn a_container_that_is_removed_meanwhile_gives_a_status_or_a_clear_error() {
    let host = Host::enter();
    let bundle = Bundle::new(&host, "sleeper", &["sleep", "1000"]).write();
    for _ in 0..10 {
        let container = Container::create(&host, &bundle);
        container.start();
        let id = container.id.clone();
        thread::scope(|scope| {
            let execs: Vec<_> = (0..4)
                .map(|_| {
                    let call = || host.nucleus("exec").args([&id, "true"]).output();
                    scope.spawn(move || {
                        loop {
                            let output = call();
                            if output.code() != Some(0) {
                                return output;
                            }
                        }
                    })
                })
                .collect();
            container.delete_by_force();
            for exec in execs {
                let output = exec.join().expect("it ends");
                match output.code() {
                    Some(137) => {}
                    Some(125) => assert!(output.stderr.contains("cannot "), "{output}"),
                    _ => panic!("it neither ran nor was refused: {output}"),
                }
            }
        });
        host.assert_no_leak();
    }
}

#[test]
fn a_hundred_containers_are_made_used_and_removed_by_eight_workers() {
    const WORKERS: usize = 8;
    let host = Host::enter();
    let bundle = Bundle::new(&host, "sleeper", &["sleep", "1000"]).write();
    let next = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 100 {
                    let container = Container::create(&host, &bundle);
                    container.start();
                    let output =
                        exec(&host, &[], &container, &["echo", &container.id]).output().assert_success();
                    assert_eq!(output.text(), container.id);
                    container.kill("KILL").assert_success();
                    container.wait_for("stopped");
                    container.delete();
                }
            });
        }
    });
    host.assert_no_leak();
}

#[test]
fn a_busy_container_of_little_processor_time_takes_processes() {
    let host = Host::enter();
    let busy = "for i in 1 2 3 4; do while :; do :; done & done; wait";
    let bundle = Bundle::shell(&host, "busy", busy)
        .set("/linux/resources/cpu", json!({"quota": 20_000, "period": 100_000, "shares": 2}))
        .set("/linux/resources/pids/limit", 60);
    let container = running(&host, bundle);
    thread::scope(|scope| {
        for worker in 0..8 {
            let (host, container) = (&host, &container);
            scope.spawn(move || {
                let word = worker.to_string();
                let output = exec(host, &[], container, &["echo", &word]).output().assert_success();
                assert_eq!(output.text(), word);
            });
        }
    });
    container.delete_by_force();
}

/// CVE-2024-21626: a working directory that leads out through a descriptor that nucleus inherited.
#[test]
fn no_descriptor_of_the_callers_is_a_way_out() {
    let host = Host::enter();
    let container = sleeper(&host);
    let open: Vec<String> = (3..20).map(|number| format!("exec {number}</;")).collect();
    let through = ["/bin/bash", "-c", &format!("{} exec \"$@\"", open.join(" ")), "bash"].map(str::to_owned);
    let canary = host.file("canary", "the host's");
    for number in 3..24 {
        let options = ["--cwd", &format!("/proc/self/fd/{number}")];
        let path = format!(".{}", canary.display());
        let output = exec(&host, &options, &container, &["cat", &path]).through(&through).output();
        assert_ne!(output.code(), Some(0), "{output}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("the host's"), "{output}");
    }
    container.delete_by_force();
}
