//! `kill -9` in the middle: a container that was to be frozen goes on, one that was to be thawed is gone.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nucleus_tests::{Bundle, Container, Nucleus};

use super::Checkpoints;

/// Calls nucleus and kills it as it sends a message: to criu, or to a process of its own. True when it came so far.
fn killed_at_message(call: Nucleus, number: usize) -> bool {
    let filter = format!("inject=sendmsg:signal=KILL:when={number}");
    let words = ["strace", "-o", "/dev/null", "-e", &filter];
    let output = call.through(words).timeout(Duration::from_mins(1)).output();
    assert!(output.signal() == Some(9) || output.code() == Some(0), "{filter}: {output}");
    output.signal() == Some(9)
}

/// Kills it at one message after the other, until it is not reached any more.
fn at_every_message(call: impl Fn() -> Nucleus, after: impl Fn()) {
    let mut reached = 0;
    while killed_at_message(call(), reached + 1) {
        reached += 1;
        after();
    }
    assert!(reached >= 3, "nucleus spoke to criu only {reached} times");
}

#[test]
fn a_container_goes_on_when_its_checkpoint_is_killed() {
    let Some(here) = Checkpoints::enter() else { return };
    let container = here.counting(&here.counter().write());
    let checkpoint = || here.checkpoint(&container).arg("--leave-running");
    at_every_message(checkpoint, || {
        here.host.wait_until("it runs again", || container.status() == "running");
        here.goes_on();
    });
    here.goes_on();
    container.delete_by_force();
}

#[test]
fn a_checkpoint_that_was_killed_over_its_move_is_moved_by_the_restore() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = Bundle::shell(&here.host, "idle", "while :; do sleep 0.02; done").write();
    let first = Container::create(&here.host, &bundle);
    first.start();
    first.wait_for("running");
    // An older one lies in the way. Its processes go on, so that the next is made of them too.
    here.checkpoint(&first).arg("--leave-running").output().assert_success();
    let staged = std::path::Path::new(&here.images()).join(".new");
    // The first two make `nucleus.json`, before criu and after it.
    for (number, already) in [(3, "nothing"), (4, "what says what the older one is"), (9, "some images")] {
        let filter = format!("inject=renameat,renameat2:signal=KILL:when={number}");
        let words = ["strace", "-o", "/dev/null", "-e", &filter];
        let killed = here.checkpoint(&first).arg("--leave-running").through(words).output();
        assert_eq!(killed.signal(), Some(9), "{killed}");
        assert!(staged.exists(), "{already} had moved");
        let restored = Container::fresh(&here.host);
        here.restore(&bundle, &restored.id).output().assert_success();
        assert!(!staged.exists(), "{already} had moved");
        assert_eq!(restored.status(), "running");
        restored.delete_by_force();
    }
    first.delete_by_force();
}

#[test]
fn nothing_is_left_when_a_restore_is_killed() {
    let Some(here) = Checkpoints::enter() else { return };
    // It holds no file: what one restore changes, the next would miss.
    let bundle = Bundle::shell(&here.host, "idle", "while :; do sleep 0.02; done").write();
    let first = Container::create(&here.host, &bundle);
    first.start();
    first.wait_for("running");
    here.checkpoint(&first).output().assert_success();
    let before = passing_directories();
    let restored = Container::fresh(&here.host);
    at_every_message(
        || here.restore(&bundle, &restored.id),
        || {
            here.host.nucleus("gc").output().assert_success();
            here.host.assert_no_leak();
        },
    );
    assert_eq!(restored.status(), "running");
    assert_eq!(passing_directories().difference(&before).count(), 0, "criu left directories in /tmp");
    restored.delete_by_force();
}

/// Where criu puts its mounts for the moment.
fn passing_directories() -> BTreeSet<OsString> {
    let names = fs::read_dir("/tmp").unwrap().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".criu")).collect()
}

/// A criu that is killed so many seconds after it began to write.
fn mortal(here: &Checkpoints, seconds: &str) -> String {
    let script = format!(
        "#!/bin/sh\n{} \"$@\" & criu=$!\n(sleep {seconds}; exec kill -9 $criu) 3>&- & wait $criu\n",
        here.criu.display()
    );
    let path = here.host.file("mortal", script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_container_goes_on_when_its_criu_is_killed() {
    let Some(here) = Checkpoints::enter() else { return };
    let container = here.counting(&here.counter().write());
    let mut failures = 0;
    for seconds in ["0.03", "0.06", "0.09", "0.12", "0.15", "0.2"] {
        let call = here.host.nucleus("checkpoint").global("--criu").global(mortal(&here, seconds));
        let call = call.arg("--leave-running").arg("--image-path").arg(here.images()).arg(&container.id);
        let output = call.detached().output();
        if output.code() != Some(0) {
            failures += 1;
            // One that comes after may be puzzled by what the killed one has left.
            assert!(output.stderr.contains("criu"), "{output}");
        }
        assert_eq!(container.status(), "running");
        here.goes_on();
    }
    assert!(failures > 0, "criu was never quick enough to be killed");
    container.delete_by_force();
}
