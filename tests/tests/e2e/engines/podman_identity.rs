//! Users, capabilities and user namespaces as Podman asks for them.

use nucleus_tests::Host;
use nucleus_tests::engines::Podman;

#[test]
fn the_user_and_groups_asked_for_run_the_command() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    assert_eq!(podman.shell(&["--user", "web"], "id -u; id -g; id -G").text(), "1234\n2345\n2345 3456");
    assert_eq!(podman.shell(&["--user", "77:88", "--group-add", "99"], "id -u; id -G").text(), "77\n88 99");
}

#[test]
fn capabilities_are_dropped_and_added() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "grep CapEff /proc/self/status";
    let all = podman.shell(&["--cap-drop", "all"], script).text();
    assert_eq!(all, "CapEff:\t0000000000000000");
    let one = podman.shell(&["--cap-drop", "all", "--cap-add", "net_admin"], script).text();
    assert_eq!(one, "CapEff:\t0000000000001000");
    let refused = podman.shell(&["--cap-drop", "chown"], "chown 7 /etc/passwd").output().assert_code(1);
    assert!(refused.stderr.contains("Operation not permitted"), "{refused}");
}

#[test]
fn no_new_privileges_and_seccomp_are_on_when_asked_for() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status";
    let asked = podman.shell(&["--security-opt", "no-new-privileges"], script).text();
    assert_eq!(asked, "NoNewPrivs:\t1\nSeccomp:\t2");
    let open = podman.shell(&["--security-opt", "seccomp=unconfined"], script).text();
    assert_eq!(open, "NoNewPrivs:\t0\nSeccomp:\t0");
}

#[test]
fn ids_are_mapped_into_a_user_namespace() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let flags = ["--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536", "--volume", "mapped:/data"];
    let script =
        "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; id -u; touch /data/file; stat -c %u /bin";
    let text = podman.shell(&flags, script).text();
    assert_eq!(text, " 0 100000 65536\n 0 200000 65536\n0\n0");
    let place = podman.call(&["volume", "inspect", "--format", "{{.Mountpoint}}", "mapped"]).text();
    let file = std::fs::metadata(format!("{place}/file")).expect("the file is there");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&file), 100_000);
}

#[test]
fn init_reaps_and_forwards() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    // An orphan that nobody waits for stays a zombie: State Z.
    let script = "(sleep 0.1 &); sleep 0.2; cat /proc/1/comm; \
        while grep -q 'State:.Z' /proc/[0-9]*/status; do sleep 0.02; done; kill -TERM 1; sleep 10";
    let output = podman.shell(&["--init"], script).output().assert_code(143);
    assert_eq!(output.text(), "podman-init", "{output}");
}

#[test]
fn namespaces_of_the_host_are_shared_when_asked_for() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let own = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
    let script = "for n in pid uts ipc; do readlink /proc/self/ns/$n; done";
    let shared = podman.shell(&["--pid", "host", "--uts", "host", "--ipc", "host"], script).text();
    let expected = ["pid", "uts", "ipc"].map(|kind| own(kind).display().to_string()).join("\n");
    assert_eq!(shared, expected);
    let apart = podman.shell(&[], script).text();
    assert!(apart.lines().all(|namespace| !expected.contains(namespace)), "{apart}");
}

#[test]
fn a_privileged_container_has_everything() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "grep CapEff /proc/self/status; mount -t tmpfs none /mnt && echo mounted; \
        grep Seccomp: /proc/self/status; cd /sys/fs/cgroup/memory 2>/dev/null || cd /sys/fs/cgroup; mkdir own && echo own";
    let flags = ["--privileged", "--tmpfs", "/mnt"];
    let text = podman.shell(&flags, script).text();
    let own = std::fs::read_to_string("/proc/self/status").expect("read the own status");
    assert_eq!(text, format!("CapEff:\t{}\nmounted\nSeccomp:\t0\nown", crate::status_field(&own, "CapEff")));
}
