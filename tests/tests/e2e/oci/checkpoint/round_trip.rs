//! There and back.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};

use nucleus_tests::descriptor_socket::DescriptorSocket;
use nucleus_tests::{Bundle, Container, Host};
use serde_json::json;

use super::Checkpoints;

#[test]
fn a_counter_goes_on_where_it_was_under_another_id() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    let first = here.counting(&bundle);
    here.checkpoint(&first).output().assert_success();
    let gone = first.verb("state").output().assert_code(1);
    assert!(gone.stderr.contains("container does not exist"), "{gone}");
    here.host.assert_no_leak();
    let container = here.restored(&bundle);
    assert_eq!(container.status(), "running");
    here.goes_on();
    container.delete_by_force();
    here.host.assert_no_leak();
}

#[test]
fn a_container_goes_on_beside_its_images_if_it_shall() {
    let Some(here) = Checkpoints::enter() else { return };
    let container = here.counting(&here.counter().write());
    let pid = container.pid();
    here.checkpoint(&container).arg("--leave-running").output().assert_success();
    assert_eq!((container.status().as_str(), container.pid()), ("running", pid));
    here.goes_on();
    assert!(here.images().join("pstree.img").exists());
    container.delete_by_force();
}

#[test]
fn what_was_restored_is_a_container_like_any_other() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    let container = here.restored(&bundle);
    let id = container.id.as_str();
    let seen = here.host.nucleus("exec").args([id, "cat", "/files/count"]).output().assert_success();
    assert!(seen.text().starts_with(&here.count().0), "{seen}");
    container.verb("pause").output().assert_success();
    assert_eq!(container.status(), "paused");
    container.verb("resume").output().assert_success();
    let listed = here.host.nucleus("ps").args(["--format", "json", id]).output().assert_success();
    assert!(listed.json().as_array().unwrap().contains(&json!(container.pid())), "{listed}");
    // And it can be written into files again, over the old ones.
    here.checkpoint(&container).output().assert_success();
    let again = here.restored(&bundle);
    here.goes_on();
    again.delete_by_force();
}

#[test]
fn a_paused_container_stays_paused_beside_its_images() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    let container = here.counting(&bundle);
    container.verb("pause").output().assert_success();
    here.checkpoint(&container).arg("--leave-running").output().assert_success();
    assert_eq!(container.status(), "paused");
    container.verb("resume").output().assert_success();
    here.goes_on();
    container.delete_by_force();
}

#[test]
fn in_the_foreground_it_returns_the_status_and_leaves_nothing() {
    let Some(here) = Checkpoints::enter() else { return };
    let script = "trap 'exit 7' TERM; : > /files/count; while :; do sleep 0.02; done";
    let bundle = Bundle::shell(&here.host, "waiting", script).bind(&here.files(), "/files").write();
    let first = Container::create(&here.host, &bundle);
    first.start();
    here.host.wait_for_file(&here.files().join("count"));
    here.checkpoint(&first).output().assert_success();
    let container = Container::fresh(&here.host);
    let pid_file = here.host.path("pid");
    let restore = here.verb("restore").arg("--bundle").arg(bundle.path()).arg("--pid-file").arg(&pid_file);
    let restored = restore.arg(&container.id).spawn();
    here.host.wait_for_file(&pid_file);
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), container.pid().to_string());
    container.kill("TERM").assert_success();
    restored.wait().assert_code(7);
    here.host.assert_no_leak();
}

#[test]
fn a_container_in_the_foreground_ends_with_its_checkpoint() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    let container = Container::fresh(&here.host);
    let run = here.host.nucleus("run").arg("--bundle").arg(bundle.path()).arg(&container.id).spawn();
    here.goes_on();
    here.checkpoint(&container).output().assert_success();
    run.wait().assert_code(137);
    here.host.assert_no_leak();
    let container = here.restored(&bundle);
    here.goes_on();
    container.delete_by_force();
}

/// Reads lines, and says what it has read.
const ECHO: &str = "while read line; do echo got $line; : > /files/$line; done; exit 5";

