//! A restored container is as confined as it was.

use std::fs;

use nucleus_tests::Bundle;
use serde_json::json;

use super::{Checkpoints, lines};

const STATUS: [&str; 12] = [
    "Uid:",
    "Gid:",
    "Groups:",
    "NoNewPrivs:",
    "Seccomp:",
    "Seccomp_filters:",
    "CapInh:",
    "CapPrm:",
    "CapEff:",
    "CapBnd:",
    "CapAmb:",
    "Umask:",
];

/// What the kernel says of a process.
fn status(pid: i32) -> Vec<String> {
    lines(pid, "status", |line| STATUS.iter().any(|name| line.starts_with(name)).then(|| line.to_owned()))
}

/// Where, how and what is mounted. Ids and device numbers differ, and what is named after the container.
fn mounts(pid: i32, id: &str) -> Vec<String> {
    let mut mounts = lines(pid, "mountinfo", |line| {
        let (before, after) = line.split_once(" - ")?;
        let fields: Vec<&str> = before.split(' ').collect();
        let kind = after.split(' ').next()?;
        Some(format!("{} {} {kind} {}", fields[4], fields[3].replace(id, "ID"), fields[5]))
    });
    mounts.sort();
    mounts
}

fn limits(pid: i32) -> Vec<String> {
    lines(pid, "limits", |line| Some(line.to_owned()))
}

fn confined(here: &Checkpoints) -> Bundle {
    here.counter()
        .set("/root/readonly", true)
        .set("/process/user", json!({"uid": 0, "gid": 0, "additionalGids": [3456], "umask": 0o27}))
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]))
        .set("/process/oomScoreAdj", 100)
        .set("/linux/maskedPaths", json!(["/proc/keys", "/proc/timer_list", "/proc/acpi", "/sys/firmware"]))
        .set("/linux/readonlyPaths", json!(["/proc/sys", "/proc/bus"]))
        .set("/linux/resources/pids/limit", 50)
        .set("/linux/resources/memory/limit", 200 << 20)
        .set(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["unshare"], "action": "SCMP_ACT_ERRNO"}]}),
        )
        .push("/mounts", json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid"]}))
        .push("/mounts", json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "noexec"]}))
        .push("/mounts", json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}))
}

#[test]
fn a_read_only_root_need_not_have_what_criu_puts_the_old_one_on() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().set("/root/readonly", true).write();
    let _ = std::fs::remove_dir(bundle.rootfs().join("tmp"));
    let first = here.counting(&bundle);
    here.checkpoint(&first).output().assert_success();
    assert!(!bundle.rootfs().join("tmp").exists());
    let container = here.restored(&bundle);
    here.goes_on();
    container.delete_by_force();
}

#[test]
fn rights_mounts_and_limits_are_those_it_had() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = confined(&here).write();
    let first = here.counting(&bundle);
    let pid = first.pid();
    let before = (status(pid), mounts(pid, &first.id), limits(pid));
    here.checkpoint(&first).output().assert_success();
    let container = here.restored(&bundle);
    let pid = container.pid();
    assert_eq!(status(pid), before.0);
    assert_eq!(mounts(pid, &container.id), before.1);
    assert_eq!(limits(pid), before.2);
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap(), "100\n");
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(groups.lines().all(|line| line.ends_with(&container.id)), "{groups}");
    assert!(!groups.contains(&first.id), "{groups}");
    let written = here.host.nucleus("exec").args([&container.id, "sh", "-c", "> /x"]).output();
    assert!(written.stderr.contains("Read-only file system"), "{written}");
    here.goes_on();
    container.delete_by_force();
}

#[test]
fn the_callers_keys_stay_out_of_reach() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    let container = here.restored(&bundle);
    // `/proc/<pid>/sessionid` tells nothing of it; the ring's name is seen by whoever stands in the container.
    let rings = fs::read_to_string("/proc/keys").unwrap();
    assert!(rings.contains(&format!("nucleus-{}", container.id)), "{rings}");
    container.delete_by_force();
}

/// criu asks for the limits of processes of other users, which takes `CAP_SYS_RESOURCE` (prlimit(2)).
#[track_caller]
fn may_ask_for_limits() -> bool {
    const SYS_RESOURCE: u64 = 1 << 24;
    let own = lines(i32::try_from(std::process::id()).unwrap(), "status", |line| {
        line.strip_prefix("CapEff:").map(|mask| mask.trim().to_owned())
    });
    let may = u64::from_str_radix(&own[0], 16).unwrap() & SYS_RESOURCE != 0;
    if !may {
        nucleus_tests::skip(
            "criu needs CAP_SYS_RESOURCE for processes of other users, and the tests lack it",
        );
    }
    may
}

#[test]
fn another_user_stays_that_user() {
    let Some(here) = Checkpoints::enter() else { return };
    if !may_ask_for_limits() {
        return;
    }
    let bundle = here.counter().set("/process/user", json!({"uid": 1234, "gid": 2345})).write();
    let first = here.counting(&bundle);
    let before = status(first.pid());
    here.checkpoint(&first).output().assert_success();
    let container = here.restored(&bundle);
    assert_eq!(status(container.pid()), before);
    here.goes_on();
    container.delete_by_force();
}

#[test]
fn a_user_namespace_is_made_again_with_its_maps() {
    let Some(here) = Checkpoints::enter() else { return };
    if !may_ask_for_limits() {
        return;
    }
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    let bundle = here
        .counter()
        .push("/linux/namespaces", json!({"type": "user"}))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .write();
    fs::create_dir(bundle.rootfs().join("files")).unwrap();
    let first = here.counting(&bundle);
    let maps = |pid: i32| fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    let before = maps(first.pid());
    here.checkpoint(&first).output().assert_success();
    let container = here.restored(&bundle);
    assert_eq!(maps(container.pid()), before);
    here.goes_on();
    container.delete_by_force();
}

#[test]
fn a_cgroup_namespace_shows_the_new_group_as_its_root() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().push("/linux/namespaces", json!({"type": "cgroup"})).write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    let container = here.restored(&bundle);
    let seen =
        here.host.nucleus("exec").args([&container.id, "cat", "/proc/1/cgroup"]).output().assert_success();
    assert!(seen.text().lines().all(|line| line.ends_with(":/")), "{seen}");
    container.delete_by_force();
}
