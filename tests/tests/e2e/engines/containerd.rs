//! containerd's runc shim calls nucleus.

use nucleus_tests::Host;
use nucleus_tests::engines::Containerd;
use nucleus_tests::pty::Terminal;

use super::wait_until;

#[test]
fn a_task_runs_and_ends_with_its_status() {
    let host = Host::enter();
    let containerd = Containerd::enter(&host);
    let output =
        containerd.run("one", &["--rm"], &["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]).output();
    let output = output.assert_code(7);
    assert_eq!((output.text(), output.stderr.trim_end()), ("out", "err"));
    let missing = containerd.run("two", &["--rm"], &["/no/such"]).output();
    assert_ne!(missing.code(), Some(0), "{missing}");
    assert!(missing.stderr.contains("/no/such"), "names the program\n{missing}");
}

#[test]
fn a_task_on_a_terminal_is_talked_to() {
    let host = Host::enter();
    let containerd = Containerd::enter(&host);
    let script = "tty; while [ \"$(stty size)\" != '31 87' ]; do sleep 0.02; done; stty size; read line; echo got $line; exit 3";
    let words = containerd.run("talk", &["--rm", "--tty"], &["/bin/sh", "-c", script]).words();
    let mut terminal = Terminal::start(&words, 31, 87);
    terminal.expect("/dev/pts/0");
    terminal.expect("31 87");
    terminal.send("hello\r");
    terminal.expect("got hello");
    let (status, seen) = terminal.wait();
    assert_eq!(status.code(), Some(3), "{seen}");
}

#[test]
fn a_task_in_the_background_is_executed_in_killed_and_deleted() {
    let host = Host::enter();
    let containerd = Containerd::enter(&host);
    containerd.sleeper("house", &["--env", "A=1"]);
    assert_eq!(containerd.status("house").as_deref(), Some("RUNNING"));
    let exec =
        ["task", "exec", "--exec-id", "e1", "house", "/bin/sh", "-c", "echo $A $(cat /proc/1/comm); exit 5"];
    assert_eq!(containerd.ctr(&exec).output().assert_code(5).text(), "1 sh");
    containerd.ctr(&["task", "kill", "--signal", "SIGTERM", "house"]).text();
    containerd.wait_for_status("house", "STOPPED");
    containerd.ctr(&["task", "delete", "house"]).text();
    containerd.ctr(&["container", "delete", "house"]).text();
    assert_eq!(containerd.status("house"), None);
}

#[test]
fn an_exec_gets_a_terminal_and_a_missing_command_is_named() {
    let host = Host::enter();
    let containerd = Containerd::enter(&host);
    containerd.sleeper("house", &[]);
    let words = containerd.ctr(&["task", "exec", "--tty", "--exec-id", "t", "house", "/bin/sh"]).words();
    let mut terminal = Terminal::start(&words, 29, 91);
    // ctr sizes a terminal after the start.
    terminal.send("while [ \"$(stty size)\" != '29 91' ]; do sleep 0.02; done; echo si''zed; exit 4\r");
    terminal.expect("sized");
    assert_eq!(terminal.wait().0.code(), Some(4));
    let missing = containerd.ctr(&["task", "exec", "--exec-id", "m", "house", "/no/such"]).output();
    assert_ne!(missing.code(), Some(0), "{missing}");
    assert!(missing.stderr.contains("/no/such"), "names the program\n{missing}");
}

#[test]
fn a_detached_task_is_deleted_by_force() {
    let host = Host::enter();
    let containerd = Containerd::enter(&host);
    containerd.run("deaf", &["--detach"], &["/bin/sleep", "1000"]).text();
    let list = containerd.ctr(&["task", "ls"]).text();
    let pid = list.lines().last().and_then(|line| line.split_whitespace().nth(1)).expect("a pid").to_owned();
    containerd.ctr(&["task", "delete", "--force", "deaf"]).output();
    wait_until("the task is gone", || containerd.status("deaf").is_none());
    assert!(!std::path::Path::new("/proc").join(pid).exists(), "its process is gone");
}

#[test]
fn pause_stops_and_resume_goes_on() {
    let host = Host::enter();
    let containerd = Containerd::enter(&host);
    containerd.sleeper("house", &[]);
    containerd.ctr(&["task", "pause", "house"]).text();
    assert_eq!(containerd.status("house").as_deref(), Some("PAUSED"));
    containerd.ctr(&["task", "resume", "house"]).text();
    assert_eq!(containerd.status("house").as_deref(), Some("RUNNING"));
}

#[test]
fn metrics_and_processes_are_those_of_the_task() {
    let host = Host::enter();
    let containerd = Containerd::enter(&host);
    containerd.sleeper("house", &["--memory-limit", "67108864"]);
    let metrics = containerd.ctr(&["task", "metrics", "--format", "json", "house"]).text();
    assert!(metrics.contains("67108864"), "the limit is among the metrics: {metrics}");
    let processes = containerd.ctr(&["task", "ps", "house"]).text();
    assert_eq!(processes.lines().count(), 3, "a heading, the shell and its sleep: {processes}");
}

#[test]
fn memory_beyond_the_limit_ends_the_task() {
    let host = Host::enter();
    let containerd = Containerd::enter(&host);
    let command = ["/bin/sh", "-c", "tail /dev/zero"];
    containerd.run("hungry", &["--rm", "--memory-limit", "16777216"], &command).output().assert_code(137);
}

#[test]
fn mounts_and_read_only_roots_are_as_asked_for() {
    let host = Host::enter();
    let containerd = Containerd::enter(&host);
    let file = host.file("file", "from the host");
    let mount =
        format!("type=bind,src={},dst=/mnt,options=rbind:ro", file.parent().expect("a directory").display());
    let flags = ["--rm", "--mount", &mount, "--cwd", "/tmp"];
    let script = "cat /mnt/file; echo; pwd; touch /mnt/x || echo refused";
    let text = containerd.run("mounted", &flags, &["/bin/sh", "-c", script]).text();
    assert_eq!(text, "from the host\n/tmp\nrefused");
    let output = containerd.run("ro", &["--rm", "--read-only"], &["touch", "/file"]).output().assert_code(1);
    assert!(output.stderr.contains("Read-only file system"), "{output}");
}

/// Its images are content of containerd's, and the restored task is one of another container.
#[test]
fn a_task_goes_on_after_its_checkpoint() {
    let host = Host::enter();
    let Some(criu) = nucleus_tests::criu() else { return };
    let containerd = Containerd::enter(&host).with_criu(&criu);
    let files = crate::open_directory(&host, "files");
    let mount = format!("type=bind,src={},dst=/files,options=rbind:rw", files.display());
    let script = "name=$(cat /proc/sys/kernel/random/uuid); i=0; \
        while :; do i=$((i+1)); echo $name $i > /files/next; mv /files/next /files/count; sleep 0.01; done";
    containerd.run("house", &["--detach", "--mount", &mount], &["/bin/sh", "-c", script]).text();
    let count = || {
        let text = std::fs::read_to_string(files.join("count")).unwrap_or_default();
        let (name, count) = text.trim().split_once(' ').unwrap_or_default();
        (name.to_owned(), count.parse::<u64>().unwrap_or(0))
    };
    wait_until("it counts", || count().1 > 0);
    containerd.ctr(&["container", "checkpoint", "--task", "--image", "--rw", "house", "frozen"]).text();
    containerd.ctr(&["task", "delete", "--force", "house"]).output();
    containerd.ctr(&["container", "delete", "house"]).text();
    let before = count();
    containerd.ctr(&["container", "restore", "--live", "--rw", "house", "frozen"]).text();
    wait_until("it goes on", || count().1 > before.1);
    assert_eq!(count().0, before.0, "another counter began");
    assert_eq!(containerd.status("house").as_deref(), Some("RUNNING"));
}
