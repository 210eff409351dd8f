//! What goes between an engine and its container beside standard input and output: terminals, process ids, descriptors.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nucleus_tests::descriptor_socket::DescriptorSocket;
use nucleus_tests::{Bundle, Container, Host, Nucleus};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::open_directory;

/// Runs nucleus with some descriptors open, as a shell writes it: `3</file`.
fn holding(call: Nucleus, redirections: &str, variables: &str) -> Nucleus {
    call.through(["/bin/sh", "-c", &format!("{variables} exec \"$@\" {redirections}"), "sh"])
}

#[test]
fn the_pid_file_holds_the_first_process_and_is_whole() {
    let host = Host::enter();
    let container = Container::fresh(&host);
    let file = host.path("pid");
    let bundle = Bundle::new(&host, "bundle", &["sleep", "60"]).write();
    container.creating(&bundle).arg("--pid-file").arg(&file).output().assert_success();
    assert_eq!(fs::read_to_string(&file).unwrap(), container.pid().to_string());
    container.delete_by_force();
    assert_eq!(
        fs::read_dir(host.path("")).unwrap().count(),
        2,
        "the bundle and the file, and nothing temporary"
    );
}

#[test]
fn a_pid_file_that_cannot_be_written_leaves_no_container() {
    let host = Host::enter();
    let container = Container::fresh(&host);
    let bundle = Bundle::new(&host, "bundle", &["sleep", "60"]).write();
    let output = container.creating(&bundle).args(["--pid-file", "/nowhere/pid"]).output().assert_code(1);
    assert!(output.stderr.contains("/nowhere/pid: No such file or directory"), "{output}");
    host.assert_no_leak();
}

#[test]
fn the_console_socket_receives_the_terminal() {
    let host = Host::enter();
    let container = Container::fresh(&host);
    let script = "test -t 0 && test -t 2 && stty size; read word; echo got $word; sleep 60";
    let bundle = Bundle::shell(&host, "bundle", script)
        .set("/process/terminal", true)
        .set("/process/consoleSize", serde_json::json!({"height": 33, "width": 99}))
        .write();
    let socket = DescriptorSocket::listen(host.path("console"));
    container.creating(&bundle).arg("--console-socket").arg(socket.path()).output().assert_success();
    let (_, terminal) = socket.receive();
    let mut terminal = File::from(terminal);
    container.start();
    terminal.write_all(b"hello\n").unwrap();
    let mut seen = String::new();
    while !seen.contains("got hello") {
        let mut fds = [PollFd::new(&terminal, PollFlags::IN)];
        let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
        assert!(poll(&mut fds, Some(&patience)).unwrap() > 0, "the terminal shows: {seen}");
        let mut bytes = [0; 1024];
        let count = terminal.read(&mut bytes).unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    assert!(seen.contains("33 99"), "{seen}");
    container.delete_by_force();
    host.assert_no_leak();
}

#[test]
fn a_terminal_and_its_socket_belong_together() {
    let host = Host::enter();
    let with = Bundle::new(&host, "with", &["true"]).set("/process/terminal", true).write();
    let without = Bundle::new(&host, "without", &["true"]).write();
    let refused = |call: Nucleus, words: &str| {
        let output = call.output();
        assert!(output.code().is_some_and(|code| code != 0) && output.stderr.contains(words), "{output}");
    };
    let container = Container::fresh(&host);
    refused(container.creating(&with), "without --console-socket");
    refused(container.creating(&without).args(["--console-socket", "/x"]), "process.terminal");
    refused(container.creating(&with).args(["--console-socket", "/nowhere/socket"]), "/nowhere/socket");
    let run = host.nucleus("run").arg("--bundle").arg(with.path()).arg(host.fresh_id());
    refused(run.args(["--console-socket", "/x"]), "--detach");
    host.assert_no_leak();
}

#[test]
fn the_pidfd_socket_receives_a_descriptor_of_the_first_process() {
    let host = Host::enter();
    let container = Container::fresh(&host);
    let bundle = Bundle::new(&host, "bundle", &["sleep", "60"]).write();
    let socket = DescriptorSocket::listen(host.path("pidfd"));
    container.creating(&bundle).arg("--pidfd-socket").arg(socket.path()).output().assert_success();
    let (_, pidfd) = socket.receive();
    let info =
        fs::read_to_string(format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&pidfd))).unwrap();
    assert!(info.contains(&format!("Pid:\t{}\n", container.pid())), "{info}");
    container.delete_by_force();
    let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    assert_eq!(poll(&mut fds, Some(&Timespec { tv_sec: 20, tv_nsec: 0 })).unwrap(), 1, "it tells of the end");
}

