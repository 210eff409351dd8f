//! A workload on a terminal.

use nucleus_tests::pty::Terminal;
use nucleus_tests::{Host, Nucleus};

use crate::PROFILES;

pub(crate) fn on_terminal(host: &Host, profile: impl AsRef<std::path::Path>, command: &[&str]) -> Nucleus {
    host.nucleus("run").profile(profile).args(["--id", &host.fresh_id(), "-t"]).command(command)
}

#[test]
fn the_workload_has_a_terminal_of_the_same_size() {
    let host = Host::enter();
    for profile in PROFILES {
        let call = on_terminal(&host, profile, &["/bin/sh", "-c", "tty; stty size; test -t 1 && echo yes"]);
        let (status, text) = Terminal::start(&call.words(), 31, 97).wait();
        assert!(status.success(), "{text}");
        for part in ["/dev/pts/0", "31 97", "yes"] {
            assert!(text.contains(part), "`{part}` in {text}");
        }
    }
}

#[test]
fn a_terminal_is_given_where_standard_input_is_one() {
    let host = Host::enter();
    let call =
        host.nucleus("run").profile(crate::DEV).args(["--id", &host.fresh_id()]).command(["/usr/bin/tty"]);
    let (status, text) = Terminal::start(&call.words(), 24, 80).wait();
    assert!(status.success(), "{text}");
    assert!(text.contains("/dev/pts/0"), "{text}");
}

#[test]
fn a_new_window_size_is_passed_on() {
    let host = Host::enter();
    for profile in PROFILES {
        let script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.02; done";
        let call = on_terminal(&host, profile, &["/bin/sh", "-c", script]);
        let mut terminal = Terminal::start(&call.words(), 24, 80);
        terminal.expect("ready");
        terminal.resize(50, 132);
        terminal.expect("50 132");
        assert!(terminal.wait().0.success());
    }
}

#[test]
fn a_shell_has_job_control() {
    let host = Host::enter();
    for profile in PROFILES {
        let call = on_terminal(&host, profile, &["/bin/bash", "--norc", "--noprofile", "-i"]);
        let mut shell = Terminal::start(&call.env("PS1", "> ").words(), 24, 80);
        shell.send("PS1='re''ady '\n");
        shell.expect("ready ");
        shell.send("sleep 100\n");
        shell.expect("sleep 100");
        // The shell hands the terminal over before the job runs: typed too early, the key would reach the shell.
        std::thread::sleep(std::time::Duration::from_millis(200));
        shell.send("\x1a");
        shell.expect("Stopped");
        shell.expect("ready ");
        shell.send("jobs\n");
        shell.expect("[1]+");
        shell.expect("Stopped");
        shell.send("fg\n");
        shell.expect("sleep 100");
        std::thread::sleep(std::time::Duration::from_millis(200));
        shell.send("\x03");
        shell.expect("ready ");
        shell.send("echo status $?\n");
        shell.expect("status 130");
        shell.send("exit 3\n");
        let (status, text) = shell.wait();
        assert_eq!(status.code(), Some(3), "{text}");
        assert!(!text.contains("no job control"), "{text}");
    }
}

#[test]
fn the_operators_terminal_is_as_before_afterwards() {
    let host = Host::enter();
    let call = on_terminal(&host, crate::DEV, &["/bin/sh", "-c", "stty raw -echo; exit 5"]);
    let script = r#"before=$(stty -g); "$@"; echo status $?; [ "$before" = "$(stty -g)" ] && echo same"#;
    let (status, text) =
        Terminal::start(&call.through(["/bin/sh", "-c", script, "sh"]).words(), 24, 80).wait();
    assert!(status.success(), "{text}");
    assert!(text.contains("status 5") && text.contains("same"), "{text}");
}
