//! `podman exec`.

use nucleus_tests::Host;
use nucleus_tests::engines::Podman;
use nucleus_tests::pty::Terminal;

#[test]
fn a_command_joins_the_container() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("house", &["--hostname", "inside", "--env", "A=1"]);
    let script = "echo $(hostname) $A $B $(pwd) $(id -u):$(id -g); cat /proc/1/cmdline | tr '\\0' ' '";
    let flags = ["exec", "--env", "B=2", "--workdir", "/tmp", "--user", "1234:2345"];
    let text = podman.call(&[&flags[..], &["house", "/bin/sh", "-c", script]].concat()).text();
    assert!(text.starts_with("inside 1 2 /tmp 1234:2345\n/bin/sh -c trap"), "{text}");
}

#[test]
fn its_streams_and_exit_status_go_through() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("house", &[]);
    let script = "cat; echo err >&2; exit 9";
    let call = podman.call(&["exec", "--interactive", "house", "/bin/sh", "-c", script]);
    let output = call.stdin("in\n").output().assert_code(9);
    assert_eq!((output.text(), output.stderr.trim_end()), ("in", "err"));
    podman.call(&["exec", "house", "/no/such"]).output().assert_code(127);
    podman.call(&["exec", "house", "/etc/passwd"]).output().assert_code(126);
    podman.call(&["exec", "house", "/bin/sh", "-c", "kill -9 $$"]).output().assert_code(137);
}

#[test]
fn it_gets_a_terminal_of_its_own() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("house", &[]);
    let words = podman.call(&["exec", "--interactive", "--tty", "house", "/bin/sh"]).words();
    let mut terminal = Terminal::start(&words, 29, 91);
    terminal.send("tty; stty size\r");
    terminal.expect("/dev/pts/");
    terminal.expect("29 91");
    terminal.send("exit 4\r");
    let (status, seen) = terminal.wait();
    assert_eq!(status.code(), Some(4), "{seen}");
}

#[test]
fn it_stands_in_the_containers_cgroup_with_the_containers_privileges() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper(
        "house",
        &["--cap-drop", "all", "--cap-add", "chown", "--security-opt", "no-new-privileges"],
    );
    let facts = "grep -E '^(CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status";
    let of_first = podman.call(&["exec", "house", "/bin/sh", "-c", &facts.replace("self", "1")]).text();
    let of_exec = podman.call(&["exec", "house", "/bin/sh", "-c", facts]).text();
    assert_eq!(of_exec, of_first);
    assert!(of_exec.contains("CapEff:\t0000000000000001"), "{of_exec}");
    let cgroups =
        podman.call(&["exec", "house", "/bin/sh", "-c", "cat /proc/1/cgroup; echo; cat /proc/self/cgroup"]);
    let cgroups = cgroups.text();
    let (of_first, of_exec) = cgroups.split_once("\n\n").expect("two listings");
    assert_eq!(of_exec, of_first);
}

#[test]
fn a_detached_one_outlives_the_call() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("house", &[]);
    podman.call(&["exec", "--detach", "house", "/bin/sh", "-c", "echo done > /tmp/mark"]).text();
    super::wait_until("the mark", || {
        podman.call(&["exec", "house", "cat", "/tmp/mark"]).output().text() == "done"
    });
}

#[test]
fn twenty_at_once_lose_no_output() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("house", &[]);
    let running: Vec<_> = (0..20)
        .map(|n| podman.call(&["exec", "house", "/bin/sh", "-c", &format!("echo number {n}")]).spawn())
        .collect();
    for (n, exec) in running.into_iter().enumerate() {
        assert_eq!(exec.wait().assert_code(0).text(), format!("number {n}"));
    }
}
