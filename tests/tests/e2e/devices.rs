//! `devices`: none but the standard ones, unless the profile names them.

use std::path::{Path, PathBuf};
use std::process::Command;

use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::skip::skip;
use nucleus_tests::{Host, Nucleus, oci};
use serde_json::json;

use crate::{DEV, PROFILES};

/// A harmless device that is not among the standard ones, and can be opened by everybody.
const FUSE: &str = "/dev/fuse";

fn with_devices(host: &Host, parent: &str, devices: &str, script: &str) -> Nucleus {
    host.shell(host.profile(parent, &format!("devices: [{devices}]")), script)
}

/// A node on the host, of the device that has these numbers.
fn node(host: &Host, name: &str, kind: &str, major: u32, minor: u32) -> PathBuf {
    let path = host.path(name);
    let numbers = [major, minor].map(|number| number.to_string());
    let made = Command::new("mknod").args(["-m", "640"]).arg(&path).arg(kind).args(numbers).status();
    assert!(made.is_ok_and(|status| status.success()), "make a node");
    path
}

#[test]
fn a_container_has_the_standard_devices_and_no_others() {
    let host = Host::enter();
    for profile in PROFILES {
        let script = "cd /dev; for n in *; do [ -c $n ] && [ ! -L $n ] && echo $n; done; ls -d /dev/* | grep -c block; true";
        let output = host.shell(profile, script).output().assert_success();
        assert_eq!(output.text(), "full\nnull\nrandom\ntty\nurandom\nzero\n0", "{profile}");
    }
}

#[test]
fn a_device_that_is_named_is_there_with_its_mode_and_owner() {
    if !Path::new(FUSE).exists() {
        return skip("the host has no /dev/fuse");
    }
    let host = Host::enter();
    for profile in PROFILES {
        let devices = format!("{{path: {FUSE}, mode: \"0666\", uid: 7, gid: 8}}");
        let script = "stat -c '%F %t:%T %a %u:%g' /dev/fuse; exec 3<>/dev/fuse && echo opened";
        let output = with_devices(&host, profile, &devices, script).output().assert_success();
        assert_eq!(output.text(), "character special file a:e5 666 7:8\nopened", "{profile}");
    }
    let devices = ["--device", "/dev/fuse:/dev/deep/er:r"];
    let script = "stat -c '%t:%T %u:%g' /dev/deep/er; (: < /dev/deep/er) && echo read; (: > /dev/deep/er) || echo refused";
    let output = host.shell(DEV, script).args(devices).output().assert_code(0);
    assert_eq!(
        output.text(),
        "a:e5 0:0\nread\nrefused",
        "the rule of the cgroup lets nobody write\n{output}"
    );
}

/// In every kind of root `/dev` is nucleus' own, and nothing of it stays in an image.
#[test]
fn a_device_has_its_place_in_any_root() {
    if !Path::new(FUSE).exists() {
        return skip("the host has no /dev/fuse");
    }
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let devices = format!("{{path: {FUSE}, target: /dev/deep/fuse, mode: \"0666\"}}");
    let script = "exec 3<>/dev/deep/fuse && stat -c %t:%T /dev/deep/fuse";
    for option in ["--read-only", "--writable"] {
        let call = with_devices(&host, DEV, &devices, script).args([option, "--rootfs"]).arg(root.path());
        assert_eq!(call.output().assert_success().text(), "a:e5");
        assert!(!root.path().join("dev/deep").exists(), "nothing is written into the image");
    }
}

/// Nobody can make nodes in a user namespace: the host's own is shown.
#[test]
fn a_device_in_a_user_namespace_is_the_hosts() {
    if !Path::new(FUSE).exists() {
        return skip("the host has no /dev/fuse");
    }
    let host = Host::enter();
    let yaml = format!(
        "devices: [{{path: {FUSE}}}]\nnamespaces: {{user: {{uidMap: [{{container: 0, host: 200000, size: 65536}}], \
        gidMap: [{{container: 0, host: 200000, size: 65536}}]}}}}"
    );
    let output = host.shell(host.profile(DEV, &yaml), "stat -c %t:%T /dev/fuse").output().assert_success();
    assert_eq!(output.text(), "a:e5");
}

/// With a device rule the workload may not even open what it makes itself.
#[test]
fn nodes_that_a_workload_makes_are_dead() {
    let host = Host::enter();
    let device = node(&host, "zeroes", "c", 1, 5);
    let devices = format!("{{path: {}, target: /dev/zeroes}}", device.display());
    for devices in ["", devices.as_str()] {
        let script = "for d in /dev /tmp /dev/shm; do mknod $d/disk b 7 0 2>/dev/null; mknod $d/kmsg c 1 11 2>/dev/null; \
            (: < $d/disk) 2>/dev/null && echo $d/disk; (: < $d/kmsg) 2>/dev/null && echo $d/kmsg; done; echo done";
        let output = with_devices(&host, DEV, devices, script).output().assert_code(0);
        assert_eq!(output.text(), "done", "{devices}: {output}");
    }
}

