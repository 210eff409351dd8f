//! Podman on a host whose cgroups are systemd's.

use std::fs;

use nucleus_tests::engines::Podman;
use nucleus_tests::{Host, skip};

use super::wait_until;

#[test]
fn a_container_gets_a_scope_with_its_limits() {
    if !fs::exists("/run/systemd/system").expect("look for systemd") {
        return skip("systemd is not this host's first process");
    }
    let host = Host::enter();
    let podman = Podman::enter_below_systemd(&host);
    podman.sleeper("house", &["--memory", "64m", "--pids-limit", "40"]);
    let (id, pid) = (podman.inspect("house", ".Id"), podman.inspect("house", ".State.Pid"));
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the container runs");
    assert!(cgroup.contains(&format!("/machine.slice/libpod-{id}.scope")), "{cgroup}");
    let value = |file: &str| podman.call(&["exec", "house", "cat", &format!("/sys/fs/cgroup/{file}")]).text();
    assert_eq!((value("memory.max").as_str(), value("pids.max").as_str()), ("67108864", "40"));
    podman.call(&["update", "--memory", "32m", "house"]).text();
    assert_eq!(value("memory.max"), "33554432");
    podman.call(&["pause", "house"]).text();
    assert_eq!(podman.inspect("house", ".State.Status"), "paused");
    podman.call(&["unpause", "house"]).text();
    podman.call(&["stop", "--time", "60", "house"]).text();
    assert_eq!(podman.inspect("house", ".State.ExitCode"), "0");
    let scope = format!("/sys/fs/cgroup/machine.slice/libpod-{id}.scope");
    wait_until("the scope is gone", || !fs::exists(&scope).expect("look for the scope"));
}
