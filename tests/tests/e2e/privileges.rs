//! Capabilities, `no_new_privs`, Landlock, and the host's executable.

use std::fs;

use nucleus_tests::Host;

use crate::{DEV, PROD, PROFILES, status_field};

/// capability.h, in the kernel's order.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

fn set(status: &str, name: &str) -> u64 {
    u64::from_str_radix(status_field(status, name), 16).unwrap()
}

fn status(host: &Host, profile: impl AsRef<std::path::Path>) -> String {
    host.run(profile, &["/bin/cat", "/proc/self/status"]).output().assert_success().text().to_owned()
}

/// What this host can give at all: the bounding set that the test itself has.
fn of_the_host() -> u64 {
    set(&fs::read_to_string("/proc/self/status").unwrap(), "CapBnd")
}

#[test]
fn each_capability_is_given_alone() {
    let host = Host::enter();
    for (number, name) in CAPABILITIES.iter().enumerate() {
        let yaml = format!("workload: {{user: \"0:0\"}}\nsecurity: {{capabilities: [{name}]}}");
        let call = host.run(host.profile(DEV, &yaml), &["/bin/cat", "/proc/self/status"]);
        let output = call.output().assert_code(0);
        let granted = (1 << number) & of_the_host();
        for field in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(set(output.text(), field), granted, "{field} with {name}");
        }
        // CVE-2022-24769: never inheritable.
        assert_eq!(set(output.text(), "CapInh"), 0, "{name}");
        let warned = output.stderr.contains(&format!("CAP_{name}"));
        assert_eq!(warned, granted == 0, "what this host lacks is warned about, and nothing else\n{output}");
    }
}

#[test]
fn production_has_no_capability_at_all() {
    let host = Host::enter();
    let status = status(&host, PROD);
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(set(&status, field), 0, "{field}");
    }
}

#[test]
fn inheritable_capabilities_are_always_empty() {
    let host = Host::enter();
    for profile in PROFILES {
        assert_eq!(set(&status(&host, profile), "CapInh"), 0, "{profile}");
    }
    let profile = host.profile(DEV, "security: {capabilities: {bounding: [CHOWN], inheritable: [CHOWN]}}");
    host.shell(profile, "true").output().assert_refused(&["inheritable"]);
}

#[test]
fn all_five_sets_can_be_said() {
    let host = Host::enter();
    let yaml = "workload: {user: \"1000:1000\"}\nsecurity:\n  capabilities:\n    bounding: [NET_BIND_SERVICE, CHOWN]\n    \
        permitted: [NET_BIND_SERVICE]\n    effective: [NET_BIND_SERVICE]\n    ambient: []";
    let status = status(&host, host.profile(DEV, yaml));
    assert_eq!(set(&status, "CapBnd"), 1 << 10 | 1);
    assert_eq!(set(&status, "CapAmb"), 0);
    assert_eq!(set(&status, "CapEff"), 0, "without ambient, exec drops what a user had (capabilities(7))");
}

#[test]
fn no_new_privileges_and_a_filter_are_in_force() {
    let host = Host::enter();
    for profile in PROFILES {
        let status = status(&host, profile);
        assert_eq!(status_field(&status, "NoNewPrivs"), "1", "{profile}");
        assert_eq!(status_field(&status, "Seccomp"), "2", "{profile}");
    }
}

#[test]
fn a_setuid_program_gains_nothing() {
    let host = Host::enter();
    // su is setuid root on the host.
    let output =
        host.shell(PROD, "grep -h CapEff /proc/self/status; id -u; su -c 'id -u' 2>/dev/null").output();
    assert_eq!(output.text(), "CapEff:\t0000000000000000\n10001");
}

/// `/tmp` is writable by mount and by mode: only Landlock can refuse there.
#[test]
fn landlock_is_in_force() {
    let host = Host::enter();
    let rules =
        "{execute: [/usr, /bin, /lib, /lib64], readOnly: [/etc, /proc], readWrite: [/tmp/open, /dev]}";
    let tmpfs = "mounts: {tmpfs: [{target: /tmp, size: 1M}, {target: /tmp/open, size: 1M}]}";
    let script = "(: > /tmp/open/x) && echo open; (: > /tmp/x) || echo refused; ls /sys || echo refused";
    for parent in PROFILES {
        let run = |landlock: &str| {
            let profile = host.profile(parent, &format!("{tmpfs}\nsecurity: {{landlock: {landlock}}}"));
            host.shell(profile, script).output()
        };
        assert_eq!(run(rules).text(), "open\nrefused\nrefused", "{parent}");
        assert!(!run("off").text().contains("refused"), "without Landlock nothing refuses: {parent}");
    }
}
