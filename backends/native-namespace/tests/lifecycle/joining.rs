//! Namespaces that exist already: another container's, and nucleus' own.

use std::fs;
use std::io::PipeWriter;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use nucleus_abi::{Error, ErrorCode};
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};

use crate::harness::{Bundle, Container, alone};

/// A created container that stays for as long as the writer does.
fn created(other: &Bundle) -> (Container<'_>, PipeWriter) {
    let (stdin, writer) = std::io::pipe().unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    (other.create([stdin.as_fd(), null.as_fd(), null.as_fd()]).unwrap(), writer)
}

fn path(container: &Container<'_>, kind: &str) -> String {
    format!("/proc/{}/ns/{kind}", container.reply.pid.unwrap())
}

/// A configuration that joins nucleus' own namespace of this kind, and has no host name.
fn with_own(kind: &str, name: &str) -> Bundle {
    let namespaces = json!([{"type": "mount"}, {"type": kind, "path": format!("/proc/self/ns/{name}")}]);
    Bundle::new("echo ran").set("/linux/namespaces", namespaces).set("/hostname", json!(""))
}

#[track_caller]
fn assert_would_reach_the_host(error: Error, field: &str) {
    assert_eq!(error.code, ErrorCode::ConfigInvalid, "{error}");
    assert!(error.subject.as_ref().unwrap().contains(field), "{error}");
    assert!(error.cause.as_ref().unwrap().contains("set on the host"), "{error}");
    assert!(error.hint.unwrap().contains("namespace"));
}

#[test]
fn nucleus_own_namespaces_are_never_changed() {
    alone(|| {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let name = json!("nucleus-must-not-set-this");
        for field in ["hostname", "domainname"] {
            let error = with_own("uts", "uts").set(&format!("/{field}"), name.clone()).refused();
            assert_would_reach_the_host(error, field);
        }
        let sysctls: [(&str, &str, &str, Value); 4] = [
            ("uts", "uts", "kernel.hostname", name.clone()),
            ("uts", "uts", "kernel.domainname", name),
            ("ipc", "ipc", "kernel.shm_rmid_forced", json!("1")),
            ("network", "net", "net.ipv4.ip_forward", json!("1")),
        ];
        for (kind, file, sysctl, value) in sysctls {
            let error = with_own(kind, file).set("/linux/sysctl", json!({ sysctl: value })).refused();
            assert_would_reach_the_host(error, &sysctl.replace('.', "/"));
        }
        assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), host);
        assert_eq!(with_own("uts", "uts").run().output(), "ran");
    });
}

#[test]
fn the_own_user_namespace_cannot_be_joined() {
    alone(|| {
        let error = with_own("user", "user").refused();
        assert_eq!(error.code, ErrorCode::ConfigInvalid);
        assert!(error.cause.unwrap().contains("nucleus' own user namespace"));
        assert!(error.hint.unwrap().contains("leave the `user` entry out"));
    });
}

