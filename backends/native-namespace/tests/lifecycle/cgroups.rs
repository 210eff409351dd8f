//! The container's groups: where they stand, pause and resume, killing, listing.

use std::fs::{self, File};
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nucleus_abi::{
    ErrorCode, Hierarchies, Result, SCHEMA, SignalRequest, SignalTarget, Status, UpdateRequest,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use crate::harness::{Bundle, Container, alone, client, exists};

fn everywhere(script: &str) -> Bundle {
    let mut bundle = Bundle::new(script);
    bundle.hierarchies = Hierarchies::All;
    bundle
}

/// A container that runs, and has said its first word.
fn started(bundle: &Bundle) -> (Container<'_>, PipeReader) {
    let (mut words, out) = std::io::pipe().unwrap();
    let null = File::open("/dev/null").unwrap();
    let container = bundle.create([null.as_fd(), out.as_fd(), null.as_fd()]).unwrap();
    drop(out);
    container.start().unwrap();
    words.read_exact(&mut [0; 1]).unwrap();
    (container, words)
}

fn signal(bundle: &Bundle, signal: i32, target: SignalTarget) {
    let request = SignalRequest {
        schema: SCHEMA,
        id: bundle.id().parse().unwrap(),
        directory: bundle.state_directory(),
        signal,
        target,
    };
    client().signal(&request).unwrap();
}

fn pids(bundle: &Bundle) -> Vec<u32> {
    client().processes(&bundle.request()).unwrap().pids
}

/// Mount points of all hierarchies, each once.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let is_cgroup = |line: &&str| matches!(line.split(' ').nth(2), Some("cgroup" | "cgroup2"));
    mounts.lines().filter(is_cgroup).map(|line| line.split(' ').nth(1).unwrap().into()).collect()
}

/// Where a process stands: one line of `/proc/<pid>/cgroup` for each hierarchy.
fn places(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().map(|line| line.splitn(3, ':').nth(2).unwrap().to_owned()).collect()
}

#[test]
fn an_engines_container_stands_in_every_hierarchy() {
    alone(|| {
        let bundle = everywhere("echo; sleep 1000");
        let (container, _words) = started(&bundle);
        let place = format!("/nucleus-test/{}", bundle.id());
        for mount in hierarchies() {
            assert!(exists(&mount.join(place.trim_start_matches('/'))), "{}", mount.display());
        }
        for pid in pids(&bundle) {
            assert!(places(pid).iter().all(|found| *found == place), "{:?}", places(pid));
        }
        container.delete();
    });
}

#[test]
fn an_engines_group_may_be_there_already_if_it_is_empty() {
    alone(|| {
        let bundle = everywhere("echo; sleep 1000");
        let group = hierarchies()[0].join("nucleus-test").join(bundle.id());
        fs::create_dir_all(group.join("below")).unwrap();
        let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(group.join("below/cgroup.procs"), stranger.id().to_string()).unwrap();
        let error = bundle.refused();
        assert_eq!(error.code, ErrorCode::ContainerExists);
        assert!(error.to_string().contains(&format!("process {}", stranger.id())), "{error}");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        while fs::remove_dir(group.join("below")).is_err() {
            std::thread::yield_now();
        }
        let (container, _words) = started(&bundle);
        container.delete();
    });
}

#[test]
fn an_engines_group_that_is_frozen_is_refused() {
    alone(|| {
        let bundle = everywhere("true");
        for (mount, file, on, off) in [
            ("/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED"),
            ("/sys/fs/cgroup", "cgroup.freeze", "1", "0"),
        ] {
            let group = Path::new(mount).join("nucleus-test").join(bundle.id());
            if !Path::new(mount).join("cgroup.procs").exists() {
                continue;
            }
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join(file), on).unwrap();
            let error = bundle.refused();
            fs::write(group.join(file), off).unwrap();
            assert!(error.to_string().contains("frozen"), "{error}");
            fs::remove_dir(&group).unwrap();
        }
    });
}

