//! Limits, as the kernel enforces them.

use std::fs;
use std::path::{Path, PathBuf};

use nucleus_tests::Host;

use crate::{DEV, PROD, PROFILES, open_directory, profile_with_probe, writable};

const MIB: u64 = 1 << 20;

#[test]
fn a_memory_hog_is_killed() {
    let host = Host::enter();
    for parent in PROFILES {
        let profile = profile_with_probe(&host, parent, "resources: {memory: 64M, swap: 0}");
        let hog = |bytes: u64| host.run(&profile, &["/probe/probe", "hog", &bytes.to_string()]).output();
        let output = hog(256 * MIB).assert_code(128 + 9);
        assert_eq!(output.text(), "", "{parent}");
        assert!(hog(16 * MIB).assert_success().text().starts_with("done"), "what fits is left alone");
    }
}

#[test]
fn a_fork_storm_stops_at_the_limit() {
    let host = Host::enter();
    for parent in PROFILES {
        let profile = profile_with_probe(&host, parent, "");
        let call = host.run(profile, &["/probe/probe", "forks"]).args(["--pids", "32"]);
        let output = call.output().assert_success();
        let (count, errno) = output.text().split_once(' ').unwrap();
        // The workload itself is one of the 32.
        assert_eq!((count, errno), ("31", "11"), "{parent}: EAGAIN at the limit");
    }
}

#[test]
fn a_fork_storm_with_init_leaves_nothing() {
    let host = Host::enter();
    let profile = profile_with_probe(&host, DEV, "");
    let call = host.run(profile, &["/probe/probe", "forks"]).args(["--pids", "32", "--init"]);
    let output = call.output().assert_success();
    assert_eq!(output.text(), "30 11");
}

/// Finds a file of the container's cgroup in whichever hierarchy has it.
fn cgroup_file(id: &str, names: &[&str]) -> Option<String> {
    fn search(directory: &Path, id: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().contains(id) {
                    found.push(entry.path());
                }
                search(&entry.path(), id, found);
            }
        }
    }
    let mut directories = Vec::new();
    search(Path::new("/sys/fs/cgroup"), id, &mut directories);
    let files = directories.iter().flat_map(|directory| names.iter().map(|name| directory.join(name)));
    files.filter_map(|file| fs::read_to_string(file).ok()).map(|text| text.trim().to_owned()).next()
}

#[test]
fn limits_stand_in_the_cgroup_and_go_with_it() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    let id = host.fresh_id();
    let call = host.nucleus("run").profile(DEV).args(["--id", &id, "--no-tty"]);
    let call = call.args(["--memory", "96M", "--pids", "77", "--cpus", "0.5"]);
    let call = call.args(["--volume", &writable(&shared, "/shared")]);
    let mut running = call.command(["/bin/sh", "-c", ": > /shared/ready; read line"]).stdin_open().spawn();
    running.wait_for_file(&shared.join("ready"));

    let memory = cgroup_file(&id, &["memory.limit_in_bytes", "memory.max"]);
    let pids = cgroup_file(&id, &["pids.max"]);
    let quota = cgroup_file(&id, &["cpu.cfs_quota_us", "cpu.max"]);
    let period = cgroup_file(&id, &["cpu.cfs_period_us", "cpu.max"]);
    running.wait();
    assert_eq!(memory.as_deref(), Some("100663296"));
    assert_eq!(pids.as_deref(), Some("77"));
    let first = |text: Option<String>| text.unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
    let last = |text: Option<String>| text.unwrap().split(' ').next_back().unwrap().parse::<u64>().unwrap();
    assert_eq!(first(quota) * 2, last(period), "half a processor");
    assert_eq!(cgroup_file(&id, &["pids.max", "cgroup.procs"]), None, "the cgroup is gone");
}

#[test]
fn production_has_its_limits_without_flags() {
    let host = Host::enter();
    let profile = profile_with_probe(&host, PROD, "");
    host.run(&profile, &["/probe/probe", "hog", &(400 * MIB).to_string()]).output().assert_code(128 + 9);
    let output = host.run(&profile, &["/probe/probe", "forks"]).output().assert_success();
    assert_eq!(output.text(), "127 11");
}

#[test]
fn a_limit_that_makes_no_sense_is_refused() {
    let host = Host::enter();
    for (flag, value) in [("--memory", "lots"), ("--memory", "-1"), ("--pids", "0x10"), ("--cpus", "half")] {
        let output = host.shell(DEV, "true").arg(format!("{flag}={value}")).output();
        output.assert_refused(&[flag, value]);
    }
}

