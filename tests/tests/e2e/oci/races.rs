//! Engines that call at the same time: one wins, the other gets a clear error, and nothing is left.

use std::sync::Barrier;
use std::thread;

use nucleus_tests::{Bundle, Container, Host, Output};
use serde_json::json;

use crate::open_directory;

const ROUNDS: usize = 25;

/// Calls both at the same moment.
fn together(one: impl FnOnce() -> Output + Send, other: impl FnOnce() -> Output + Send) -> (Output, Output) {
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        let one = scope.spawn(|| {
            barrier.wait();
            one()
        });
        barrier.wait();
        let other = other();
        (one.join().expect("the other thread does not panic"), other)
    })
}

fn sleeping(host: &Host) -> Bundle {
    Bundle::new(host, "bundle", &["sleep", "60"]).write()
}

#[test]
fn of_two_creates_of_one_id_one_wins() {
    let host = Host::enter();
    let bundle = sleeping(&host);
    for _ in 0..ROUNDS {
        let container = Container::fresh(&host);
        let (one, other) =
            together(|| container.creating(&bundle).output(), || container.creating(&bundle).output());
        let (won, lost) = if one.code() == Some(0) { (one, other) } else { (other, one) };
        won.assert_success();
        let lost = lost.assert_code(1);
        assert!(lost.stderr.contains("a container with this id exists"), "{lost}");
        assert_eq!(container.status(), "created");
        container.delete();
    }
    host.assert_no_leak();
}

#[test]
fn a_delete_during_a_start_leaves_all_or_nothing() {
    let host = Host::enter();
    let bundle = sleeping(&host);
    for round in 0..ROUNDS {
        let container = Container::create(&host, &bundle);
        let force = round % 2 == 0;
        let delete = || {
            let call = container.verb("delete");
            if force { call.arg("--force") } else { call }.output()
        };
        let (start, delete) = together(|| container.verb("start").output(), delete);
        for output in [&start, &delete] {
            // One that is being killed stands at its gate no more, and counts as running until it has ended.
            let known = [
                "running, not stopped",
                "does not exist",
                "has stopped",
                "ended before the start",
                "already running",
            ];
            let clear = output.code() == Some(0) || known.iter().any(|words| output.stderr.contains(words));
            assert!(clear, "{start}\n{delete}");
        }
        if delete.code() == Some(0) {
            let gone = container.verb("state").output().assert_code(1);
            assert!(gone.stderr.contains("does not exist"), "{gone}");
        } else {
            assert!(!force && start.code() == Some(0), "{start}\n{delete}");
            container.delete_by_force();
        }
        host.assert_no_leak();
    }
}

#[test]
fn a_delete_waits_for_the_hooks_of_a_start() {
    let host = Host::enter();
    let (begun, ended) = (host.path("begun"), host.path("ended"));
    let script = format!(": > {}; sleep 0.5; : > {}", begun.display(), ended.display());
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    let bundle = Bundle::new(&host, "bundle", &["sleep", "60"]).set("/hooks/poststart", hook).write();
    let container = Container::create(&host, &bundle);
    let mut start = container.verb("start").spawn();
    start.wait_for_file(&begun);
    container.delete_by_force();
    assert!(ended.exists(), "the hook was not over when the container went");
    start.wait();
    host.assert_no_leak();
}

#[test]
fn of_two_starts_one_wins() {
    let host = Host::enter();
    let bundle = sleeping(&host);
    for _ in 0..ROUNDS {
        let container = Container::create(&host, &bundle);
        let (one, other) = together(|| container.verb("start").output(), || container.verb("start").output());
        let codes = [one.code(), other.code()];
        assert!(codes.contains(&Some(0)) && codes.contains(&Some(1)), "{one}\n{other}");
        container.delete_by_force();
    }
}

#[test]
fn a_start_by_somebody_else_does_not_break_a_run() {
    let host = Host::enter();
    let bundle = Bundle::new(&host, "short", &["/bin/sh", "-c", "exit 7"]).write();
    for _ in 0..ROUNDS {
        let container = Container::fresh(&host);
        let running = host.nucleus("run").arg("--bundle").arg(bundle.path()).arg(&container.id).spawn();
        let started: Vec<Output> = (0..4).map(|_| container.verb("start").output()).collect();
        running.wait().assert_code(7);
        for start in started {
            start.assert_code(1);
        }
    }
    host.assert_no_leak();
}

#[test]
fn a_kill_during_a_delete_hits_nobody_else() {
    let host = Host::enter();
    let bundle = sleeping(&host);
    for _ in 0..ROUNDS {
        let container = Container::create(&host, &bundle);
        container.start();
        let (kill, delete) =
            together(|| container.kill("KILL"), || container.verb("delete").arg("--force").output());
        delete.assert_success();
        let known = ["container not running", "does not exist", "not come so far"];
        assert!(kill.code() == Some(0) || known.iter().any(|words| kill.stderr.contains(words)), "{kill}");
    }
    host.assert_no_leak();
}

#[test]
fn what_runs_in_the_foreground_is_deleted_by_force_and_its_owner_cleans_up() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    let script = ": > /shared/ready; sleep 60";
    let bundle = Bundle::shell(&host, "bundle", script).bind(&shared, "/shared").write();
    let container = Container::fresh(&host);
    let mut running = host.nucleus("run").arg("--bundle").arg(bundle.path()).arg(&container.id).spawn();
    running.wait_for_file(&shared.join("ready"));
    let refused = container.verb("delete").output().assert_code(1);
    assert!(refused.stderr.contains("running, not stopped"), "{refused}");
    container.delete_by_force();
    running.wait().assert_code(137);
    host.assert_no_leak();
}

#[test]
fn a_force_delete_during_a_create_leaves_nothing() {
    let host = Host::enter();
    let bundle = sleeping(&host);
    for _ in 0..ROUNDS {
        let container = Container::fresh(&host);
        let (_, delete) = together(
            || container.creating(&bundle).output(),
            || container.verb("delete").arg("--force").output(),
        );
        delete.assert_success();
        // The create may have been the later one.
        container.verb("delete").arg("--force").output().assert_success();
        host.assert_no_leak();
    }
}

#[test]
fn a_hundred_containers_by_eight_workers_lose_nothing() {
    let host = Host::enter();
    let bundle = Bundle::shell(&host, "bundle", "exit 3").write();
    let all: Vec<Container<'_>> = (0..100).map(|_| Container::fresh(&host)).collect();
    let bundle = &bundle;
    thread::scope(|scope| {
        for share in all.chunks(13) {
            scope.spawn(move || {
                for container in share {
                    container.creating(bundle).output().assert_success();
                    container.start();
                    container.wait_for("stopped");
                    container.verb("delete").output().assert_success();
                }
            });
        }
    });
    host.assert_no_leak();
}
