//! The default filter: what it refuses, seen from inside.

use std::collections::BTreeMap;

use nucleus_tests::Host;

use crate::{DEV, PROFILES, profile_with_probe};

type Verdicts = BTreeMap<String, String>;

fn verdicts(host: &Host, parent: &str, yaml: &str) -> Verdicts {
    let profile = profile_with_probe(host, parent, yaml);
    let output = host.run(profile, &["/probe/probe", "calls"]).output().assert_success();
    let lines = output.text().lines().filter_map(|line| line.split_once(' '));
    lines.map(|(name, verdict)| (name.to_owned(), verdict.to_owned())).collect()
}

#[test]
fn every_refused_call_is_refused() {
    let host = Host::enter();
    for parent in PROFILES {
        let verdicts = verdicts(&host, parent, "security: {capabilities: []}");
        assert!(verdicts.len() > 60, "{verdicts:?}");
        for (name, verdict) in &verdicts {
            assert!(verdict == "EPERM" || verdict == "ENOSYS", "{name} under {parent}: {verdict}");
        }
        // glibc falls back to clone only on ENOSYS.
        assert_eq!(verdicts["clone3"], "ENOSYS");
    }
}

/// The kernel itself refuses many of them to a workload without capabilities; these it would let pass.
#[test]
fn it_is_the_filter_that_refuses() {
    let host = Host::enter();
    let open = verdicts(&host, DEV, "security: {capabilities: [], seccomp: unconfined}");
    let ordinary = [
        "add_key",
        "clone3",
        "io_uring_setup",
        "keyctl",
        "personality:ADDR_NO_RANDOMIZE",
        "request_key",
        "setns",
        "unshare",
        "userfaultfd",
    ];
    for name in ordinary {
        assert!(open[name] != "EPERM" && open[name] != "ENOSYS", "{name}: {}", open[name]);
    }
}

/// docs/seccomp.md, "What capabilities open"; of the calls, those that the kernel itself lets pass when the capability is
/// there (it says EPERM to some of them even then, for reasons of its own).
#[test]
fn capabilities_open_the_calls_that_belong_to_them() {
    let host = Host::enter();
    let rows: [(&str, &[&str]); 8] = [
        (
            "SYS_ADMIN",
            &["fsopen", "mount", "open_tree", "setns", "umount2", "unshare", "clone:CLONE_NEWUTS", "bpf"],
        ),
        ("SYS_CHROOT", &["chroot"]),
        ("DAC_READ_SEARCH", &["open_by_handle_at"]),
        ("SYS_BOOT", &["reboot"]),
        ("SYS_PTRACE", &["kcmp", "pidfd_getfd", "process_madvise"]),
        ("SYS_TIME", &["clock_settime", "settimeofday"]),
        ("SYS_NICE", &["get_mempolicy", "mbind", "set_mempolicy"]),
        ("BPF", &["bpf"]),
    ];
    let closed = verdicts(&host, DEV, "security: {capabilities: []}");
    for (capability, calls) in rows {
        let open = verdicts(&host, DEV, &format!("security: {{capabilities: [{capability}]}}"));
        for call in calls {
            assert_eq!(closed[*call], "EPERM", "{call} without {capability}");
            assert_ne!(open[*call], "EPERM", "{call} with {capability}");
        }
        // What belongs to no capability, or to another one, stays closed.
        let others = rows.iter().flat_map(|(_, others)| *others).filter(|call| !calls.contains(call));
        for call in others.copied().chain(["add_key", "keyctl", "swapon"]) {
            assert_eq!(open[call], "EPERM", "{call} with {capability} alone");
        }
    }
}

#[test]
fn a_filter_of_the_operators_own_is_loaded() {
    let host = Host::enter();
    let filter = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
        [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}"#;
    let file = host.file("filter.json", filter);
    let profile = host.profile(DEV, &format!("security: {{seccomp: {{file: {}}}}}", file.display()));
    let output = host.shell(profile, "mkdir /tmp/x; : > /tmp/y && echo made").output().assert_code(0);
    assert!(output.stderr.contains("not supported"), "{output}");
    assert_eq!(output.text(), "made");
}

const ORDINARY: &str = "
import ctypes, mmap, os, select, signal, socket, subprocess, tempfile, threading, time
threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert subprocess.run(['/bin/sh', '-c', 'exit 3']).returncode == 3
a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'
e = select.epoll(); e.register(a, select.EPOLLOUT); assert e.poll(1)
f = tempfile.TemporaryFile(); f.truncate(4096); m = mmap.mmap(f.fileno(), 4096); m[0:2] = b'hi'
signal.setitimer(signal.ITIMER_REAL, 0.01); signal.signal(signal.SIGALRM, lambda *a: None); signal.pause()
r, w = os.pipe2(os.O_CLOEXEC); os.memfd_create('x'); os.eventfd(0); os.getrandom(8); os.sched_getaffinity(0)
os.rename(tempfile.mkstemp(dir='/tmp')[1], '/tmp/renamed'); os.link('/tmp/renamed', '/tmp/linked')
print('fine')
";

#[test]
fn what_an_ordinary_program_needs_works() {
    let host = Host::enter();
    for profile in PROFILES {
        let call = host.run(profile, &["/usr/bin/python3", "-c", ORDINARY]);
        let output = call.output().assert_success();
        assert_eq!(output.text(), "fine", "{profile}");
    }
}
