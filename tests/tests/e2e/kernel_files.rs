//! `/proc`, `/sys`, `/dev`: there, and harmless.

use std::path::Path;

use nucleus_tests::Host;
use serde_json::Value;

use crate::{DEV, PROFILES};

fn list(config: &Value, pointer: &str) -> Vec<String> {
    let paths =
        config.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer} in {config}"));
    paths.iter().map(|path| path.as_str().unwrap().to_owned()).collect()
}

fn config(host: &Host, profile: &str) -> Value {
    host.run(profile, &["/bin/true"]).arg("--dry-run").output().assert_success().json()
}

#[test]
fn masked_paths_are_empty() {
    let host = Host::enter();
    for profile in PROFILES {
        let masked = list(&config(&host, profile), "/linux/maskedPaths");
        for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"] {
            assert!(masked.iter().any(|found| found == path), "{path} in {masked:?}");
        }
        for path in masked.iter().filter(|path| Path::new(path).exists()) {
            let read =
                |fill: &str| format!("{fill}; if [ -d {path} ]; then ls -A {path}; else cat {path}; fi");
            let output = host.shell(profile, &read("true")).output().assert_success();
            assert_eq!(output.text(), "", "{path} is empty under {profile}");
            let fill = format!("(touch {path}/x || echo x > {path}) 2> /dev/null");
            let output = host.shell(profile, &read(&fill)).output();
            assert_eq!(output.text(), "", "{path} cannot be filled under {profile}");
        }
    }
}

#[test]
fn read_only_paths_cannot_be_written() {
    let host = Host::enter();
    for profile in PROFILES {
        let paths = list(&config(&host, profile), "/linux/readonlyPaths");
        for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
            assert!(paths.iter().any(|found| found == path), "{path} in {paths:?}");
        }
        for path in paths.iter().filter(|path| Path::new(path).exists()) {
            let call = host.run(profile, &["/usr/bin/findmnt", "-n", "-o", "OPTIONS", "-T", path]);
            let output = call.output().assert_success();
            assert!(
                output.text().split(',').any(|option| option == "ro"),
                "{path} under {profile}: {output}"
            );
        }
        for file in ["/proc/sys/kernel/hostname", "/proc/sys/vm/swappiness", "/proc/sysrq-trigger"] {
            let output = host.shell(profile, &format!("echo 1 > {file}")).output();
            assert_ne!(output.code(), Some(0), "{file} under {profile}");
        }
    }
}

#[test]
fn dev_holds_what_programs_need_and_no_more() {
    let host = Host::enter();
    for profile in PROFILES {
        let output = host.run(profile, &["/bin/ls", "/dev"]).output().assert_success();
        let names: Vec<&str> =
            output.text().lines().filter(|name| *name != "mqueue" && *name != "console").collect();
        let expected = [
            "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
            "urandom", "zero",
        ];
        assert_eq!(names, expected, "{profile}");
        let script = "stat -c '%n %t:%T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty; \
            head -c 3 /dev/zero | wc -c; echo x > /dev/null; readlink /dev/fd; head -c 1 /dev/urandom | wc -c";
        assert_eq!(
            host.shell(profile, script).output().assert_success().text(),
            "/dev/null 1:3\n/dev/zero 1:5\n/dev/full 1:7\n/dev/random 1:8\n/dev/urandom 1:9\n/dev/tty 5:0\n3\n\
             /proc/self/fd\n1"
        );
    }
}

#[test]
fn a_program_can_open_a_pty() {
    let host = Host::enter();
    let script = "import os, pty; a, b = pty.openpty(); os.write(b, b'hi'); print(os.read(a, 2).decode(), os.ttyname(b))";
    for profile in PROFILES {
        let output = host.run(profile, &["/usr/bin/python3", "-c", script]).output().assert_success();
        assert_eq!(output.text(), "hi /dev/pts/0");
    }
}

#[test]
fn device_nodes_cannot_be_made_or_opened() {
    let host = Host::enter();
    // Docker's default set holds MKNOD; the file systems are nodev and the device cgroup says no, so nodes are dead.
    let script = "import os, stat\ntry:\n  os.mknod('/tmp/mem', 0o600 | stat.S_IFCHR, os.makedev(1, 1))\n  \
        open('/tmp/mem', 'rb')\n  print('opened')\nexcept OSError as e:\n  print('refused')";
    for profile in PROFILES {
        let call = host.run(profile, &["/usr/bin/python3", "-c", script]);
        let output = call.output().assert_success();
        assert_eq!(output.text(), "refused", "{profile}");
    }
}

#[test]
fn sys_is_read_only_and_cgroups_are_ones_own() {
    let host = Host::enter();
    for profile in PROFILES {
        let output = host
            .shell(profile, "mkdir /sys/fs/cgroup/x || echo no; echo 1 > /sys/kernel/profiling || echo no");
        assert_eq!(output.output().text(), "no\nno", "{profile}");
        let output = host.run(profile, &["/bin/cat", "/proc/self/cgroup"]).output().assert_success();
        for line in output.text().lines() {
            assert!(line.ends_with(":/"), "the cgroup namespace hides the path: {line}");
        }
    }
}

#[test]
fn safe_sysctls_are_set_and_others_refused() {
    let host = Host::enter();
    let yaml = "security: {sysctls: {net.ipv4.ip_unprivileged_port_start: \"80\", kernel.msgmax: \"9000\"}}";
    let script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax";
    for parent in PROFILES {
        let output = host.shell(host.profile(parent, yaml), script).output().assert_success();
        assert_eq!(output.text(), "80\n9000");
    }
}

/// What a namespace owns can be set; each shows inside and leaves the host alone.
#[test]
fn each_safe_sysctl_is_set() {
    let host = Host::enter();
    let sysctls = [
        ("kernel.shm_rmid_forced", "1"),
        ("kernel.msgmax", "9001"),
        ("kernel.sem", "250\t32000\t32\t129"),
        ("kernel.shmmax", "1048576"),
        ("fs.mqueue.msg_max", "11"),
        ("net.ipv4.ip_local_port_range", "20000\t30000"),
        ("net.ipv4.tcp_syncookies", "0"),
        ("net.ipv4.ping_group_range", "0\t100"),
        ("net.ipv4.ip_unprivileged_port_start", "81"),
    ];
    let file = |key: &str| format!("/proc/sys/{}", key.replace('.', "/"));
    let read = |key: &str| std::fs::read_to_string(file(key)).unwrap_or_default();
    let before = sysctls.map(|(key, _)| read(key));
    let settings = sysctls.map(|(key, value)| format!("{key}: \"{}\"", value.replace('\t', " ")));
    let profile = host.profile(DEV, &format!("security: {{sysctls: {{{}}}}}", settings.join(", ")));
    let script = format!("cat {}", sysctls.map(|(key, _)| file(key)).join(" "));
    let output = host.shell(profile, &script).output().assert_success();
    assert_eq!(output.text().lines().collect::<Vec<_>>(), sysctls.map(|(_, value)| value));
    assert_eq!(sysctls.map(|(key, _)| read(key)), before, "the host's are as they were");
}

/// A parameter of the host's network must not be set through a container that shares it.
#[test]
fn a_sysctl_of_a_shared_namespace_is_refused() {
    let host = Host::enter();
    let yaml = "network: {mode: host, allowHost: true}\nsecurity: {sysctls: {net.ipv4.ip_unprivileged_port_start: \"80\"}}";
    let output = host.shell(host.profile(DEV, yaml), "true").output();
    output.assert_refused(&["net.ipv4.ip_unprivileged_port_start"]);
}
