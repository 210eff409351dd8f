//! `podman run`, `podman logs`.

use nucleus_tests::Host;
use nucleus_tests::engines::Podman;
use nucleus_tests::pty::Terminal;

use super::wait_until;

#[test]
fn output_input_and_exit_status_go_through() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let output = podman.shell(&[], "echo out; echo err >&2; exit 7").output().assert_code(7);
    assert_eq!(output.text(), "out");
    assert_eq!(output.stderr.trim_end(), "err");
    let output = podman.shell(&["--interactive"], "tr a-z A-Z").stdin("shout").output().assert_code(0);
    assert_eq!(output.text(), "SHOUT");
}

#[test]
fn a_signal_a_missing_and_an_unusable_command_have_their_statuses() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    // As the first process of its own pid namespace the shell could not kill itself (pid_namespaces(7)).
    podman.shell(&["--pid", "host"], "kill -9 $$").output().assert_code(137);
    let missing = podman.run(&["--rm"], &["/no/such"]).output().assert_code(127);
    assert!(missing.stderr.contains("/no/such"), "names the program\n{missing}");
    let unusable = podman.run(&["--rm"], &["/etc/passwd"]).output().assert_code(126);
    assert!(unusable.stderr.contains("/etc/passwd"), "names the program\n{unusable}");
}

#[test]
fn environment_directory_host_name_and_labels_arrive() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let flags = ["--env", "FRUIT=fig", "--workdir", "/tmp", "--hostname", "orchard", "--label", "a=b"];
    let flags =
        [&flags[..], &["--ulimit", "nofile=77:99", "--ulimit", "nproc=900:900", "--oom-score-adj", "500"]]
            .concat();
    let script = "echo $FRUIT $(pwd) $(hostname) $(ulimit -n) $(ulimit -Hn) $(cat /proc/self/oom_score_adj)";
    assert_eq!(podman.shell(&flags, script).text(), "fig /tmp orchard 77 99 500");
}

#[test]
fn a_container_on_a_terminal_is_talked_to_and_resized() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "trap 'echo size $(stty size)' WINCH; tty; stty size; \
        while ! read line; do :; done; echo got $line; while :; do sleep 0.1; done";
    let words = podman.shell(&["--interactive", "--tty", "--name", "talk"], script).words();
    let mut terminal = Terminal::start(&words, 31, 87);
    terminal.expect("/dev/pts/0");
    terminal.expect("31 87");
    terminal.send("hello\r");
    terminal.expect("got hello");
    terminal.resize(40, 100);
    terminal.expect("size 40 100");
    // Ctrl-C reaches the container as SIGINT from its own terminal.
    terminal.send("\x03");
    let (status, seen) = terminal.wait();
    assert_eq!(status.code(), Some(130), "{seen}");
}

#[test]
fn logs_keep_what_a_container_in_the_background_wrote() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman
        .run(&["--detach", "--name", "writer"], &["/bin/sh", "-c", "echo one; echo two >&2; exit 3"])
        .text();
    assert_eq!(podman.call(&["wait", "writer"]).text(), "3");
    wait_until("both lines", || podman.call(&["logs", "writer"]).output().assert_code(0).text() == "one");
    let logs = podman.call(&["logs", "writer"]).output().assert_code(0);
    assert_eq!(logs.stderr.trim_end(), "two");
    assert_eq!(podman.inspect("writer", ".State.ExitCode"), "3");
}

#[test]
fn attach_reaches_a_container_in_the_background() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "read line; echo heard $line";
    podman.run(&["--detach", "--interactive", "--name", "ear"], &["/bin/sh", "-c", script]).text();
    let output = podman.call(&["attach", "ear"]).stdin("music\n").output().assert_code(0);
    assert_eq!(output.text(), "heard music");
}
