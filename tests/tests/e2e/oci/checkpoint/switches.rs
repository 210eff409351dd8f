//! What criu does only when it is asked to: each is refused without its switch, and works with it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

use nucleus_tests::descriptor_socket::DescriptorSocket;
use nucleus_tests::{Bundle, Container, Nucleus, Output};
use rustix::fs::FlockOperation;
use serde_json::json;

use super::Checkpoints;

/// Two processes, of which one counts what the other sends back: what is written to the file has passed the connection.
const ACROSS: &str = r#"
    use IO::Socket::INET;
    my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1:4444") or die $!;
    my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1:4444") or die $!;
    my $peer = $server->accept;
    if (!fork) { while (my $line = <$peer>) { print $peer $line } exit }
    OTHER
    for (my $i = 1;; $i++) {
        print $client "$$-$^T $i\n";
        my $line = <$client>;
        open my $file, ">", "/files/next"; print $file $line; close $file;
        rename "/files/next", "/files/count";
    }"#;

impl Checkpoints {
    fn shell(&self, script: &str) -> Bundle {
        Bundle::shell(&self.host, "switched", script).bind(&self.files(), "/files")
    }

    /// The host's perl with a script: what busybox has no command for.
    fn perl(&self, script: &str) -> Bundle {
        let bundle = Bundle::new(&self.host, "switched", &["/usr/bin/perl", "-e", script]);
        let libraries = ["/usr", "/lib", "/lib64"];
        let bundle = libraries.into_iter().fold(bundle, |bundle, path| {
            let mount =
                json!({"destination": path, "type": "bind", "source": path, "options": ["bind", "ro"]});
            bundle.push("/mounts", mount)
        });
        bundle.bind(&self.files(), "/files")
    }

    /// Made, started, and ready when it says so.
    #[track_caller]
    fn ready(&self, bundle: &Bundle) -> Container<'_> {
        let container = Container::create(&self.host, bundle);
        container.start();
        self.host.wait_for_file(&self.files().join("ready"));
        container
    }

    /// criu before 4.2 asks for `SO_PASSCRED` of every socket, and Linux 6.16 has it for Unix sockets alone.
    fn knows_inet_sockets(&self, container: &Container<'_>) -> bool {
        Self::has_written_inet_sockets(&self.checkpoint(container).output().assert_code(1))
    }

    fn has_written_inet_sockets(output: &Output) -> bool {
        let knows = !output.stderr.contains("Can't get 1:16 opt");
        if !knows {
            nucleus_tests::skip("this criu cannot write TCP sockets of this kernel");
        }
        knows
    }

    /// A checkpoint that is refused without a switch, and made with it.
    #[track_caller]
    fn needs(&self, container: &Container<'_>, switch: &str, words: &str) {
        let refused = self.checkpoint(container).output().assert_code(1);
        assert!(refused.stderr.contains(words), "`{words}` is missing: {refused}");
        self.checkpoint(container).arg(switch).output().assert_success();
    }

    #[track_caller]
    fn restored_with(&self, bundle: &Bundle, switches: &[&str]) -> Container<'_> {
        let container = Container::fresh(&self.host);
        self.restore(bundle, &container.id).args(switches).output().assert_success();
        container
    }
}

#[test]
fn a_connection_goes_on() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.perl(&ACROSS.replace("OTHER", "")).write();
    let container = here.counting(&bundle);
    if !here.knows_inet_sockets(&container) {
        return container.delete_by_force();
    }
    here.needs(&container, "--tcp-established", "tcp-established");
    let refused = Container::fresh(&here.host);
    here.restore(&bundle, &refused.id).output().assert_code(125);
    here.host.assert_no_leak();
    let container = here.restored_with(&bundle, &["--tcp-established"]);
    here.goes_on();
    container.delete_by_force();
}

/// The listener has taken one connection, and another waits for it.
#[test]
fn a_connection_that_nobody_has_taken_is_left_out() {
    let Some(here) = Checkpoints::enter() else { return };
    let other = r#"my $other = IO::Socket::INET->new(PeerAddr => "127.0.0.1:4444") or die $!;"#;
    let bundle = here.perl(&ACROSS.replace("OTHER", other)).write();
    let container = here.counting(&bundle);
    if !here.knows_inet_sockets(&container) {
        return container.delete_by_force();
    }
    let refused = here.checkpoint(&container).arg("--tcp-established").output().assert_code(1);
    assert!(refused.stderr.contains("flight"), "{refused}");
    let skipping = here.checkpoint(&container).args(["--tcp-established", "--tcp-skip-in-flight"]);
    let skipping = skipping.output();
    // What is in flight is refused before any socket is written.
    if !Checkpoints::has_written_inet_sockets(&skipping) {
        return container.delete_by_force();
    }
    skipping.assert_success();
    let container = here.restored_with(&bundle, &["--tcp-established"]);
    here.goes_on();
    container.delete_by_force();
}

#[test]
fn a_lock_is_held_again() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here
        .perl(
            r#"
        open my $lock, ">", "/files/lock"; flock $lock, 2 or die $!;
        open my $ready, ">", "/files/ready"; sleep 1 while 1"#,
        )
        .write();
    let container = here.ready(&bundle);
    let is_held = || {
        let file = File::open(here.files().join("lock")).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
    };
    assert!(is_held());
    here.needs(&container, "--file-locks", "file-locks");
    assert!(!is_held());
    let container = here.restored_with(&bundle, &["--file-locks"]);
    assert!(is_held());
    container.delete_by_force();
}

