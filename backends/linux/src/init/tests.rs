use nucleus_abi::Beyond;
use serde_json::{Value, json};

use super::*;

fn configuration(mounts: &Value, namespaces: &Value) -> Configuration {
    let document = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": true},
        "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "mounts": mounts,
        "linux": {
            "namespaces": namespaces,
            "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 10}],
            "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 10}]
        }
    });
    Configuration::parse(&document.to_string(), &Beyond::default()).unwrap()
}

fn order(configuration: &Configuration) -> Vec<String> {
    let name = |step: &Step<'_>| match step {
        Step::Mount(mount) => mount.target.to_string(),
        other => format!("{other:?}"),
    };
    steps(configuration, &[], &[]).iter().map(name).collect()
}

fn every_namespace() -> Value {
    json!(["user", "pid", "mount", "network", "ipc", "uts", "cgroup"].map(|kind| json!({ "type": kind })))
}

#[test]
fn the_order_is_the_security_argument() {
    let mounts = json!([
        {"destination": "/proc", "type": "proc"},
        {"destination": "/dev", "type": "tmpfs"},
        {"destination": "/sys/fs/cgroup", "type": "cgroup"},
        {"destination": "/tmp", "type": "tmpfs"}
    ]);
    let expected = [
        "Hide",
        "AwaitMaps",
        "BecomeRoot",
        "NewSession",
        "Name",
        "Loopback",
        "Isolate",
        "AttachRoot",
        "RefuseLinks",
        "/proc",
        "/dev",
        "PopulateDev",
        "AwaitGo",
        "CgroupNamespace",
        "/sys/fs/cgroup",
        "/tmp",
        "Devices",
        "Cover",
        "SealRoot",
        "Sysctls",
        "Pivot",
    ];
    assert_eq!(order(&configuration(&mounts, &every_namespace())), expected);
}

#[test]
fn without_cgroups_to_show_the_wait_comes_last() {
    let order = order(&configuration(&json!([]), &every_namespace()));
    assert_eq!(order[order.len() - 4..], ["AwaitGo", "CgroupNamespace", "Sysctls", "Pivot"]);
    let dev = order.iter().position(|step| step == "MountDev").unwrap();
    assert_eq!(order[dev + 1], "PopulateDev");
}

#[test]
fn a_dev_of_the_hosts_is_left_alone() {
    let mounts = json!([{"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]}]);
    let order = order(&configuration(&mounts, &every_namespace()));
    assert!(!order.iter().any(|step| step == "PopulateDev" || step == "MountDev"), "{order:?}");
}