#[test]
fn a_place_outside_of_the_hierarchies_is_refused() {
    alone(|| {
        let mut bundle = everywhere("true");
        bundle.place = Some("/nucleus-test/../..".into());
        let error = bundle.refused();
        assert!(error.to_string().contains("linux.cgroupsPath"), "{error}");
    });
}

/// Counts up while it runs, in a file that is looked at from outside.
const COUNTER: &str = "echo; while :; do echo x >> /data/count; done";

fn count(bundle: &Bundle) -> u64 {
    fs::metadata(bundle.rootfs().join("data/count")).map_or(0, |file| file.len())
}

fn stands_still(bundle: &Bundle) {
    let before = count(bundle);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(count(bundle), before, "nothing is written while it is paused");
}

fn moves(bundle: &Bundle) {
    let before = count(bundle);
    while count(bundle) == before {
        std::thread::yield_now();
    }
}

fn pauses_and_resumes(bundle: &Bundle) {
    let (container, _words) = started(bundle);
    moves(bundle);
    client().pause(&bundle.request()).unwrap();
    assert_eq!(container.state().status, Status::Paused);
    stands_still(bundle);
    client().pause(&bundle.request()).unwrap();
    client().resume(&bundle.request()).unwrap();
    assert_eq!(container.state().status, Status::Running);
    moves(bundle);
    assert_eq!(client().resume(&bundle.request()).unwrap_err().code, ErrorCode::WrongState);
    container.delete();
    assert_eq!(client().pause(&bundle.request()).unwrap_err().code, ErrorCode::WrongState);
}

#[test]
fn an_engines_container_pauses_and_resumes() {
    alone(|| pauses_and_resumes(&everywhere(COUNTER)));
}

#[test]
fn a_container_without_a_freezer_gets_one_at_its_first_pause() {
    alone(|| {
        let bundle = Bundle::new(COUNTER);
        pauses_and_resumes(&bundle);
        let frozen =
            |path: &PathBuf| exists(&path.join("freezer.state")) || exists(&path.join("cgroup.freeze"));
        assert!(bundle.cgroups().iter().any(frozen), "the ledger names the group that freezes");
    });
}

#[test]
fn a_container_without_any_group_is_paused_with_the_pid_namespaces_below_its_own() {
    alone(|| {
        let bundle = Bundle::new("unshare -p -f sh -c 'echo; while :; do echo x >> /data/count; done'")
            .set("/linux/resources", json!({}))
            .set("/process/capabilities/bounding", json!(["CAP_SYS_ADMIN"]))
            .set("/process/capabilities/permitted", json!(["CAP_SYS_ADMIN"]))
            .set("/process/capabilities/effective", json!(["CAP_SYS_ADMIN"]));
        std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/unshare")).unwrap();
        let (container, _words) = started(&bundle);
        moves(&bundle);
        assert_eq!(pids(&bundle).len(), 2, "sh became unshare, which made another sh");
        client().pause(&bundle.request()).unwrap();
        stands_still(&bundle);
        container.delete();
        assert!(pids(&bundle).is_empty());
    });
}

#[test]
fn a_paused_container_can_be_killed_and_deleted() {
    alone(|| {
        for target in [SignalTarget::First, SignalTarget::All] {
            for bundle in [everywhere("echo; sleep 1000"), Bundle::new("echo; sleep 1000")] {
                let (container, _words) = started(&bundle);
                client().pause(&bundle.request()).unwrap();
                signal(&bundle, libc::SIGKILL, target);
                container.wait().unwrap();
                assert_eq!(container.state().status, Status::Stopped);
                container.delete();
            }
        }
        let bundle = everywhere("echo; sleep 1000");
        let (container, _words) = started(&bundle);
        client().pause(&bundle.request()).unwrap();
        container.delete();
        assert_eq!(container.state().status, Status::Stopped);
    });
}