/// It has another name still, which is not the one that it was opened by.
#[test]
fn a_file_that_has_lost_its_name_is_open_again() {
    let Some(here) = Checkpoints::enter() else { return };
    let script = "echo kept > /files/a; ln /files/a /files/b; exec 9</files/a; rm /files/a; : > /files/ready
        until test -e /files/go; do sleep 0.02; done; cat <&9 > /files/new; mv /files/new /files/read";
    let bundle = here.shell(script).write();
    let container = here.ready(&bundle);
    here.needs(&container, "--link-remap", "link-remap");
    let container = here.restored_with(&bundle, &["--link-remap"]);
    fs::write(here.files().join("go"), "").unwrap();
    here.host.wait_for_file(&here.files().join("read"));
    assert_eq!(fs::read_to_string(here.files().join("read")).unwrap(), "kept\n");
    let names: Vec<_> =
        fs::read_dir(here.files()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("remap")), "{names:?}");
    container.wait_for("stopped");
    container.delete();
}

/// criu knows the sockets of the container's network namespace alone, so it must be the host's; and it connects to the path
/// that the socket was bound to, so the container must see it there.
#[test]
fn a_socket_of_the_hosts_is_spoken_to_again() {
    let Some(here) = Checkpoints::enter() else { return };
    let path = here.files().join("log");
    let log = UnixDatagram::bind(&path).unwrap();
    log.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let shared = ["pid", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    let script = r#"
        use IO::Socket::UNIX;
        my $log = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => "LOG") or die $!;
        for (my $i = 1;; $i++) { $log->send($i); select undef, undef, undef, 0.02 }"#;
    let bundle = here.perl(&script.replace("LOG", path.to_str().unwrap()));
    let files = here.files();
    let bundle = bundle.bind(&files, files.to_str().unwrap()).set("/linux/namespaces", shared).write();
    let container = Container::create(&here.host, &bundle);
    container.start();
    let hear = || {
        let mut bytes = [0; 256];
        let length = log.recv(&mut bytes).expect("it speaks");
        String::from_utf8_lossy(&bytes[..length]).parse::<u32>().expect("a number")
    };
    let mut last = hear();
    here.needs(&container, "--ext-unix-sk", "ext-unix-sk");
    log.set_nonblocking(true).unwrap();
    let mut bytes = [0; 256];
    while let Ok(length) = log.recv(&mut bytes) {
        last = String::from_utf8_lossy(&bytes[..length]).parse().expect("a number");
    }
    log.set_nonblocking(false).unwrap();
    let container = here.restored_with(&bundle, &["--ext-unix-sk"]);
    assert!(hear() > last, "it went on where it was");
    container.delete_by_force();
}

/// Memory that has been restored is no longer in the images.
#[test]
fn images_shrink_while_they_are_read() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    let blocks = || fs::metadata(here.images().join("pages-1.img")).unwrap().blocks();
    let before = blocks();
    assert!(before > 0);
    let container = here.restored_with(&bundle, &["--auto-dedup"]);
    here.goes_on();
    assert!(blocks() < before, "{} of {before} blocks", blocks());
    container.delete_by_force();
}

/// Whatever is kept of groups that the workload has made, those of the container are made by nucleus; so with `strict`,
/// which demands that none is there, criu restores nothing.
#[test]
fn groups_are_kept_as_the_mode_says() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    for mode in ["ignore", "soft", "full"] {
        let container = here.counting(&bundle);
        here.checkpoint(&container).args(["--manage-cgroups-mode", mode]).output().assert_success();
        let container = here.restored_with(&bundle, &["--manage-cgroups-mode", mode]);
        here.goes_on();
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
        assert!(groups.contains(&container.id), "{mode}: its groups are its own: {groups}");
        container.delete_by_force();
        here.host.assert_no_leak();
        fs::remove_file(here.files().join("count")).unwrap();
    }
}

#[test]
fn a_label_that_no_module_knows_is_refused() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    let lsm = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    if lsm.contains("apparmor") || lsm.contains("selinux") {
        return nucleus_tests::skip("this kernel has a module that knows labels");
    }
    let container = Container::fresh(&here.host);
    let with = |option: &str, value: &str| -> Output {
        here.restore(&bundle, &container.id).args([option, value]).output()
    };
    for (option, value) in [
        ("--lsm-profile", "apparmor:other"),
        ("--lsm-profile", "selinux:system_u:system_r:other_t:s0"),
        ("--lsm-mount-context", "system_u:object_r:other_t:s0"),
    ] {
        let refused = with(option, value).assert_code(125);
        assert!(refused.stderr.contains(option), "{refused}");
        here.host.assert_no_leak();
    }
    assert!(with("--lsm-profile", "other").assert_code(125).stderr.contains("TYPE:NAME"));
}

#[test]
fn what_nucleus_does_anyway_is_accepted_and_a_pidfd_handed_out() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    let socket = DescriptorSocket::listen(here.host.path("pidfd"));
    let container = Container::fresh(&here.host);
    let restore: Nucleus = here.restore(&bundle, &container.id).args(["--no-subreaper", "--no-pivot"]);
    restore.arg("--pidfd-socket").arg(socket.path()).output().assert_success();
    let (_, pidfd) = socket.receive();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&pidfd)));
    let info = info.unwrap();
    assert!(info.contains(&format!("\nPid:\t{}\n", container.pid())), "{info}");
    container.delete_by_force();
}
