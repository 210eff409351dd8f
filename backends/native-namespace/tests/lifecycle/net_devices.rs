//! `linux.netDevices`, between network namespaces that are the test's own.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

use nucleus_abi::ErrorCode;
use serde_json::{Value, json};

use crate::harness::{Bundle, alone};

/// Leaves the host's network, where a device of ours would be in the way, and makes one with addresses.
fn with_device() {
    // SAFETY: concerns this process, which has one thread.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
    ip("link add host0 type veth peer name other0");
    ip("addr add 10.9.8.7/24 brd + dev host0");
    ip("-6 addr add fd00::7/64 nodad dev host0");
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn bundle(devices: Value) -> Bundle {
    Bundle::new("busybox ip addr show").set("/linux/netDevices", devices)
}

fn assert_usable(bundle: &Bundle, name: &str) {
    let outcome = bundle.run();
    let text = outcome.output();
    assert!(text.contains(&format!(" {name}@")) && text.contains(",UP"), "{text}");
    assert!(text.contains(&format!("inet 10.9.8.7/24 brd 10.9.8.255 scope global {name}")), "{text}");
    assert!(text.contains("inet6 fd00::7/64 scope global"), "{text}");
}

#[test]
fn a_device_moves_with_its_addresses_and_is_up() {
    alone(|| {
        for (devices, name) in [
            (json!({"host0": {}}), "host0"),
            (json!({"host0": {"name": "eth7"}}), "eth7"),
            (json!({"host0": {"name": "eth%d"}}), "eth0"),
        ] {
            with_device();
            assert_usable(&bundle(devices), name);
            assert!(!ip("link").contains("host0"), "it is not here any more");
        }
    });
}

#[test]
fn a_network_namespace_in_a_user_namespace_gets_devices_too() {
    alone(|| {
        with_device();
        let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        let bundle = bundle(json!({"host0": {"name": "eth0"}}))
            .push("/linux/namespaces", json!({"type": "user"}))
            .set("/linux/uidMappings", maps.clone())
            .set("/linux/gidMappings", maps);
        for name in ["", "rootfs", "rootfs/bin"] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(bundle.directory.join(name), mode).unwrap();
        }
        assert_usable(&bundle, "eth0");
    });
}

#[test]
fn a_joined_network_namespace_gets_devices_too() {
    alone(|| {
        // SAFETY: concerns this process, which has one thread.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
        let joined = File::open("/proc/self/ns/net").unwrap();
        with_device();
        let mut bundle = bundle(json!({"host0": {"name": "eth0"}}));
        let path = format!("/proc/{}/fd/{}", std::process::id(), joined.as_raw_fd());
        for namespace in bundle.config["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "network" {
                namespace["path"] = json!(path);
            }
        }
        assert_usable(&bundle, "eth0");
    });
}

#[test]
fn a_device_that_is_missing_or_cannot_move_is_named() {
    alone(|| {
        with_device();
        let error = bundle(json!({"eth9": {}})).refused();
        assert_eq!(error.code, ErrorCode::HostUnfit, "{error}");
        assert!(error.to_string().contains("linux.netDevices.eth9"), "{error}");
        let error = bundle(json!({"host0": {"name": "lo"}})).refused();
        assert!(error.to_string().contains("has a device `lo` already"), "{error}");
        let error = bundle(json!({"lo": {"name": "lo1"}})).refused();
        assert!(error.to_string().contains("cannot leave its network namespace"), "{error}");
        assert!(ip("link").contains("host0"), "nothing has moved");
    });
}
