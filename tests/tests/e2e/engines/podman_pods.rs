//! Pods: containers that share namespaces.

use nucleus_tests::Host;
use nucleus_tests::engines::{IMAGE, Podman};

#[test]
fn containers_of_a_pod_share_what_a_pod_shares() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let parent = podman.cgroup_parent();
    let pod = ["pod", "create", "--name", "pod", "--network", "none", "--cgroup-parent", &parent];
    let infra = ["--infra-image", IMAGE, "--infra-command", "sleep 1000", "--share", "net,ipc,uts,pid"];
    podman.call(&[&pod[..], &infra].concat()).text();
    let member =
        |script: &str| podman.call(&["run", "--rm", "--pod", "pod", IMAGE, "/bin/sh", "-c", script]).text();
    let script = "for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done";
    let (one, two) = (member(script), member(script));
    let shared = |text: &str| text.lines().take(4).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(shared(&one), shared(&two));
    let infra = podman.call(&["pod", "inspect", "--format", "{{.InfraContainerID}}", "pod"]).text();
    let infra = format!("/proc/{}/ns/mnt", podman.inspect(&infra, ".State.Pid"));
    let mounts = std::fs::read_link(infra).expect("the pod's first process is there");
    assert_ne!(one.lines().last(), mounts.to_str(), "each has mounts of its own");
    assert!(member("ps").contains("sleep 1000"), "the pod's first process is seen");
    assert_eq!(member("hostname"), "pod");
}

#[test]
fn containers_of_a_pod_talk_over_its_loopback() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let parent = podman.cgroup_parent();
    let pod = ["pod", "create", "--name", "pod", "--network", "none", "--cgroup-parent", &parent];
    podman.call(&[&pod[..], &["--infra-image", IMAGE, "--infra-command", "sleep 1000"]].concat()).text();
    let server = ["run", "--detach", "--pod", "pod", "--cap-add", "net_admin", IMAGE, "/bin/sh", "-c"];
    podman
        .call(&[&server[..], &["ip link set lo up; while :; do echo hello | nc -l -p 8080; done"]].concat())
        .text();
    super::wait_until("the answer", || {
        let client = ["run", "--rm", "--pod", "pod", IMAGE, "nc", "127.0.0.1", "8080"];
        podman.call(&client).output().text() == "hello"
    });
    podman.call(&["pod", "stop", "--time", "0", "pod"]).text();
    assert_eq!(podman.call(&["pod", "inspect", "--format", "{{.State}}", "pod"]).text(), "Exited");
    podman.call(&["pod", "rm", "pod"]).text();
}

#[test]
fn a_container_joins_anothers_namespaces() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("first", &[]);
    let parent = podman.cgroup_parent();
    let join = [
        "run",
        "--rm",
        "--network",
        "container:first",
        "--pid",
        "container:first",
        "--ipc",
        "container:first",
    ];
    let script = "for n in net pid ipc; do readlink /proc/self/ns/$n; done";
    let command = ["--cgroup-parent", &parent, IMAGE, "/bin/sh", "-c", script];
    let joined = podman.call(&[&join[..], &command].concat()).text();
    let first = podman.call(&["exec", "first", "/bin/sh", "-c", script]).text();
    assert_eq!(joined, first);
}
