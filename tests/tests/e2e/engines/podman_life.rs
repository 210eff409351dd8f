//! What Podman does to a container while it lives: pause, stop, kill, restart, remove, and the states it reports.

use nucleus_tests::Host;
use nucleus_tests::engines::Podman;

use super::wait_until;

#[test]
fn a_paused_container_stands_still_and_goes_on() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "n=0; while :; do n=$((n+1)); echo $n > /tmp/n; sleep 0.02; done";
    podman.run(&["--detach", "--name", "clock", "--volume", "ticks:/tmp"], &["/bin/sh", "-c", script]).text();
    let place = podman.call(&["volume", "inspect", "--format", "{{.Mountpoint}}", "ticks"]).text();
    let count = || std::fs::read_to_string(format!("{place}/n")).unwrap_or_default();
    wait_until("the clock ticks", || !count().is_empty());
    podman.call(&["pause", "clock"]).text();
    assert_eq!(podman.inspect("clock", ".State.Status"), "paused");
    let before = count();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(count(), before, "nothing moves while the container is paused");
    podman.call(&["exec", "clock", "true"]).output().assert_code(255);
    podman.call(&["unpause", "clock"]).text();
    assert_eq!(podman.inspect("clock", ".State.Status"), "running");
    wait_until("the clock ticks again", || count() != before);
}

#[test]
fn stop_lets_a_container_end_by_itself_and_kills_one_that_does_not() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman
        .run(&["--detach", "--name", "polite"], &["/bin/sh", "-c", "trap 'exit 5' TERM; sleep 1000 & wait"])
        .text();
    podman.run(&["--detach", "--name", "deaf"], &["/bin/sleep", "1000"]).text();
    podman.call(&["stop", "--time", "15", "polite"]).text();
    assert_eq!(podman.inspect("polite", ".State.ExitCode"), "5");
    podman.call(&["stop", "--time", "0", "deaf"]).text();
    assert_eq!(podman.inspect("deaf", ".State.ExitCode"), "137");
    assert_eq!(podman.inspect("deaf", ".State.Status"), "exited");
}

#[test]
fn kill_sends_any_signal() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "trap 'echo usr1' USR1; trap 'exit 6' INT; echo up; while :; do sleep 0.05; done";
    podman.run(&["--detach", "--name", "target"], &["/bin/sh", "-c", script]).text();
    let logs = || podman.call(&["logs", "target"]).text();
    wait_until("the traps are set", || logs().contains("up"));
    podman.call(&["kill", "--signal", "USR1", "target"]).text();
    wait_until("SIGUSR1 arrives", || logs().contains("usr1"));
    podman.call(&["kill", "--signal", "2", "target"]).text();
    assert_eq!(podman.call(&["wait", "target"]).text(), "6");
    let refused = podman.call(&["kill", "target"]).output();
    assert_ne!(refused.code(), Some(0), "a container that has ended cannot be killed\n{refused}");
}

#[test]
fn create_start_and_restart_go_their_own_ways() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let parent = podman.cgroup_parent();
    let create = ["create", "--name", "slow", "--network", "none", "--cgroup-parent", &parent];
    let command = [nucleus_tests::engines::IMAGE, "/bin/sh", "-c", "echo x >> /count; sleep 1000"];
    podman.call(&[&create[..], &command].concat()).text();
    assert_eq!(podman.inspect("slow", ".State.Status"), "created");
    podman.call(&["init", "slow"]).text();
    assert_eq!(podman.inspect("slow", ".State.Status"), "initialized");
    podman.call(&["start", "slow"]).text();
    let count = || podman.call(&["exec", "slow", "cat", "/count"]).output().text().lines().count();
    wait_until("the first start", || count() == 1);
    podman.call(&["restart", "--time", "0", "slow"]).text();
    wait_until("the second start", || count() == 2);
    assert_eq!(podman.inspect("slow", ".State.Status"), "running");
}

#[test]
fn remove_by_force_ends_even_a_paused_container() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("one", &[]);
    podman.sleeper("two", &[]);
    let pid = podman.inspect("one", ".State.Pid");
    podman.call(&["pause", "two"]).text();
    podman.call(&["rm", "--force", "--time", "0", "one", "two"]).text();
    assert_eq!(podman.call(&["ps", "--all", "--quiet"]).text(), "");
    assert!(!std::path::Path::new("/proc").join(pid).exists(), "its process is gone");
}

#[test]
fn top_lists_the_processes_and_inspect_the_first_ones_pid() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("house", &[]);
    let own = podman.call(&["top", "house", "pid", "hpid", "user", "args"]).text();
    let pid = podman.inspect("house", ".State.Pid");
    assert!(own.lines().any(|line| line.starts_with("1 ") && line.contains(&pid)), "{own}");
    assert!(own.contains("sleep 1000"), "{own}");
    assert_eq!(podman.inspect("house", ".State.Running"), "true");
    assert_eq!(podman.inspect("house", ".OCIRuntime"), "nucleus");
}

#[test]
fn many_containers_at_once_come_and_go() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let running: Vec<_> =
        (0..12).map(|n| podman.shell(&["--name", &format!("c{n}")], &format!("exit {n}")).spawn()).collect();
    for (n, container) in running.into_iter().enumerate() {
        container.wait().assert_code(i32::try_from(n).expect("a small number"));
    }
    assert_eq!(podman.call(&["ps", "--all", "--quiet"]).text(), "");
}