#[test]
fn preserved_descriptors_arrive_and_others_do_not() {
    let host = Host::enter();
    let (one, two) = (host.file("one", "first"), host.file("two", "second"));
    let script = "cat <&3; cat <&4; ls /proc/self/fd | tr '\\n' ' '";
    let bundle = Bundle::shell(&host, "bundle", script).write();
    let run = host
        .nucleus("run")
        .arg("--bundle")
        .arg(bundle.path())
        .args(["--preserve-fds", "2"])
        .arg(host.fresh_id());
    let open = format!("3<{} 4<{} 5</etc/hostname", one.display(), two.display());
    let output = holding(run, &open, "").output().assert_success();
    assert!(output.text().starts_with("firstsecond0 1 2 3 4 "), "{output}");
    assert!(!output.text().contains(" 6"), "5 is ls's own: {output}");
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error_and_never_the_log() {
    let host = Host::enter();
    let bundle = Bundle::shell(&host, "bundle", "cat <&3").write();
    let run = host.nucleus("run").global("--log").global(host.path("log"));
    let run = run.arg("--bundle").arg(bundle.path()).args(["--preserve-fds", "1"]).arg(host.fresh_id());
    let output = holding(run, "3<&-", "").output().assert_code(125);
    assert!(output.stderr.contains("descriptor 3"), "{output}");
    host.assert_no_leak();
}

#[test]
fn sockets_of_a_service_manager_arrive_before_preserved_descriptors() {
    let host = Host::enter();
    let (one, two) = (host.file("one", "socket"), host.file("two", "preserved"));
    let script = "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES $$; cat <&3; cat <&4";
    let bundle = Bundle::shell(&host, "bundle", script).write();
    let run = || {
        host.nucleus("run")
            .arg("--bundle")
            .arg(bundle.path())
            .args(["--preserve-fds", "1"])
            .arg(host.fresh_id())
    };
    let open = format!("3<{} 4<{}", one.display(), two.display());
    let variables = "LISTEN_FDNAMES=web LISTEN_FDS=1 LISTEN_PID=$$";
    let output = holding(run(), &open, &format!("export {variables};")).output().assert_success();
    assert_eq!(output.text(), "1 1 web 1\nsocketpreserved");
    let output = holding(run(), &open, "export LISTEN_FDS=1 LISTEN_PID=1;").output();
    assert!(
        output.text().starts_with("1\nsocket"),
        "meant for somebody else, so 3 is the preserved one: {output}"
    );
}

/// The workload tells its state without `sd_notify(3)`: busybox speaks to no datagram socket, so the test does it from
/// outside, through the socket that the container sees.
#[test]
fn readiness_goes_from_the_container_to_the_service_manager() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    let container = Container::fresh(&host);
    let script = "echo $NOTIFY_SOCKET > /shared/variable; : > /shared/ready; sleep 60";
    let bundle = Bundle::shell(&host, "bundle", script).bind(&shared, "/shared").write();
    let address = host.path("manager");
    let manager = UnixDatagram::bind(&address).unwrap();
    container.creating(&bundle).env("NOTIFY_SOCKET", &address).output().assert_success();
    let mut start = container.verb("start").env("NOTIFY_SOCKET", &address).spawn();
    start.wait_for_file(&shared.join("ready"));
    let variable = fs::read_to_string(shared.join("variable")).unwrap();
    assert_eq!(variable.trim(), "/run/notify/notify.sock");
    let inside = format!("/proc/{}/root{}", container.pid(), variable.trim());
    let speak = |message: &[u8]| {
        let socket = UnixDatagram::unbound().unwrap();
        socket.connect(&inside).and_then(|()| socket.send(message)).expect("the container's socket takes it");
    };
    speak(b"STATUS=busy");
    speak(b"READY=1");
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut message = [0; 256];
    let mut heard = || {
        let length = manager.recv(&mut message).expect("the manager hears of it");
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    assert_eq!(heard(), "READY=1\n");
    assert_eq!(heard(), format!("MAINPID={}\n", container.pid()));
    assert_eq!(heard(), "BARRIER=1");
    start.wait().assert_success();
    container.delete_by_force();
    host.assert_no_leak();
}

#[test]
fn a_start_for_a_service_manager_ends_with_a_container_that_never_gets_ready() {
    let host = Host::enter();
    let address = host.path("manager");
    let _manager = UnixDatagram::bind(&address).unwrap();
    let container = Container::fresh(&host);
    let bundle = Bundle::new(&host, "bundle", &["false"]).write();
    container.creating(&bundle).env("NOTIFY_SOCKET", &address).output().assert_success();
    container.verb("start").env("NOTIFY_SOCKET", &address).output().assert_success();
    container.wait_for("stopped");
    container.delete();
}

#[test]
fn the_session_keyring_is_the_containers_own_unless_the_callers_is_asked_for() {
    let host = Host::enter();
    let bundle = Bundle::new(&host, "bundle", &["cat", "/proc/keys"]).write();
    let has_one_of_its_own = |flags: &[&str]| {
        let id = host.fresh_id();
        let run = host.nucleus("run").arg("--bundle").arg(bundle.path()).args(flags).arg(&id);
        run.output().assert_success().text().contains(&format!(" nucleus-{id}: "))
    };
    assert!(has_one_of_its_own(&[]));
    assert!(!has_one_of_its_own(&["--no-new-keyring"]));
}
