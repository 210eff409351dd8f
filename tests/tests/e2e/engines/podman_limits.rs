//! Limits that Podman asks for, and what it reports of them.

use nucleus_tests::Host;
use nucleus_tests::engines::{IMAGE, Podman};

#[test]
fn memory_beyond_the_limit_is_reported_as_out_of_memory() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    // tail keeps a line in memory until it ends; zeroes have no line's end.
    let parent = podman.cgroup_parent();
    let flags = ["--name", "hungry", "--memory", "16m", "--network", "none", "--cgroup-parent", &parent];
    podman.call(&[&["create"], &flags[..], &[IMAGE, "/bin/sh", "-c", "tail /dev/zero"]].concat()).text();
    // The monitor notes the event in the directory that it was called in (conmon 2.1.6), and Podman looks for it here.
    let directory = podman.inspect("hungry", ".StaticDir");
    podman.call(&["start", "--attach", "hungry"]).current_dir(directory).output().assert_code(137);
    assert_eq!(podman.inspect("hungry", ".State.OOMKilled"), "true");
    assert_eq!(podman.inspect("hungry", ".HostConfig.Memory"), "16777216");
}

#[test]
fn no_more_processes_than_the_limit_allows() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "for n in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo never";
    let output = podman.shell(&["--pids-limit", "5"], script).output();
    assert!(output.stderr.contains("can't fork"), "{output}");
    assert!(!output.text().contains("never"), "{output}");
}

#[test]
fn limits_stand_in_the_cgroup() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let flags = ["--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0", "--memory", "64m"];
    podman.sleeper("house", &[&flags[..], &["--memory-reservation", "32m", "--pids-limit", "40"]].concat());
    let value = |path: &str| podman.call(&["exec", "house", "cat", &format!("/sys/fs/cgroup/{path}")]).text();
    if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        assert_eq!(value("cpu.max"), "50000 100000");
        assert_eq!(value("memory.max"), "67108864");
        assert_eq!(value("memory.low"), "33554432");
        assert_eq!(value("pids.max"), "40");
        assert_eq!(value("cpuset.cpus"), "0");
    } else {
        assert_eq!(value("cpu/cpu.cfs_quota_us"), "50000");
        assert_eq!(value("cpu/cpu.shares"), "512");
        assert_eq!(value("memory/memory.limit_in_bytes"), "67108864");
        assert_eq!(value("memory/memory.soft_limit_in_bytes"), "33554432");
        assert_eq!(value("pids/pids.max"), "40");
        assert_eq!(value("cpuset/cpuset.cpus"), "0");
    }
}

#[test]
fn update_changes_limits_of_a_running_container() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("house", &["--memory", "64m", "--pids-limit", "40"]);
    podman.call(&["update", "--memory", "32m", "--cpus", "0.25", "house"]).text();
    let value = |path: &str| podman.call(&["exec", "house", "cat", &format!("/sys/fs/cgroup/{path}")]).text();
    if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        assert_eq!((value("memory.max"), value("cpu.max")), ("33554432".into(), "25000 100000".into()));
        assert_eq!(value("pids.max"), "40", "what was not named stays");
    } else {
        let limits = ("33554432".into(), "25000".into());
        assert_eq!((value("memory/memory.limit_in_bytes"), value("cpu/cpu.cfs_quota_us")), limits);
        assert_eq!(value("pids/pids.max"), "40", "what was not named stays");
    }
}

#[test]
fn stats_count_processes_and_memory() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("house", &["--memory", "64m"]);
    let format = "{{.PIDs}} {{.MemLimit}}";
    let stats = podman.call(&["stats", "--no-stream", "--format", format, "house"]).text();
    assert_eq!(stats, "2 67108864");
}