#[test]
fn standard_pipes_are_the_new_callers() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = Bundle::shell(&here.host, "echo", ECHO).bind(&here.files(), "/files").write();
    let container = Container::fresh(&here.host);
    let run = here.host.nucleus("run").arg("--bundle").arg(bundle.path()).arg(&container.id);
    let mut run = run.stdin_open().spawn();
    let mut input = run.stdin();
    input.write_all(b"one\n").unwrap();
    here.host.wait_for_file(&here.files().join("one"));
    here.checkpoint(&container).output().assert_success();
    let ran = run.wait().assert_code(137);
    assert_eq!(ran.text(), "got one");
    let container = Container::fresh(&here.host);
    let restore = here.host.nucleus("restore").global("--criu").global(here.criu.to_str().unwrap());
    let restore = restore.arg("--image-path").arg(here.images()).arg("--bundle").arg(bundle.path());
    let restored = restore.arg(&container.id).stdin("two\n").output().assert_code(5);
    assert_eq!(restored.text(), "got two", "{restored}");
}

#[test]
fn a_file_of_the_hosts_is_given_again_and_nothing_else_in_its_place() {
    let Some(here) = Checkpoints::enter() else { return };
    let log = here.host.path("log");
    let bundle = Bundle::shell(&here.host, "talker", "while :; do echo word; sleep 0.02; done").write();
    let container = Container::fresh(&here.host);
    container.creating(&bundle).output_to(&log).output().assert_success();
    container.start();
    let length = || fs::metadata(&log).map_or(0, |metadata| metadata.len());
    here.host.wait_until("it talks", || length() > 0);
    here.checkpoint(&container).output().assert_success();
    let before = length();
    let container = Container::fresh(&here.host);
    let restore = here.host.nucleus("restore").global("--criu").global(here.criu.to_str().unwrap());
    let restore = restore.arg("--image-path").arg(here.images()).arg("--bundle").arg(bundle.path());
    let refused = restore.arg("--detach").arg(&container.id).output().assert_code(125);
    assert!(refused.stderr.contains("it was a file when the checkpoint was made"), "{refused}");
    here.host.assert_no_leak();
    let restore = here.restore(&bundle, &container.id);
    let through = ["/bin/sh", "-c", "exec \"$@\" >> \"$LOG\"", "sh"];
    restore.through(through).env("LOG", &log).output().assert_success();
    here.host.wait_until("it goes on", || length() > before);
    container.delete_by_force();
}

#[test]
fn a_terminal_is_made_anew_and_handed_over() {
    terminal_comes_back(&[]);
}

/// The option allows a session of the host; one of the container's own comes back as without it.
#[test]
fn a_shell_job_has_its_terminal_again() {
    terminal_comes_back(&["--shell-job"]);
}

#[track_caller]
fn terminal_comes_back(switches: &[&str]) {
    let Some(here) = Checkpoints::enter() else { return };
    let script = "echo ready; while read line; do test -t 0 && echo got $line on $(tty); done";
    let bundle = Bundle::shell(&here.host, "terminal", script).set("/process/terminal", true).write();
    let container = Container::fresh(&here.host);
    let socket = DescriptorSocket::listen(here.host.path("console"));
    container.creating(&bundle).arg("--console-socket").arg(socket.path()).output().assert_success();
    let mut terminal = Lines::of(socket.receive().1.into());
    container.start();
    terminal.until("ready");
    here.checkpoint(&container).args(switches).output().assert_success();
    drop(terminal);
    let container = Container::fresh(&here.host);
    let restore = here.restore(&bundle, &container.id).arg("--console-socket").arg(socket.path());
    restore.args(switches).output().assert_success();
    let mut terminal = Lines::of(socket.receive().1.into());
    terminal.file.write_all(b"hello\n").unwrap();
    terminal.until("got hello on /dev/pts/0");
    container.delete_by_force();
}

/// A terminal, read by line.
struct Lines {
    file: File,
    reader: BufReader<File>,
}

impl Lines {
    fn of(file: File) -> Self {
        let reader = BufReader::new(file.try_clone().unwrap());
        Self { file, reader }
    }

    fn until(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(self.reader.read_line(&mut line).expect("the terminal is open") > 0, "{words}");
        }
    }
}

