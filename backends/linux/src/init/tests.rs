use nucleus_abi::Beyond;
use serde_json::{Value, json};

use super::*;

fn configuration(mounts: &Value, namespaces: &Value) -> Configuration {
    let mut document = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": true},
        "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "mounts": mounts,
        "linux": {"namespaces": namespaces}
    });
    if namespaces.as_array().unwrap().contains(&json!({"type": "user"})) {
        let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 10}]);
        document["linux"]["uidMappings"] = maps.clone();
        document["linux"]["gidMappings"] = maps;
    }
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
        "Cover",
        "Sysctls",
        "SealRoot",
        "Pivot",
    ];
    assert_eq!(order(&configuration(&mounts, &every_namespace())), expected);
}

#[test]
fn without_cgroups_to_show_the_wait_comes_last() {
    let order = order(&configuration(&json!([]), &every_namespace()));
    let end = ["AwaitGo", "CgroupNamespace", "Sysctls", "SealRoot", "Pivot"];
    assert_eq!(order[order.len() - 5..], end);
    let dev = order.iter().position(|step| step == "MountDev").unwrap();
    assert_eq!(order[dev + 1], "PopulateDev");
}

#[test]
fn the_cgroups_are_entered_before_the_first_mount_that_shows_them() {
    let namespaces = json!(["pid", "mount", "network", "cgroup"].map(|kind| json!({ "type": kind })));
    let mounts = json!([
        {"destination": "/proc", "type": "proc"},
        {"destination": "/sys", "type": "sysfs"},
        {"destination": "/sys/fs/cgroup", "type": "cgroup"}
    ]);
    let order = order(&configuration(&mounts, &namespaces));
    let middle = ["/proc", "/sys", "AwaitGo", "CgroupNamespace", "/sys/fs/cgroup"];
    let start = order.iter().position(|step| step == "/proc").unwrap();
    assert_eq!(order[start..start + middle.len()], middle);
}

#[test]
fn a_dev_of_the_hosts_is_left_alone() {
    let mounts = json!([{"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]}]);
    let order = order(&configuration(&mounts, &every_namespace()));
    assert!(!order.iter().any(|step| step == "PopulateDev" || step == "MountDev"), "{order:?}");
}

fn with_devices(mounts: &Value) -> Configuration {
    let mut document = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {"args": ["true"], "cwd": "/"},
        "linux": {
            "namespaces": [{"type": "mount"}],
            "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}],
            "rootfsPropagation": "rshared"
        }
    });
    document["mounts"] = mounts.clone();
    Configuration::parse(&document.to_string(), &Beyond::default()).unwrap()
}

#[test]
fn nodes_are_made_in_a_dev_of_ours_and_looked_for_in_the_hosts() {
    let ours = json!([{"destination": "/dev", "type": "tmpfs", "options": ["ro"]}]);
    let order_of = |mounts| order(&with_devices(&mounts));
    let order = order_of(ours);
    let place = |step: &str| order.iter().position(|found| found == step).unwrap();
    assert!(place("PopulateDev") < place("Devices") && place("Devices") < place("SealMemory"), "{order:?}");
    assert_eq!(order.last().unwrap(), "Propagate(Shared, Tree)");
    let hosts = json!([{"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]}]);
    let order = order_of(hosts);
    assert!(order.iter().any(|step| step == "CheckDevices") && !order.iter().any(|step| step == "Devices"));
}

#[test]
fn hooks_are_called_between_the_mounts_and_what_closes_the_root() {
    let mut document: Value = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": true},
        "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "linux": {"namespaces": every_namespace().as_array().unwrap()[1..]}
    });
    let hook = json!([{"path": "/bin/true"}]);
    let mut end_with = |point: &str, count: usize| {
        document["hooks"] = json!({ point: hook });
        let order = order(&Configuration::parse(&document.to_string(), &Beyond::default()).unwrap());
        order[order.len() - count..].to_vec()
    };
    for point in ["prestart", "createRuntime"] {
        assert_eq!(end_with(point, 4), ["Sysctls", "AwaitHooks", "SealRoot", "Pivot"], "{point}");
    }
    assert_eq!(end_with("createContainer", 4), ["Sysctls", "CallHooks", "SealRoot", "Pivot"]);
    for point in ["startContainer", "poststart", "poststop"] {
        assert_eq!(end_with(point, 3), ["Sysctls", "SealRoot", "Pivot"], "{point} costs no step");
    }
}
