//! Namespaces: new ones, joined ones, and what they hide.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nucleus_tests::Host;
use nucleus_tests::neighbour::{FIRST_ID, Neighbour};

use crate::{BASE, DEV, PROFILES};

const DEFAULT: [&str; 6] = ["pid", "mnt", "net", "uts", "ipc", "cgroup"];

fn of_the_host(kind: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_string_lossy().into_owned()
}

fn inside(host: &Host, profile: impl AsRef<std::path::Path>, kind: &str) -> String {
    let path = format!("/proc/self/ns/{kind}");
    host.run(profile, &["/usr/bin/readlink", &path]).output().assert_success().text().to_owned()
}

#[test]
fn six_namespaces_are_new() {
    let host = Host::enter();
    for profile in PROFILES {
        for kind in DEFAULT {
            assert_ne!(inside(&host, profile, kind), of_the_host(kind), "{kind} under {profile}");
        }
    }
}

#[test]
fn a_user_namespace_maps_root_to_nobody_special() {
    let host = Host::enter();
    let yaml = "workload: {user: \"0:0\"}\nnamespaces:\n  user:\n    \
        uidMap: [{container: 0, host: 200000, size: 65536}]\n    \
        gidMap: [{container: 0, host: 300000, size: 65536}]";
    let profile = host.profile(DEV, yaml);
    assert_ne!(inside(&host, &profile, "user"), of_the_host("user"));
    let output =
        host.shell(&profile, "id -u; cat /proc/self/uid_map /proc/self/gid_map").output().assert_success();
    let words: Vec<&str> = output.text().split_whitespace().collect();
    assert_eq!(words, ["0", "0", "200000", "65536", "0", "300000", "65536"]);

    let shared = crate::open_directory(&host, "shared");
    let call =
        host.shell(&profile, ": > /shared/mine").args(["--volume", &crate::writable(&shared, "/shared")]);
    call.output().assert_success();
    let owner = fs::metadata(shared.join("mine")).unwrap();
    assert_eq!((owner.uid(), owner.gid()), (200_000, 300_000), "the host sees the mapped owner");
}

#[test]
fn a_time_namespace_shifts_the_clocks() {
    let host = Host::enter();
    let profile = host.profile(DEV, "namespaces: {time: {boottime: 7d, monotonic: 3d}}");
    assert_ne!(inside(&host, &profile, "time"), of_the_host("time"));
    let uptime = |text: &str| text.split('.').next().unwrap().parse::<u64>().unwrap();
    let here = uptime(&fs::read_to_string("/proc/uptime").unwrap());
    let output = host.shell(&profile, "cat /proc/uptime").output().assert_success();
    let shift = uptime(output.text()) - here;
    assert!((7 * 86_400..7 * 86_400 + 60).contains(&shift), "{shift} s");
    let output = host.run(&profile, &["/bin/cat", "/proc/self/timens_offsets"]).output().assert_success();
    let words: Vec<&str> = output.text().split_whitespace().collect();
    assert_eq!(words, ["monotonic", "259200", "0", "boottime", "604800", "0"]);
}

#[test]
fn a_user_namespace_owns_what_is_made_in_it() {
    let host = Host::enter();
    let map = "[{container: 0, host: 200000, size: 65536}]";
    for parent in PROFILES {
        let yaml = format!(
            "workload: {{user: \"0:0\"}}\nnamespaces: {{user: {{uidMap: {map}, gidMap: {map}}}}}\n\
            security: {{capabilities: [CHOWN]}}"
        );
        let profile = host.profile(parent, &yaml);
        let script = ": > /dev/shm/x && chown 5:6 /dev/shm/x && stat -c %u:%g /dev/shm/x /usr/bin/env; \
            cat /proc/self/setgroups; grep CapEff /proc/self/status";
        let output = host.shell(profile, script).output().assert_success();
        assert_eq!(
            output.text(),
            "5:6\n65534:65534\nallow\nCapEff:\t0000000000000001",
            "the host's root is nobody here, and capabilities are the namespace's: {parent}"
        );
    }
}

/// Of the eight; the mount, user and time namespaces have tests of their own below.
#[test]
fn namespaces_are_joined_by_path() {
    let host = Host::enter();
    let neighbour = Neighbour::start();
    for (key, kind) in
        [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("cgroup", "cgroup"), ("pid", "pid")]
    {
        let profile =
            host.profile(BASE, &format!("namespaces: {{{key}: {{path: {}}}}}", neighbour.path(kind)));
        assert_eq!(inside(&host, profile, kind), neighbour.namespace(kind).to_string_lossy(), "{kind}");
    }
}