#[test]
fn all_processes_are_listed_and_killed_in_groups_below_too() {
    alone(|| {
        let shared = json!([{"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}]);
        let bundle = everywhere("sleep 1000 & sleep 1000 & echo; wait").set("/linux/namespaces", shared);
        let (container, _words) = started(&bundle);
        let listed = pids(&bundle);
        assert_eq!(listed.len(), 3, "{listed:?}");
        assert!(listed.contains(&container.reply.pid.unwrap()));
        for directory in bundle.cgroups() {
            fs::create_dir_all(directory.join("below")).unwrap();
            let _ = fs::copy(directory.join("cpuset.cpus"), directory.join("below/cpuset.cpus"));
            let _ = fs::copy(directory.join("cpuset.mems"), directory.join("below/cpuset.mems"));
            fs::write(directory.join("below/cgroup.procs"), listed[1].to_string()).unwrap();
        }
        assert_eq!(pids(&bundle), listed);
        signal(&bundle, libc::SIGKILL, SignalTarget::All);
        container.wait().unwrap();
        while !pids(&bundle).is_empty() {
            std::thread::yield_now();
        }
        container.delete();
        for directory in bundle.cgroups() {
            while fs::remove_dir(directory.join("below")).is_err() {
                std::thread::yield_now();
            }
        }
    });
}

#[test]
fn what_an_engines_container_uses_is_counted() {
    alone(|| {
        let bundle = everywhere("head -c 8m /dev/zero | tail -c 4m > /dev/shm/x; sleep 1000 & echo; wait");
        std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/tail")).unwrap();
        let (container, _words) = started(&bundle);
        let stats = client().stats(&bundle.request()).unwrap();
        assert!(stats.cpu.total.unwrap() > 0, "{stats:?}");
        assert!(stats.memory.usage.now.unwrap() >= 4 << 20, "{stats:?}");
        assert_eq!(stats.memory.usage.limit, Some(256 << 20));
        assert_eq!((stats.pids.now, stats.pids.limit), (Some(2), Some(64)), "sh and sleep");
        assert_eq!(stats.memory.oom_kills, Some(0));
        container.delete();
        assert_eq!(client().stats(&bundle.request()).unwrap_err().code, ErrorCode::WrongState);
    });
}

/// Whether the descriptor becomes readable within ten seconds.
fn tells(watch: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(watch, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 10, tv_nsec: 0 })).unwrap() == 1
}

fn watch(bundle: &Bundle) -> OwnedFd {
    client().watch_oom(&bundle.request()).unwrap().descriptors.remove(0)
}

#[test]
fn the_out_of_memory_killer_is_told_of() {
    alone(|| {
        let bundle = everywhere("echo; cat; tail /dev/zero; echo; sleep 1000")
            .set("/linux/resources/memory", json!({"limit": 16 << 20}));
        std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/tail")).unwrap();
        let (mut words, out) = std::io::pipe().unwrap();
        let (stdin, go) = std::io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let container = bundle.create([stdin.as_fd(), out.as_fd(), null.as_fd()]).unwrap();
        drop(out);
        container.start().unwrap();
        words.read_exact(&mut [0; 1]).unwrap();
        let watch = watch(&bundle);
        drop(go);
        assert!(tells(&watch));
        words.read_exact(&mut [0; 1]).unwrap();
        let kills = client().stats(&bundle.request()).unwrap().memory.oom_kills;
        assert!(kills.unwrap() >= 1, "{kills:?}");
        container.delete();
    });
}

#[test]
fn a_watch_ends_with_the_group() {
    alone(|| {
        let bundle = everywhere("echo; sleep 1000");
        let (container, _words) = started(&bundle);
        let watch = watch(&bundle);
        container.delete();
        for directory in bundle.cgroups() {
            while directory.exists() && fs::remove_dir(&directory).is_err() {
                std::thread::yield_now();
            }
        }
        assert!(tells(&watch));
    });
}

#[test]
fn what_counts_no_memory_cannot_be_watched() {
    alone(|| {
        let bundle = Bundle::new("echo; sleep 1000").set("/linux/resources", json!({"pids": {"limit": 9}}));
        let (container, _words) = started(&bundle);
        if Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists() {
            assert_eq!(client().watch_oom(&bundle.request()).unwrap_err().code, ErrorCode::HostUnfit);
        }
        container.delete();
    });
}

/// Makes nodes of a forbidden and an allowed device where nodes work, and reads from both.
const NODES: &str = "mknod /data/mem c 1 1; mknod /data/zero c 1 5; head -c 1 /data/mem; \
    head -c 1 /data/zero | wc -c; mknod /data/fuse c 10 229; head -c 0 /data/fuse && echo fuse";

fn with_nodes(bundle: Bundle) -> Bundle {
    bundle.push(
        "/mounts",
        json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "dev"]}),
    )
}

