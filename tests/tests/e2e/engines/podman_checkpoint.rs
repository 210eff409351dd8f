//! Podman freezes containers and brings them back, through criu and nucleus.

use std::fs;
use std::path::Path;

use nucleus_tests::Host;
use nucleus_tests::engines::Podman;

use super::wait_until;

/// Counts in a file, under a name that only this one process knows.
const COUNTER: &str = "name=$(cat /proc/sys/kernel/random/uuid); i=0; \
     while :; do i=$((i+1)); echo $name $i > /files/next; mv /files/next /files/count; sleep 0.01; done";

fn count(files: &Path) -> (String, u64) {
    let text = fs::read_to_string(files.join("count")).unwrap_or_default();
    let (name, count) = text.trim().split_once(' ').unwrap_or_default();
    (name.to_owned(), count.parse().unwrap_or(0))
}

/// Waits until the counter has gone on from there, and is the same.
#[track_caller]
fn goes_on(files: &Path, before: &(String, u64)) {
    wait_until("the counter goes on", || count(files).1 > before.1);
    assert!(before.0.is_empty() || count(files).0 == before.0, "another counter began");
}

#[test]
fn a_container_goes_on_after_its_checkpoint() {
    let host = Host::enter();
    let Some(criu) = nucleus_tests::criu() else { return };
    let podman = Podman::enter(&host).with_criu(&criu);
    let files = crate::open_directory(&host, "files");
    let volume = format!("{}:/files", files.display());
    let flags = ["--detach", "--name", "house", "--volume", &volume];
    podman.run(&flags, &["/bin/sh", "-c", COUNTER]).text();
    goes_on(&files, &(String::new(), 0));
    podman.call(&["container", "checkpoint", "house"]).text();
    assert_eq!(podman.inspect("house", ".State.Status"), "exited");
    let before = count(&files);
    podman.call(&["container", "restore", "house"]).text();
    goes_on(&files, &before);
    assert_eq!(podman.call(&["exec", "house", "cat", "/proc/1/comm"]).text(), "sh");
    let before = count(&files);
    podman.call(&["container", "checkpoint", "--leave-running", "house"]).text();
    goes_on(&files, &before);
    assert_eq!(podman.inspect("house", ".State.Status"), "running");
}