#[test]
fn what_is_named_must_be_a_device_and_harmless() {
    let host = Host::enter();
    let file = host.file("file", "");
    let link = host.path("link");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    let (disk, memory) = (node(&host, "disk", "b", 7, 0), node(&host, "memory", "c", 1, 1));
    let harmless = node(&host, "harmless", "c", 10, 229);
    let path = |path: &Path| format!("{{path: {}, target: /dev/x}}", path.display());
    let at = |target: &str| format!("{{path: {}, target: {target}}}", harmless.display());
    let cases = [
        ("{path: /dev/no-such-device}".to_owned(), vec!["the host has no /dev/no-such-device", "optional"]),
        (path(&file), vec!["is no device"]),
        (path(&link), vec!["is a link to /dev/null"]),
        (path(&disk), vec!["the host can be reached", "dangerous: true"]),
        (path(&memory), vec!["the host can be reached", "dangerous: true"]),
        ("{path: /dev/null}".to_owned(), vec!["/dev/null belongs to the runtime"]),
        (at("/dev/pts/7"), vec!["/dev/pts/7 belongs to the runtime"]),
        (at("/proc/fuse"), vec!["/proc/fuse does not lie in /dev"]),
        (at("/dev"), vec!["/dev does not lie in /dev"]),
        (format!("{{path: {}}}", harmless.display()), vec!["does not lie in /dev", "add a `target`"]),
        (at("/dev/../etc"), vec!["`..` is not allowed"]),
        (format!("{}, {}", at("/dev/x"), at("/dev//x")), vec!["two mounts have the target `/dev/x`"]),
        (format!("{{path: {}, access: rx}}", harmless.display()), vec!["letters `r`, `w` and `m`"]),
    ];
    for (devices, mut words) in cases {
        words.push(".yaml:3");
        with_devices(&host, DEV, &devices, "true").output().assert_refused(&words);
    }
}

#[test]
fn a_device_that_may_be_missing_is_left_out() {
    let host = Host::enter();
    let devices = "{path: /dev/no-such-device, optional: true}";
    let script = "ls /dev/no-such-device 2>/dev/null || echo none";
    assert_eq!(with_devices(&host, DEV, devices, script).output().assert_success().text(), "none");
}

#[test]
fn a_dangerous_device_is_given_by_name() {
    let host = Host::enter();
    let disk = node(&host, "disk", "b", 7, 0);
    let devices = format!("{{path: {}, target: /dev/disk, access: r, dangerous: true}}", disk.display());
    let script = "stat -c '%F %t:%T %a' /dev/disk";
    let output = with_devices(&host, DEV, &devices, script).output().assert_success();
    assert_eq!(output.text(), "block special file 7:0 640", "its mode is the host's");
}

#[test]
fn config_json_and_explain_tell_of_them() {
    let host = Host::enter();
    let harmless = node(&host, "harmless", "c", 10, 229);
    let profile = host
        .profile(DEV, &format!("devices: [{{path: {}, target: /dev/x, access: wr}}]", harmless.display()));
    let config = host.run(&profile, &["/bin/true"]).arg("--dry-run").output().assert_success().json();
    assert_eq!(oci::violations(&config), Vec::<String>::new());
    let shown = json!([{"type": "c", "path": "/dev/x", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 0, "gid": 0}]);
    assert_eq!(config["linux"]["devices"], shown);
    let rules = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"},
    ]);
    assert_eq!(config["linux"]["resources"]["devices"], rules);
    let call = host.nucleus("explain").profile(&profile).args(["--format", "json"]).command(["/bin/true"]);
    let explained = call.output().assert_success().text().to_owned();
    for word in ["devices[/dev/x]", "c 10:229 rw,mode=0640,owner=0:0", "mknod(2)"] {
        assert!(explained.contains(word), "{word}: {explained}");
    }

    // Nothing is said where nothing is needed.
    let config = host.run(DEV, &["/bin/true"]).arg("--dry-run").output().assert_success().json();
    assert_eq!(config.pointer("/linux/devices"), None);
    assert_eq!(config.pointer("/linux/resources/devices"), None);
    // Who may mount could mount a file system on which nodes are devices.
    let yaml = "security: {capabilities: [SYS_ADMIN, MKNOD]}";
    let config = host.run(host.profile(DEV, yaml), &["/bin/true"]).arg("--dry-run").output().json();
    assert_eq!(config["linux"]["resources"]["devices"], json!([{"allow": false, "access": "rwm"}]));
}

/// The rule holds where mounts do not help: the workload mounts a file system of its own and makes a node there.
#[test]
fn who_may_mount_and_make_nodes_reaches_no_disk_all_the_same() {
    let naive = Command::new("unshare")
        .args([
            "--mount",
            "/bin/sh",
            "-c",
            "mount -t tmpfs none /tmp && mknod /tmp/disk b 7 0 && : < /tmp/disk && echo fallen",
        ])
        .output()
        .unwrap();
    if naive.stdout != b"fallen\n" {
        return skip("the host has no disk 7:0 that could be opened: the trap is blunt");
    }
    let host = Host::enter();
    let yaml = "security: {capabilities: [SYS_ADMIN, MKNOD], seccomp: unconfined, landlock: off, maskedPaths: [], readonlyPaths: []}\n\
        enforcement: permissive";
    let script = "mount -t tmpfs none /tmp && mknod /tmp/disk b 7 0 && mknod /tmp/null c 1 3 && : < /tmp/null && echo null; \
        (: < /tmp/disk) 2>/dev/null && echo fallen; echo done";
    let output = host.shell(host.profile(DEV, yaml), script).output().assert_code(0);
    assert_eq!(output.text(), "null\ndone", "{output}");
}