/// The first whole disk of the host, as `major:minor`.
fn disk() -> Option<String> {
    let mut disks: Vec<_> = fs::read_dir("/sys/block").ok()?.flatten().map(|entry| entry.path()).collect();
    disks.sort();
    // A disk that a bus has brought stands on a device; loops and memory disks stand on none.
    let disk = disks.into_iter().find(|disk| disk.join("device").exists())?;
    Some(fs::read_to_string(disk.join("dev")).ok()?.trim().to_owned())
}

/// The texts of a container's cgroup files while it runs, one for each row of names (v1's and v2's).
fn files_while_running<const N: usize>(host: &Host, profile: &Path, rows: [[&str; 2]; N]) -> [String; N] {
    let shared = open_directory(host, "shared");
    let ready = shared.join("ready");
    let _ = fs::remove_file(&ready);
    let id = host.fresh_id();
    let call = host.nucleus("run").profile(profile).args(["--id", &id, "--no-tty"]).stdin_open();
    let call = call.args(["--volume", &writable(&shared, "/shared")]);
    let mut running = call.command(["/bin/sh", "-c", ": > /shared/ready; read line"]).spawn();
    running.wait_for_file(&ready);
    let found = rows.map(|names| cgroup_file(&id, &names).unwrap_or_default());
    running.wait();
    found
}

#[test]
fn disk_limits_stand_in_the_cgroup() {
    let host = Host::enter();
    let Some(disk) = disk() else { return nucleus_tests::skip("this host has no disk of its own") };
    for parent in PROFILES {
        let yaml = format!(
            "resources: {{io: {{readBps: {{\"{disk}\": 1M}}, writeBps: {{\"{disk}\": 2M}}, \
            readIops: {{\"{disk}\": 300}}, writeIops: {{\"{disk}\": 400}}}}}}"
        );
        let rows = ["read_bps", "write_bps", "read_iops", "write_iops"];
        let names = rows.map(|row| format!("blkio.throttle.{row}_device"));
        let found = files_while_running(
            &host,
            &host.profile(parent, &yaml),
            [0, 1, 2, 3].map(|row| [names[row].as_str(), "io.max"]),
        );
        let v1 = ["1048576", "2097152", "300", "400"].map(|value| format!("{disk} {value}"));
        let v2 = format!("{disk} rbps=1048576 wbps=2097152 riops=300 wiops=400");
        assert!(found == v1 || found.iter().all(|line| *line == v2), "{parent}: {found:?}");
    }
}

/// Where the kernel has no weights (no `blkio.weight`, no `blkio.bfq.weight`, no `io.weight`), a strict profile says so.
#[test]
fn a_disk_weight_is_set() {
    let host = Host::enter();
    let profile = host.profile(DEV, "resources: {io: {weight: 200}}");
    let names = ["blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight"];
    let [first, second] = files_while_running(&host, &profile, [[names[0], names[1]], [names[2], names[3]]]);
    let found = [first, second].concat();
    // v2 without BFQ has io.weight alone, whose scale is another: 1 to 10000.
    assert!(found.ends_with("200") || found == "default 1920", "the weight is set: {found}");
}

#[test]
fn shares_sets_and_swap_stand_in_the_cgroup() {
    let host = Host::enter();
    let yaml = "resources: {memory: 64M, swap: 32M, cpuShares: 512, cpuset: \"0\", memoryNodes: \"0\"}";
    for parent in PROFILES {
        let rows = [
            ["cpuset.cpus", "cpuset.cpus"],
            ["cpuset.mems", "cpuset.mems"],
            ["memory.memsw.limit_in_bytes", "memory.swap.max"],
            ["cpu.shares", "cpu.weight"],
        ];
        let [cpus, nodes, swap, shares] = files_while_running(&host, &host.profile(parent, yaml), rows);
        assert_eq!((cpus.as_str(), nodes.as_str()), ("0", "0"), "{parent}");
        // v1 limits the sum of both.
        assert!(swap == (96 * MIB).to_string() || swap == (32 * MIB).to_string(), "{parent}: {swap}");
        // v2's weight of 512 shares, by the conversion of runc 1.3.2: 10^((log2² + 125·log2)/612 − 7/34).
        assert!(shares == "512" || shares == "59", "{parent}: {shares}");
    }
}

#[test]
fn a_workload_runs_only_where_its_set_says() {
    let host = Host::enter();
    let profile = host.profile(DEV, "resources: {cpuset: \"0\"}");
    let output = host.run(profile, &["/usr/bin/nproc"]).output().assert_success();
    assert_eq!(output.text(), "1");
}