#[test]
fn all_joined_at_once_are_the_neighbours() {
    let host = Host::enter();
    let neighbour = Neighbour::start();
    let kinds = [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("cgroup", "cgroup"), ("pid", "pid")];
    let joined = kinds.map(|(key, kind)| format!("{key}: {{path: {}}}", neighbour.path(kind))).join(", ");
    let profile = host.profile(BASE, &format!("namespaces: {{{joined}}}"));
    let paths = kinds.map(|(_, kind)| format!("/proc/self/ns/{kind}"));
    let script = format!("readlink {}; hostname; grep -c . /proc/1/status", paths.join(" "));
    let output = host.shell(profile, &script).output().assert_success();
    let lines: Vec<&str> = output.text().lines().collect();
    let expected = kinds.map(|(_, kind)| neighbour.namespace(kind).to_string_lossy().into_owned());
    assert_eq!(lines[..5], expected, "{output}");
    assert_ne!(lines[6], "0", "the neighbour's init is seen");
}

/// The root of a joined mount namespace is the one that is there.
#[test]
fn a_mount_namespace_is_joined_by_path() {
    let host = Host::enter();
    let neighbour = Neighbour::start();
    let profile = host.profile(BASE, &format!("namespaces: {{mount: {{path: {}}}}}", neighbour.path("mnt")));
    assert_eq!(inside(&host, profile, "mnt"), neighbour.namespace("mnt").to_string_lossy());
}

#[test]
fn a_time_namespace_is_joined_by_path() {
    let host = Host::enter();
    let neighbour = Neighbour::start();
    let profile = host.profile(DEV, &format!("namespaces: {{time: {{path: {}}}}}", neighbour.path("time")));
    assert_eq!(inside(&host, profile, "time"), neighbour.namespace("time").to_string_lossy());
}

#[test]
fn a_user_namespace_is_joined_by_path() {
    let host = Host::enter();
    let neighbour = Neighbour::start_with_users();
    let yaml = format!("namespaces: {{user: {{path: {}}}}}", neighbour.path("user"));
    let profile = host.profile(DEV, &yaml);
    assert_eq!(inside(&host, &profile, "user"), neighbour.namespace("user").to_string_lossy());
    let shared = crate::open_directory(&host, "shared");
    let call =
        host.shell(&profile, ": > /shared/mine").args(["--volume", &crate::writable(&shared, "/shared")]);
    call.output().assert_success();
    let owner = fs::metadata(shared.join("mine")).unwrap();
    assert_eq!((owner.uid(), owner.gid()), (FIRST_ID, FIRST_ID), "the host sees the mapped owner");
}

#[test]
fn a_neighbour_in_the_same_pid_namespace_is_seen() {
    let host = Host::enter();
    let neighbour = Neighbour::start();
    let profile = host.profile(DEV, &format!("namespaces: {{pid: {{path: {}}}}}", neighbour.path("pid")));
    let script = "cat /proc/1/comm; [ $$ != 1 ] && echo second";
    for option in [None, Some("--init")] {
        let output = host.shell(&profile, script).args(option).output().assert_success();
        assert_eq!(output.text(), "sleep\nsecond", "{option:?}");
    }
}

#[test]
fn a_path_that_is_no_namespace_is_refused() {
    let host = Host::enter();
    for path in ["/etc/passwd", "/proc/self/ns/uts", "/no/such/file"] {
        let profile = host.profile(DEV, &format!("namespaces: {{network: {{path: {path}}}}}"));
        host.shell(profile, "true").output().assert_refused(&[path]);
    }
}

#[test]
fn the_workload_is_the_first_process_and_sees_no_other() {
    let host = Host::enter();
    for profile in PROFILES {
        let output = host.shell(profile, "echo $$; echo /proc/[0-9]*").output().assert_success();
        assert_eq!(output.text(), "1\n/proc/1");
    }
}

const LOOPBACK: &str = "
import socket
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
client.sendall(b'hello')
print(server.accept()[0].recv(5).decode())
";

#[test]
fn without_a_network_there_is_loopback_and_nothing_else() {
    let host = Host::enter();
    for profile in PROFILES {
        let output = host.run(profile, &["/bin/ls", "/sys/class/net"]).output().assert_success();
        assert_eq!(output.text(), "lo", "{profile}");
        let output = host.run(profile, &["/usr/bin/python3", "-c", LOOPBACK]).output().assert_success();
        assert_eq!(output.text(), "hello");
    }
}

#[test]
fn the_hosts_network_must_be_allowed() {
    let host = Host::enter();
    host.shell(DEV, "true").args(["--network", "host"]).output().assert_refused(&["network", "allowHost"]);
    let profile = host.profile(DEV, "network: {mode: host, allowHost: true}");
    assert_eq!(inside(&host, profile, "net"), of_the_host("net"));
}