#[test]
fn a_namespace_that_was_opened_counts_in_place_of_its_path() {
    alone(|| {
        let other = Bundle::new("cat");
        let (container, writer) = created(&other);
        let theirs = path(&container, "net");
        // What was looked at; since then the path leads to the host's.
        let opened = rustix::fs::open(&theirs, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let namespaces = json!([{"type": "mount"}, {"type": "network", "path": "/proc/self/ns/net"}]);
        let mut bundle = Bundle::new("readlink /proc/self/ns/net")
            .set("/linux/namespaces", namespaces)
            .set("/hostname", json!(""));
        bundle.namespaces.push(("network", opened));
        let expected = fs::read_link(&theirs).unwrap();
        assert_eq!(bundle.run().output(), expected.to_str().unwrap());
        drop(writer);
    });
}

#[test]
fn names_and_sysctls_are_set_in_a_joined_namespace_of_others() {
    alone(|| {
        let other = Bundle::new("cat");
        let (container, writer) = created(&other);
        let namespaces = json!([
            {"type": "mount"}, {"type": "pid"}, {"type": "uts", "path": path(&container, "uts")},
            {"type": "ipc", "path": path(&container, "ipc")}
        ]);
        let bundle =
            Bundle::new("hostname; cat /proc/sys/kernel/domainname /proc/sys/kernel/shm_rmid_forced")
                .set("/linux/namespaces", namespaces)
                .set("/hostname", json!("joiner"))
                .set("/linux/sysctl", json!({"kernel.shm_rmid_forced": "1", "kernel.domainname": "lan"}));
        assert_eq!(bundle.run().output(), "joiner\nlan\n1");
        drop(writer);
    });
}

#[test]
fn the_host_name_is_a_parameter_of_a_new_uts_namespace() {
    alone(|| {
        let bundle = Bundle::new("hostname")
            .set("/hostname", json!(""))
            .set("/linux/sysctl", json!({"kernel.hostname": "by-sysctl"}));
        assert_eq!(bundle.run().output(), "by-sysctl");
    });
}

#[test]
fn a_time_namespace_is_joined_by_path() {
    alone(|| {
        let other = Bundle::new("cat")
            .push("/linux/namespaces", json!({"type": "time"}))
            .set("/linux/timeOffsets", json!({"boottime": {"secs": 1_000_000}}));
        let (container, writer) = created(&other);
        let time = path(&container, "time");
        let expected = fs::read_link(&time).unwrap().display().to_string();
        let own = || {
            ["time", "time_for_children"].map(|name| fs::read_link(format!("/proc/self/ns/{name}")).unwrap())
        };
        let before = own();
        assert_ne!(before[0].display().to_string(), expected);
        let bundle = Bundle::new("readlink /proc/self/ns/time; cut -d. -f1 /proc/uptime")
            .push("/linux/namespaces", json!({"type": "time", "path": time}));
        let outcome = bundle.run();
        let (joined, uptime) = outcome.output().split_once('\n').unwrap();
        assert_eq!(joined, expected);
        assert!(uptime.parse::<u64>().unwrap() > 1_000_000, "{uptime}");
        assert_eq!(own(), before);
        drop(writer);
    });
}

/// A configuration that joins the container's mount namespace, and asks for nothing that would change it.
fn in_mounts_of(container: &Container<'_>, script: &str) -> Bundle {
    let namespaces = json!([
        {"type": "mount", "path": path(container, "mnt")}, {"type": "pid"}, {"type": "network"}, {"type": "uts"}
    ]);
    let mut bundle =
        Bundle::new(script).set("/linux/namespaces", namespaces).set("/process/cwd", json!("/data"));
    bundle.config.as_object_mut().unwrap().remove("root");
    bundle.config.as_object_mut().unwrap().remove("mounts");
    for field in ["maskedPaths", "readonlyPaths"] {
        bundle.config["linux"].as_object_mut().unwrap().remove(field);
    }
    bundle
}

#[test]
fn a_joined_mount_namespace_needs_no_root_of_its_own() {
    alone(|| {
        let other = Bundle::new("cat");
        fs::write(other.rootfs().join("data/file"), "of the other\n").unwrap();
        let (container, writer) = created(&other);
        let mounts = format!("/proc/{}/mountinfo", container.reply.pid.unwrap());
        let before = fs::read_to_string(&mounts).unwrap();
        let bundle = in_mounts_of(&container, "pwd; cat file; hostname");
        assert_eq!(bundle.config["process"]["args"][0], "/bin/sh");
        let outcome = bundle.run();
        let lines: Vec<_> = outcome.output().lines().collect();
        assert_eq!(lines, ["/data", "of the other", "inside"]);
        assert_eq!(fs::read_to_string(&mounts).unwrap(), before);
        drop(writer);
    });
}

#[test]
fn program_and_directory_are_looked_up_in_the_joined_mount_namespace() {
    alone(|| {
        let other = Bundle::new("cat");
        fs::copy("/usr/bin/busybox", other.rootfs().join("data/echo")).unwrap();
        let (container, writer) = created(&other);
        let outcome = in_mounts_of(&container, "").set("/process/args", json!(["./echo", "found"])).run();
        assert_eq!(outcome.output(), "found");
        let elsewhere = other.directory.display().to_string();
        let error = in_mounts_of(&container, "").set("/process/cwd", json!(elsewhere)).refused();
        assert!(error.to_string().contains("enter the working directory"), "{error}");
        let error = in_mounts_of(&container, "").set("/process/args", json!(["/usr/bin/busybox"])).refused();
        assert_eq!(error.code, ErrorCode::CommandNotFound);
        drop(writer);
    });
}

#[test]
fn a_named_fifo_of_the_operators_keeps_its_owner() {
    alone(|| {
        let bundle = Bundle::new("true").set("/process/user", json!({"uid": 1000, "gid": 1000}));
        let path = bundle.directory.join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let fifo = fs::File::options().read(true).write(true).open(&path).unwrap();
        let (reader, anonymous) = std::io::pipe().unwrap();
        let container = bundle.create([fifo.as_fd(), anonymous.as_fd(), fifo.as_fd()]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), 0);
        assert_eq!(rustix::fs::fstat(&reader).unwrap().st_uid, 1000);
        container.start().unwrap();
        container.wait().unwrap();
    });
}
