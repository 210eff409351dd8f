//! Mount points that lack in a directory that the workload may write to: they are there while a container needs them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nucleus_tests::canary::Canary;
use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::{Host, Nucleus};
use rustix::process::Signal;

use crate::{DEV, open_directory, writable};

/// An image without the places for what is mounted, and a volume.
struct Bare {
    root: Rootfs,
    shared: PathBuf,
}

impl Bare {
    fn make(host: &Host) -> Self {
        let root = Rootfs::busybox(host.path("root"));
        for name in ["proc", "sys", "dev"] {
            fs::remove_dir(root.path().join(name)).unwrap();
        }
        let shared = open_directory(host, "shared");
        fs::write(shared.join("note"), "hello\n").unwrap();
        Self { root, shared }
    }

    fn shell(&self, host: &Host, script: &str) -> Nucleus {
        let call = host.shell(DEV, script).arg("--writable").arg("--rootfs").arg(self.root.path());
        let file = writable(&self.shared.join("note"), "/etc/deep/note");
        call.args(["--volume", &writable(&self.shared, "/deep/er"), "--volume", &file])
    }

    fn names(&self) -> Vec<PathBuf> {
        let mut names: Vec<_> = ["", "etc"]
            .iter()
            .flat_map(|name| fs::read_dir(self.root.path().join(name)).unwrap())
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        names
    }
}

/// A shell that says when it is ready, and ends with its input.
const WAITING: &str =
    "cat /deep/er/note /etc/deep/note > /deep/er/$ME; read x; cat /deep/er/note > /deep/er/after-$ME";

#[test]
fn what_the_workload_writes_stays_and_what_nucleus_made_does_not() {
    let host = Host::enter();
    let bare = Bare::make(&host);
    let before = bare.names();
    let canaries = ["", "etc"].map(|name| Canary::watch(bare.root.path().join(name)));
    let script = "cat /deep/er/note /etc/deep/note && test -c /dev/null && test -d /proc/self && ls -A / | grep -c '^[.]nucleus'";
    let output = bare.shell(&host, script).output();
    assert_eq!(output.text(), "hello\nhello\n0", "{output}");
    assert_eq!(bare.names(), before);
    canaries.iter().for_each(Canary::assert_alive);

    let script = "echo kept > /etc/deep/mine; echo kept > /new";
    bare.shell(&host, script).output().assert_success();
    let root = bare.root.path();
    assert_eq!(fs::read_to_string(root.join("new")).unwrap(), "kept\n");
    assert_eq!(fs::read_to_string(root.join("etc/deep/mine")).unwrap(), "kept\n");
    assert!(
        !root.join("etc/deep/note").exists() && !root.join("deep").exists() && !root.join("proc").exists()
    );
}

/// What was there before, empty as it may be, is not nucleus' to remove.
#[test]
fn what_was_there_stays() {
    let host = Host::enter();
    let bare = Bare::make(&host);
    let root = bare.root.path();
    fs::create_dir_all(root.join("deep/er")).unwrap();
    fs::set_permissions(root.join("deep/er"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(root.join("etc/deep")).unwrap();
    fs::write(root.join("etc/deep/note"), "").unwrap();
    let canaries =
        ["deep", "deep/er", "etc/deep", "etc/deep/note"].map(|name| Canary::watch(root.join(name)));
    bare.shell(&host, "cat /etc/deep/note").output().assert_success();
    canaries.iter().for_each(Canary::assert_alive);
}

#[test]
fn a_killed_nucleus_leaves_them_to_gc() {
    let host = Host::enter();
    let bare = Bare::make(&host);
    let before = bare.names();
    let mut running = bare.shell(&host, WAITING).args(["--env", "ME=one"]).stdin_open().spawn();
    running.wait_for_file(&bare.shared.join("one"));
    assert_ne!(bare.names(), before);
    running.signal(Signal::KILL);
    running.wait();
    host.nucleus("gc").output().assert_success();
    assert_eq!(bare.names(), before);
}

/// Removing a directory would unmount what another container has there.
#[test]
fn they_go_with_the_last_container_that_needs_them() {
    let host = Host::enter();
    let bare = Bare::make(&host);
    let before = bare.names();
    let start = |me: &str| {
        let mut running =
            bare.shell(&host, WAITING).args(["--env", &format!("ME={me}")]).stdin_open().spawn();
        running.wait_for_file(&bare.shared.join(me));
        running
    };
    let (first, second) = (start("one"), start("two"));
    first.wait().assert_success();
    assert_ne!(bare.names(), before, "the second still needs them");
    second.wait().assert_success();
    assert_eq!(fs::read_to_string(bare.shared.join("after-two")).unwrap(), "hello\n", "and still had them");
    assert_eq!(bare.names(), before);
}

/// The start fails after the places are made.
#[test]
fn a_start_that_fails_leaves_none() {
    let host = Host::enter();
    let bare = Bare::make(&host);
    let before = bare.names();
    let call = host.run(DEV, &["/no/such/program"]).arg("--writable").arg("--rootfs").arg(bare.root.path());
    call.args(["--volume", &writable(&bare.shared, "/deep/er")]).output().assert_code(127);
    assert_eq!(bare.names(), before);
}

/// Somebody swaps the directory in which they were made: what took its place is not touched.
#[test]
fn only_what_was_made_is_removed() {
    let host = Host::enter();
    let bare = Bare::make(&host);
    let mut running = bare.shell(&host, ": > /deep/er/one; read x").stdin_open().spawn();
    running.wait_for_file(&bare.shared.join("one"));
    let deep: &Path = &bare.root.path().join("deep");
    fs::rename(deep, bare.root.path().join("moved")).unwrap();
    fs::create_dir_all(deep.join("er")).unwrap();
    let canary = Canary::watch(deep.join("er"));
    running.signal(Signal::KILL);
    running.wait();
    host.nucleus("gc").output().assert_success();
    canary.assert_alive();
    assert!(bare.root.path().join("moved/er").exists(), "nor what was moved away");
}
