//! CVE-2022-0492 (`release_agent`), CVE-2022-0811 (sysctl injection), CVE-2023-25809 (a writable cgroup of the host):
//! kernel interfaces that act on the whole host. Defence: a cgroup namespace, `/sys` and `/proc/sys` read-only, seccomp,
//! and a list of safe sysctls whose values hold neither `+` nor a line break.

use std::fs;

use nucleus_tests::Host;
use nucleus_tests::canary::Canary;

use crate::{DEV, PROFILES};

/// Every file of the cgroup file systems inside, tried for writing.
#[test]
fn no_cgroup_file_can_be_written() {
    let host = Host::enter();
    let script = "find /sys/fs/cgroup -type f > /dev/shm/files; wc -l < /dev/shm/files; \
        while read f; do (: >> $f) 2> /dev/null && echo OPENED $f; done < /dev/shm/files; \
        (echo $$ > /sys/fs/cgroup/cgroup.procs) 2> /dev/null && echo MOVED; \
        find /sys/fs/cgroup -name release_agent -exec cat {} + 2> /dev/null; true";
    for profile in PROFILES {
        let output = host.shell(profile, script).output().assert_code(0);
        let mut lines = output.text().lines();
        let files: usize = lines.next().unwrap().trim().parse().expect("the number of files");
        assert!(files > 0, "cgroups are shown, so that there is something to try\n{output}");
        assert_eq!(lines.next(), None, "{profile}\n{output}");
    }
}

#[test]
fn each_mount_of_a_kernel_file_system_is_read_only() {
    let host = Host::enter();
    for profile in PROFILES {
        let output = host.run(profile, &["/bin/cat", "/proc/self/mountinfo"]).output().assert_success();
        let mounts = output.text().lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let kernel = mounts.filter(|mount| mount[4].starts_with("/sys"));
        let mut seen = 0;
        for mount in kernel {
            assert!(mount[5].split(',').any(|option| option == "ro"), "{profile}: {mount:?}");
            seen += 1;
        }
        assert!(seen > 0, "{output}");
    }
}

/// The attack of 2022-0492 in its own words: a new user and cgroup namespace, and a v1 hierarchy mounted in it.
#[test]
fn no_cgroup_hierarchy_can_be_mounted() {
    let host = Host::enter();
    let script = "mkdir /tmp/c; for kind in 'cgroup -o memory' 'cgroup -o rdma' cgroup2; do \
        unshare -UrmC mount -t $kind none /tmp/c && echo MOUNTED; mount -t $kind none /tmp/c && echo MOUNTED; done; true";
    for profile in PROFILES {
        let output = host.shell(profile, script).output().assert_code(0);
        assert_eq!(output.text(), "", "{profile}");
        assert!(output.stderr.contains("Operation not permitted"), "{output}");
    }
}

#[test]
fn a_sysctl_carries_no_second_one_and_no_path() {
    let host = Host::enter();
    let canary = Canary::watch("/proc/sys/kernel/core_pattern");
    for (key, value) in [
        ("kernel.core_pattern", "|/bin/evil"),
        ("kernel.modprobe", "/bin/evil"),
        ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/bin/evil"),
        ("kernel.shm_rmid_forced", "1\\nkernel.core_pattern=|/bin/evil"),
        ("kernel/shm_rmid_forced/../core_pattern", "|/bin/evil"),
        ("net.ipv4.ip_forward/../../../kernel/core_pattern", "|/bin/evil"),
        ("kernel.sysrq", "1"),
        ("vm.overcommit_memory", "1"),
    ] {
        let yaml = format!("security: {{sysctls: {{\"{key}\": \"{value}\"}}}}");
        let output = host.shell(host.profile(DEV, &yaml), "true").output();
        assert_eq!(output.code(), Some(125), "{key}={value}\n{output}");
        assert!(output.stderr.contains("sysctl") || output.stderr.contains("kernel parameter"), "{output}");
    }
    canary.assert_alive();
}

/// The kernel's memory and its switches, for a root user with the capabilities that `dev.yaml` gives.
#[test]
fn the_switches_of_the_kernel_are_out_of_reach() {
    let host = Host::enter();
    // Not each kernel has the key; then there is nothing to change.
    let setting = || fs::read_to_string("/proc/sys/kernel/sysrq").ok();
    let before = setting();
    let files = "/proc/sysrq-trigger /proc/sys/kernel/sysrq /proc/sys/kernel/core_pattern /proc/irq/default_smp_affinity \
        /sys/kernel/uevent_helper /sys/power/state /proc/sys/fs/binfmt_misc/register";
    let script = format!("for f in {files}; do (echo h > $f) 2> /dev/null && echo WROTE $f; done; true");
    for profile in PROFILES {
        assert_eq!(host.shell(profile, &script).output().assert_code(0).text(), "", "{profile}");
    }
    assert_eq!(setting(), before);
}