#[test]
fn memory_can_be_written_before_the_rest() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    let container = here.counting(&bundle);
    let criu = here.criu.to_str().unwrap();
    let before = here.host.path("before");
    let pre = here.host.nucleus("checkpoint").global("--criu").global(criu).arg("--pre-dump");
    let made = pre.arg("--image-path").arg(&before).arg(&container.id).detached().output();
    if made.stderr.contains("Tracking memory is not available") {
        container.delete_by_force();
        return nucleus_tests::skip("this kernel does not track dirty pages");
    }
    made.assert_success();
    here.goes_on();
    here.checkpoint(&container).args(["--parent-path", "../before"]).output().assert_success();
    let container = here.restored(&bundle);
    here.goes_on();
    container.delete_by_force();
}

#[test]
fn volumes_keep_what_is_mounted_below_them() {
    let Some(here) = Checkpoints::enter() else { return };
    let files = here.files();
    let below = crate::open_directory(&here.host, "below");
    fs::write(below.join("deep"), "seen").unwrap();
    fs::create_dir(files.join("below")).unwrap();
    let mounted = Mounted::bind(&below, &files.join("below"));
    let bundle = here.counter().write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    let container = here.restored(&bundle);
    let read = here.host.nucleus("exec").args([&container.id, "cat", "/files/below/deep"]).output();
    assert_eq!(read.assert_success().text(), "seen");
    container.delete_by_force();
    drop(mounted);
}

/// A mount of the test's, taken away again.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn bind(source: &std::path::Path, target: &std::path::Path) -> Self {
        let words = ["--bind", source.to_str().unwrap(), target.to_str().unwrap()];
        assert!(std::process::Command::new("mount").args(words).status().unwrap().success());
        Self(target.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(std::process::Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

/// The hooks that prepare namespaces are called for the new ones; those that surround the start of a program are not.
#[test]
fn hooks_that_prepare_namespaces_are_called_again() {
    let Some(here) = Checkpoints::enter() else { return };
    let log = crate::open_directory(&here.host, "log");
    let mut bundle = here.counter();
    for point in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        let script = format!("echo {point} >> {}/order; cat > {}/{point}", log.display(), log.display());
        bundle = bundle.push(
            &format!("/hooks/{point}"),
            json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}),
        );
    }
    let bundle = bundle.write();
    let container = here.counting(&bundle);
    here.checkpoint(&container).output().assert_success();
    let order = || fs::read_to_string(log.join("order")).unwrap_or_default();
    assert!(order().ends_with("poststart\npoststop\n"), "{}", order());
    fs::remove_file(log.join("order")).unwrap();
    let container = here.restored(&bundle);
    assert_eq!(order(), "prestart\ncreateRuntime\n");
    let told: serde_json::Value =
        serde_json::from_slice(&fs::read(log.join("createRuntime")).unwrap()).unwrap();
    assert_eq!((&told["id"], &told["pid"]), (&json!(container.id), &json!(container.pid())));
    container.delete_by_force();
    assert!(order().ends_with("poststop\n"));
}

#[test]
fn a_network_namespace_of_somebody_elses_is_joined_again() {
    let Some(here) = Checkpoints::enter() else { return };
    let holder = |host: &Host, name: &str| {
        let bundle = Bundle::new(host, name, &["sleep", "1000"]).write();
        let container = Container::create(host, &bundle);
        container.start();
        container.id
    };
    let (first, second) = (holder(&here.host, "one"), holder(&here.host, "two"));
    let first = Container::named(&here.host, &first);
    let second = Container::named(&here.host, &second);
    let network = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let path = |container: &Container<'_>| format!("/proc/{}/ns/net", container.pid());
    let counter = here.counter();
    let bundle = counter.clone().set("/linux/namespaces/1/path", path(&first)).write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    let bundle = counter.set("/linux/namespaces/1/path", path(&second)).write();
    let container = here.restored(&bundle);
    assert_eq!(network(container.pid()), network(second.pid()));
    here.goes_on();
    [container, first, second].into_iter().for_each(Container::delete_by_force);
}
