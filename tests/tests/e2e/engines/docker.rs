//! Docker, through containerd's shim, calls nucleus.

use nucleus_tests::Host;
use nucleus_tests::engines::Docker;
use nucleus_tests::pty::Terminal;

use super::wait_until;

#[test]
fn output_input_and_exit_status_go_through() {
    let host = Host::enter();
    let docker = Docker::enter(&host);
    let output = docker.shell(&[], "echo out; echo err >&2; exit 7").output().assert_code(7);
    assert_eq!((output.text(), output.stderr.trim_end()), ("out", "err"));
    let output = docker.shell(&["--interactive"], "tr a-z A-Z").stdin("shout").output().assert_code(0);
    assert_eq!(output.text(), "SHOUT");
    let missing = docker.run(&["--rm"], &["/no/such"]).output().assert_code(127);
    assert!(missing.stderr.contains("/no/such"), "names the program\n{missing}");
    let unusable = docker.run(&["--rm"], &["/etc/passwd"]).output().assert_code(126);
    assert!(unusable.stderr.contains("/etc/passwd"), "names the program\n{unusable}");
    assert_eq!(docker.call(&["info", "--format", "{{.DefaultRuntime}}"]).text(), "nucleus");
}

#[test]
fn a_container_and_an_exec_have_terminals() {
    let host = Host::enter();
    let docker = Docker::enter(&host);
    let words = docker.run(&["--rm", "--interactive", "--tty", "--name", "talk"], &["/bin/sh"]).words();
    let mut terminal = Terminal::start(&words, 31, 87);
    terminal.send("while [ \"$(stty size)\" != '31 87' ]; do sleep 0.02; done; echo si''zed\r");
    terminal.expect("sized");
    let words = docker.call(&["exec", "--interactive", "--tty", "talk", "/bin/sh"]).words();
    let mut second = Terminal::start(&words, 29, 91);
    second.send("tty; exit 4\r");
    second.expect("/dev/pts/");
    assert_eq!(second.wait().0.code(), Some(4));
    terminal.send("exit 3\r");
    assert_eq!(terminal.wait().0.code(), Some(3));
}

#[test]
fn a_container_in_the_background_lives_as_docker_says() {
    let host = Host::enter();
    let docker = Docker::enter(&host);
    docker.sleeper("house", &["--env", "A=1", "--hostname", "inside"]);
    let exec = ["exec", "--user", "1234", "--workdir", "/tmp", "house", "/bin/sh", "-c"];
    let script = "echo $(hostname) $A $(pwd) $(id -u); exit 5";
    let output = docker.call(&[&exec[..], &[script]].concat()).output().assert_code(5);
    assert_eq!(output.text(), "inside 1 /tmp 1234");
    docker.call(&["pause", "house"]).text();
    assert_eq!(docker.inspect("house", ".State.Status"), "paused");
    docker.call(&["unpause", "house"]).text();
    assert!(docker.call(&["top", "house"]).text().contains("sleep 1000"));
    docker.call(&["stop", "--time", "15", "house"]).text();
    assert_eq!(docker.inspect("house", ".State.ExitCode"), "0");
    docker.call(&["start", "house"]).text();
    docker.call(&["kill", "house"]).text();
    wait_until("the end", || docker.inspect("house", ".State.ExitCode") == "137");
    docker.call(&["start", "house"]).text();
    docker.call(&["rm", "--force", "house"]).text();
}

#[test]
fn limits_are_set_changed_counted_and_reported() {
    let host = Host::enter();
    let docker = Docker::enter(&host);
    docker.sleeper("house", &["--memory", "64m", "--pids-limit", "40"]);
    assert_eq!(docker.call(&["stats", "--no-stream", "--format", "{{.PIDs}}", "house"]).text(), "2");
    docker.call(&["update", "--memory", "32m", "--memory-swap", "32m", "house"]).text();
    let pattern = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null";
    let limit = docker.call(&["exec", "house", "/bin/sh", "-c", pattern]).output();
    assert_eq!(limit.text(), "33554432");
    docker
        .run(&["--name", "hungry", "--memory", "16m"], &["/bin/sh", "-c", "tail /dev/zero"])
        .output()
        .assert_code(137);
    assert_eq!(docker.inspect("hungry", ".State.OOMKilled"), "true");
}

#[test]
fn files_identities_and_privileges_are_as_asked_for() {
    let host = Host::enter();
    let docker = Docker::enter(&host);
    let volume =
        format!("{}:/shared:ro", host.file("file", "from the host").parent().expect("a directory").display());
    let flags = ["--read-only", "--tmpfs", "/tmp", "--volume", &volume, "--user", "1234:2345"];
    let more = ["--cap-drop", "all", "--security-opt", "no-new-privileges", "--init", "--shm-size", "1m"];
    let script = "cat /shared/file; echo; id -u; echo x > /tmp/x && cat /tmp/x; touch /shared/x || echo refused; \
        grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/1/comm; df -k /dev/shm | tail -1";
    let text = docker.shell(&[&flags[..], &more].concat(), script).text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..4], ["from the host", "1234", "x", "refused"], "{text}");
    assert_eq!(lines[4..7], ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"], "{text}");
    assert_eq!(lines[7], "docker-init");
    assert_eq!(lines[8].split_whitespace().nth(1), Some("1024"), "{text}");
}

#[test]
fn docker_runs_health_checks_and_starts_again_what_fails() {
    let host = Host::enter();
    let docker = Docker::enter(&host);
    let health = ["--health-cmd", "test -e /well", "--health-interval", "200ms", "--health-retries", "1"];
    docker.sleeper("patient", &health);
    wait_until("it is ill", || docker.inspect("patient", ".State.Health.Status") == "unhealthy");
    docker.call(&["exec", "patient", "touch", "/well"]).text();
    wait_until("it is well", || docker.inspect("patient", ".State.Health.Status") == "healthy");
    let restart = ["--detach", "--restart", "on-failure:2", "--name", "failing"];
    docker.run(&restart, &["/bin/sh", "-c", "echo again; exit 1"]).text();
    wait_until("two more starts", || docker.call(&["logs", "failing"]).text().lines().count() == 3);
}