#[test]
fn an_engines_container_uses_no_device_that_no_rule_allows() {
    alone(|| {
        let outcome = with_nodes(everywhere(NODES)).run();
        assert!(outcome.stderr.contains("/data/mem: Operation not permitted"), "{outcome:?}");
        assert!(outcome.stderr.contains("/data/fuse: Operation not permitted"), "{outcome:?}");
        assert_eq!(outcome.stdout, "1\n", "{outcome:?}");
    });
}

#[test]
fn device_rules_hold_in_their_order() {
    alone(|| {
        let rules = json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 1, "access": "r"},
            {"allow": false, "type": "c", "major": 1, "minor": 1, "access": "r"},
        ]);
        for bundle in [everywhere(NODES), Bundle::new(NODES)] {
            let outcome = with_nodes(bundle.set("/linux/resources/devices", rules.clone())).run();
            assert!(outcome.stderr.contains("/data/mem: Operation not permitted"), "{outcome:?}");
            assert!(!outcome.stderr.contains("/data/fuse: Operation not permitted"), "{outcome:?}");
        }
    });
}

#[test]
fn a_rule_that_cannot_be_enforced_is_named() {
    alone(|| {
        let error = Bundle::new("true")
            .set("/linux/resources/devices", json!([{"allow": true, "access": "rwx"}]))
            .refused();
        assert!(error.to_string().contains("linux.resources.devices[0].access"), "{error}");
    });
}

/// What a group's file holds, in whichever hierarchy it is.
fn value(bundle: &Bundle, files: &[&str]) -> String {
    let groups = bundle.cgroups();
    let mut paths = groups.iter().flat_map(|group| files.iter().map(|file| group.join(file)));
    let path = paths.find(|path| path.exists()).unwrap_or_else(|| panic!("{files:?} in {groups:?}"));
    fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn limits_of_every_kind_stand_in_the_groups() {
    alone(|| {
        let bundle = everywhere("echo; sleep 1000").set(
            "/linux/resources",
            json!({
                "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 128 << 20},
                "cpu": {"shares": 512, "quota": 20000, "period": 50000, "burst": 1000, "cpus": "0"},
                "pids": {"limit": 50},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}],
            }),
        );
        let (container, _words) = started(&bundle);
        assert_eq!(value(&bundle, &["memory.limit_in_bytes", "memory.max"]), (64 << 20).to_string());
        assert_eq!(value(&bundle, &["memory.soft_limit_in_bytes", "memory.low"]), (32 << 20).to_string());
        assert!(["512", "59"].contains(&&*value(&bundle, &["cpu.shares", "cpu.weight"])));
        assert!(["20000", "20000 50000"].contains(&&*value(&bundle, &["cpu.cfs_quota_us", "cpu.max"])));
        assert_eq!(value(&bundle, &["cpu.cfs_burst_us", "cpu.max.burst"]), "1000");
        assert_eq!(value(&bundle, &["pids.max"]), "50");
        assert_eq!(value(&bundle, &["hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"]), (4 << 20).to_string());
        container.delete();
    });
}

#[test]
fn what_no_hierarchy_has_is_refused_by_name() {
    alone(|| {
        for (resources, field) in [
            (json!({"network": {"classID": 7}}), "net_cls"),
            (json!({"rdma": {"mlx5_1": {"hcaHandles": 3}}}), "rdma"),
            (json!({"blockIO": {"leafWeight": 10}}), "leaf"),
            (json!({"hugepageLimits": [{"pageSize": "../x", "limit": 1}]}), "hugepageLimits"),
        ] {
            let error = Bundle::new("true").set("/linux/resources", resources).refused();
            assert!(error.to_string().to_lowercase().contains(&field.to_lowercase()), "{error}");
        }
    });
}

fn update(bundle: &Bundle, resources: &Value) -> Result<()> {
    let request = UpdateRequest {
        schema: SCHEMA,
        id: bundle.id().parse().unwrap(),
        directory: bundle.state_directory(),
        resources: serde_json::value::to_raw_value(resources).unwrap(),
        intel_rdt: None,
    };
    client().update(&request).map(drop)
}

const LIMIT: [&str; 2] = ["memory.limit_in_bytes", "memory.max"];

#[test]
fn limits_change_up_and_down_in_any_order() {
    alone(|| {
        let memory = |limit: i64, swap: i64| json!({"memory": {"limit": limit, "swap": swap}});
        let bundle = everywhere("echo; sleep 1000").set("/linux/resources", memory(64 << 20, 64 << 20));
        let (container, _words) = started(&bundle);
        for limit in [128 << 20, 32 << 20] {
            update(&bundle, &memory(limit, limit)).unwrap();
            assert_eq!(value(&bundle, &LIMIT), limit.to_string());
        }
        let cpu = |quota: i64, period: u64, burst: u64| json!({"cpu": {"quota": quota, "period": period, "burst": burst}});
        update(&bundle, &cpu(20_000, 100_000, 20_000)).unwrap();
        update(&bundle, &cpu(5_000, 10_000, 1_000)).unwrap();
        update(&bundle, &json!({"cpu": {"period": 20_000}})).unwrap();
        assert!(["5000", "5000 20000"].contains(&&*value(&bundle, &["cpu.cfs_quota_us", "cpu.max"])));
        update(&bundle, &json!({"memory": {"limit": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}}))
            .unwrap();
        assert_eq!(value(&bundle, &["pids.max"]), "max");
        assert!(["9223372036854771712", "max"].contains(&&*value(&bundle, &LIMIT)));
        assert!(["-1", "max 20000"].contains(&&*value(&bundle, &["cpu.cfs_quota_us", "cpu.max"])));
        container.delete();
    });
}

#[test]
fn a_refused_update_leaves_the_old_limits() {
    alone(|| {
        let bundle = everywhere("echo; sleep 1000");
        let (container, _words) = started(&bundle);
        let before = [value(&bundle, &LIMIT), value(&bundle, &["pids.max"])];
        let error = update(
            &bundle,
            &json!({"memory": {"limit": 32 << 20}, "pids": {"limit": 9}, "cpu": {"cpus": "9999"}}),
        )
        .unwrap_err();
        assert!(error.to_string().contains("cpuset.cpus"), "{error}");
        assert_eq!([value(&bundle, &LIMIT), value(&bundle, &["pids.max"])], before);
        let error =
            update(&bundle, &json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}})).unwrap_err();
        assert!(error.to_string().contains("checkBeforeUpdate"), "{error}");
        assert_eq!(value(&bundle, &LIMIT), before[0]);
        let error = update(&bundle, &json!({"pids": {"limit": "many"}})).unwrap_err();
        assert!(error.to_string().contains("pids.limit"), "{error}");
        container.delete();
        assert_eq!(update(&bundle, &json!({})).unwrap_err().code, ErrorCode::WrongState);
    });
}

#[test]
fn a_limit_that_needs_a_group_of_its_own_gets_one() {
    alone(|| {
        let bundle = Bundle::new("sleep 1000 & echo; wait").set("/linux/resources", json!({}));
        let (container, _words) = started(&bundle);
        update(&bundle, &json!({"memory": {"limit": 32 << 20}, "pids": {"limit": 9}, "cpu": {"cpus": "0"}}))
            .unwrap();
        assert_eq!(value(&bundle, &LIMIT), (32 << 20).to_string());
        assert_eq!(value(&bundle, &["pids.current"]), "2", "both processes stand in it");
        let stats = client().stats(&bundle.request()).unwrap();
        assert_eq!(stats.pids.limit, Some(9));
        container.delete();
    });
}
