use std::path::Path;

use serde_json::{Value, json};

use super::*;
use nucleus_abi::{Error, ErrorCode};
use nucleus_sys::device::Special;
use nucleus_sys::mount::{Propagation, Reach};

fn minimal() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}
    })
}

fn parse(document: &Value) -> Result<Configuration> {
    Configuration::parse(&document.to_string(), &Beyond::default())
}

/// The error of a document with one value replaced.
fn refused(pointer: &str, value: Value) -> Error {
    let mut document = minimal();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[key] = value;
    parse(&document).unwrap_err()
}

#[test]
fn a_minimal_document_is_enough() {
    let configuration = parse(&minimal()).unwrap();
    assert!(configuration.namespaces.own_mounts());
    assert_eq!(configuration.limits, Limits::default());
    assert_eq!(configuration.process.escalation, Escalation::Allowed);
}

#[test]
fn each_error_names_its_field() {
    let cases = [
        ("/process/args", json!([]), "process.args"),
        ("/process/cwd", json!("relative"), "process.cwd"),
        ("/process/user", json!({"uid": 4_294_967_295u32, "gid": 0}), "process.user.uid"),
        ("/process/env", json!(["A=\0"]), "process.env[0]"),
        ("/process/oomScoreAdj", json!(2000), "process.oomScoreAdj"),
        ("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]), "process.rlimits[0]"),
        ("/hostname", json!("web"), "hostname"),
        ("/linux/namespaces", json!([{"type": "pid"}]), "linux.namespaces"),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "mount"}]), "linux.namespaces[1]"),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "user"}]), "linux.uidMappings"),
        ("/linux/timeOffsets", json!({"monotonic": {"secs": 1}}), "linux.timeOffsets"),
        ("/linux/maskedPaths", json!(["proc/kcore"]), "linux.maskedPaths[0]"),
        ("/linux/resources", json!({"memory": {"limit": 10, "swap": 5}}), "linux.resources.memory.swap"),
        ("/linux/resources", json!({"unified": {"../x.y": "1"}}), "linux.resources.unified"),
        ("/linux/resources", json!({"unified": {"cgroup.procs": "1"}}), "linux.resources.unified"),
        ("/mounts", json!([{"destination": "/", "type": "tmpfs"}]), "mounts[0].destination"),
        ("/mounts", json!([{"destination": "/data/..", "type": "tmpfs"}]), "mounts[0].destination"),
        ("/mounts", json!([{"destination": "/dev/../proc", "type": "tmpfs"}]), "mounts[0].destination"),
        (
            "/linux/devices",
            json!([{"path": "/dev/..", "type": "c", "major": 1, "minor": 3}]),
            "linux.devices[0].path",
        ),
        ("/linux/netDevices", json!({"eth0": {}}), "linux.netDevices"),
        ("/hooks", json!({"prestart": [{"path": "true"}]}), "hooks.prestart[0].path"),
        (
            "/hooks",
            json!({"poststop": [{"path": "/x"}, {"path": "/x", "timeout": 0}]}),
            "hooks.poststop[1].timeout",
        ),
        (
            "/hooks",
            json!({"createRuntime": [{"path": "/x", "timeout": -1}]}),
            "hooks.createRuntime[0].timeout",
        ),
        (
            "/hooks",
            json!({"startContainer": [{"path": "/x", "args": ["a\0"]}]}),
            "hooks.startContainer[0].args",
        ),
        (
            "/hooks",
            json!({"createContainer": [{"path": "/x", "env": ["a\0"]}]}),
            "hooks.createContainer[0].env",
        ),
        ("/mounts", json!([{"destination": "/proc", "type": "tmpfs"}]), "mounts[0].destination"),
        ("/mounts", json!([{"destination": "/x"}]), "mounts[0].type"),
        ("/mounts", json!([{"destination": "/x", "type": "none", "options": ["ro"]}]), "mounts[0].type"),
        ("/mounts", json!([{"destination": "/x", "type": "bind"}]), "mounts[0].source"),
        (
            "/mounts",
            json!([{"destination": "/x", "type": "proc", "options": ["tmpcopyup"]}]),
            "mounts[0].options[0]",
        ),
        (
            "/mounts",
            json!([{"destination": "/x", "source": "/y", "options": ["bind", "idmap"]}]),
            "mounts[0].options[1]",
        ),
        (
            "/mounts",
            json!([{"destination": "/x", "source": "/y", "options": ["bind"],
                "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]),
            "mounts[0].gidMappings",
        ),
        ("/linux/rootfsPropagation", json!("rprivat"), "linux.rootfsPropagation"),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "x"}]), "linux.devices[0].type"),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "b", "major": 4096}]), "linux.devices[0].major"),
        ("/linux/devices", json!([{"path": "/", "type": "p"}]), "linux.devices[0].path"),
    ];
    for (pointer, value, field) in cases {
        let error = refused(pointer, value);
        assert_eq!(error.code, ErrorCode::ConfigInvalid, "{error}");
        assert!(error.subject.as_ref().unwrap().contains(field), "{field}: {error}");
    }
}

/// Every file of `tests/fixtures/malformed` and the field that `fields.txt` has beside it.
#[test]
fn each_malformed_document_is_refused_by_the_name_of_its_field() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/malformed");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    Configuration::parse(&read(&directory.join("../config.json")), &Beyond::default()).unwrap();
    let table = read(&directory.join("fields.txt"));
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<_> = lines.map(|line| line.split_once(' ').unwrap()).collect();
    let files = std::fs::read_dir(&directory).unwrap().count() - 1;
    assert_eq!(lines.len(), files, "each file stands in fields.txt");
    for (name, field) in lines {
        let json = read(&directory.join(format!("{name}.json")));
        let error = Configuration::parse(&json, &Beyond::default()).expect_err(name);
        assert!([ErrorCode::ConfigInvalid, ErrorCode::NotSupported].contains(&error.code), "{name}: {error}");
        let subject = error.subject.as_deref().unwrap_or_default();
        let rest = subject.strip_prefix("config.json: ").and_then(|path| path.strip_prefix(field));
        assert!(
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('[')),
            "{name}: {field}: {error}"
        );
    }
}

#[test]
fn what_is_known_and_not_enforced_is_refused() {
    let cases = [
        ("/mounts", json!([{"destination": "/proc/self/attr", "type": "tmpfs"}]), "mounts[0].destination"),
        (
            "/mounts",
            json!([{"destination": "/x", "type": "bind", "source": "/y", "options": ["ro", "sparkle"]}]),
            "mounts[0].options[1]",
        ),
    ];
    for (pointer, value, field) in cases {
        let error = refused(pointer, value);
        assert_eq!(error.code, ErrorCode::NotSupported, "{error}");
        assert!(error.subject.as_ref().unwrap().contains(field), "{field}: {error}");
    }
}

#[test]
fn a_hook_without_arguments_gets_its_path_as_the_first() {
    let mut document = minimal();
    document["hooks"] =
        json!({"poststop": [{"path": "/x"}, {"path": "/x", "args": ["y", "z"], "timeout": 3}]});
    let hooks = parse(&document).unwrap().hooks;
    assert!(!hooks.are_none());
    assert_eq!(hooks.poststop[0].arguments, ["/x"]);
    assert_eq!((hooks.poststop[1].arguments.len(), hooks.poststop[1].timeout), (2, Some(3)));
    assert!(parse(&minimal()).unwrap().hooks.are_none());
}

#[test]
fn an_unknown_property_is_no_error() {
    let mut document = minimal();
    document["linux"]["flux"] = json!({"capacitor": true});
    parse(&document).unwrap();
}

fn options(words: &[&str]) -> Mount {
    let mut document = minimal();
    document["mounts"] =
        json!([{"destination": "/data", "type": "bind", "source": "/srv", "options": words}]);
    parse(&document).unwrap().mounts.remove(0)
}

#[test]
fn a_bind_mount_is_private_and_without_devices_unless_said_otherwise() {
    let mount = options(&["rbind"]);
    assert_eq!(mount.propagation, [(Propagation::Private, Reach::Tree)]);
    assert_eq!((mount.devices, options(&["bind", "dev"]).devices), (Devices::No, Devices::AsSaid));
}

#[test]
fn what_a_mount_leaves_out_is_warned_of() {
    let mut document = minimal();
    document["mounts"] = json!([
        {"destination": "relative", "type": "tmpfs"},
        {"destination": "/data", "source": "/srv", "options": ["bind", "sync", "async"]}
    ]);
    let configuration = parse(&document).unwrap();
    assert_eq!(configuration.mounts[0].target.to_string(), "/relative");
    let [first, second] = &configuration.warnings[..] else { panic!("{:?}", configuration.warnings) };
    assert!(first.contains("mounts[0].destination"), "{first}");
    assert!(second.contains("mounts[1].options[1]: `sync`"), "{second}");
}

#[test]
fn a_label_is_given_to_the_file_systems_that_can_have_it() {
    let mut document = minimal();
    document["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0:c1,c2");
    let kinds = ["tmpfs", "devpts", "proc", "sysfs", "mqueue"];
    document["mounts"] = kinds
        .iter()
        .map(|kind| json!({"destination": if *kind == "proc" { "/proc" } else { "/x" }, "type": kind}))
        .collect();
    let configuration = parse(&document).unwrap();
    let labelled = configuration.mounts.iter().filter(|mount| match &mount.content {
        Content::New(file_system) => file_system.data.iter().any(|datum| datum.key == "context"),
        _ => false,
    });
    assert_eq!(labelled.map(|mount| mount.index).collect::<Vec<_>>(), [0, 1]);
}

/// Without rules nothing but `nodev` keeps the workload from devices; where rules grant some, the nodes may be anywhere.
#[test]
fn device_rules_decide_what_mounts_add() {
    let of = |rules: Value, mount: Value| {
        let mut document = minimal();
        document["linux"]["resources"] = json!({"devices": rules});
        document["mounts"] = json!([mount]);
        parse(&document).unwrap().mounts[0].devices
    };
    let bind = |target: &str| json!({"destination": target, "source": "/srv", "options": ["bind"]});
    let tmpfs = || json!({"destination": "/data", "type": "tmpfs"});
    let rule = |allow: bool, kind: &str, major: i64, minor: i64, access: &str| json!({"allow": allow, "type": kind, "major": major, "minor": minor, "access": access});
    let deny = json!({"allow": false, "access": "rwm"});
    let usual = json!([deny, {"allow": true, "type": "c", "access": "m"}, rule(true, "c", 1, 3, "rwm"),
        rule(true, "c", 5, 1, "rwm"), rule(true, "c", 136, 4, "rwm"), rule(false, "c", 10, 229, "rwm")]);
    assert_eq!(of(json!([]), bind("/data")), Devices::No);
    assert_eq!(of(json!([]), tmpfs()), Devices::No);
    assert_eq!(of(json!([]), json!({"destination": "/dev/pts", "type": "devpts"})), Devices::AsSaid);
    assert_eq!(of(usual.clone(), bind("/data")), Devices::SourceOnly);
    assert_eq!(of(usual.clone(), bind("/dev")), Devices::AsSaid);
    assert_eq!(of(usual.clone(), bind("/dev/../data")), Devices::SourceOnly);
    assert_eq!(of(usual.clone(), bind("/data/../dev")), Devices::AsSaid);
    assert_eq!(of(usual, tmpfs()), Devices::No);
    for grant in
        [rule(true, "c", 10, 229, "rw"), rule(true, "b", 1, 3, "r"), json!({"allow": true, "access": "rwm"})]
    {
        assert_eq!(of(json!([deny, grant]), tmpfs()), Devices::AsSaid, "{grant}");
    }
}

#[test]
fn devices_are_read_as_engines_write_them() {
    let mut document = minimal();
    document["linux"]["devices"] = json!([
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o20660, "uid": 1, "gid": 2},
        {"path": "/dev/sda", "type": "b", "major": 8, "minor": 0},
        {"path": "/run/pipe", "type": "p"},
        {"path": "/dev/raw", "type": "u", "major": 1, "minor": 5}
    ]);
    let nodes = parse(&document).unwrap().devices;
    let found: Vec<_> = nodes.iter().map(|node| (node.special, node.mode, node.owner)).collect();
    let expected = [
        (Special::Char(10, 229), 0o660, (1, 2)),
        (Special::Block(8, 0), 0o666, (0, 0)),
        (Special::Fifo, 0o666, (0, 0)),
        (Special::Char(1, 5), 0o666, (0, 0)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn sysctl_names_are_read_as_sysctl_reads_them() {
    let mut document = minimal();
    document["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "network"}]);
    document["linux"]["sysctl"] =
        json!({"net.ipv4.conf.eth0/100.forwarding": "1", "net/ipv4/conf/eth0.200/forwarding": "1"});
    let configuration = parse(&document).unwrap();
    let paths: Vec<_> = configuration.sysctls.iter().map(|sysctl| sysctl.path.as_str()).collect();
    assert_eq!(paths, ["sys/net/ipv4/conf/eth0.100/forwarding", "sys/net/ipv4/conf/eth0.200/forwarding"]);
}

#[test]
fn a_capability_that_nobody_knows_is_a_warning_and_the_others_count() {
    let mut document = minimal();
    let asked = json!(["CAP_CHOWN", "CAP_FLY"]);
    document["process"]["capabilities"] = json!({"bounding": asked, "permitted": asked, "effective": asked});
    let configuration = parse(&document).unwrap();
    assert_eq!(configuration.warnings, ["CAP_FLY is not granted: no such capability is known"]);
    assert_eq!(configuration.process.capabilities.effective, "CAP_CHOWN".parse().into_iter().collect());
}

#[test]
fn another_major_version_and_none_are_refused() {
    assert_eq!(refused("/ociVersion", json!("2.0.0")).code, ErrorCode::NotSupported);
    assert_eq!(refused("/ociVersion", json!("latest")).code, ErrorCode::ConfigInvalid);
    let mut document = minimal();
    document["ociVersion"] = json!("1.99.0");
    parse(&document).unwrap();
}

#[test]
fn a_joined_mount_namespace_takes_no_mounts() {
    let mut document = minimal();
    document["linux"]["namespaces"] = json!([{"type": "mount", "path": "/proc/1/ns/mnt"}]);
    parse(&document).unwrap();
    document["mounts"] = json!([{"destination": "/tmp", "type": "tmpfs"}]);
    assert!(parse(&document).unwrap_err().to_string().contains("mounts"));
}

#[test]
fn a_sysctl_that_cannot_be_the_containers_is_refused_with_a_way_out() {
    let cases = [
        ("kernel.hostname", "web", "of the kind uts"),
        ("kernel.domainname", "web", "of the kind uts"),
        ("net.ipv4.ip_forward", "1", "of the kind network"),
        ("kernel.msgmax", "1", "of the kind ipc"),
        ("kernel.msgmax\nkernel.core_pattern", "1", "characters"),
        ("kernel.shm_rmid_forced+kernel.core_pattern", "1", "characters"),
        ("kernel.msgmax", "1\n2", "newline"),
        ("kernel.msgmax", "1\0", "NUL"),
        ("kernel.core_pattern", "|/x", "whole host"),
    ];
    for (name, value, cause) in cases {
        let error = refused("/linux/sysctl", json!({ name: value }));
        assert!(error.subject.as_ref().unwrap().contains("linux.sysctl["), "{error}");
        assert!(error.cause.as_ref().unwrap().contains(cause), "{error}");
        assert!(error.hint.is_some(), "{error}");
    }
    let mut document = minimal();
    document["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "uts"}]);
    document["linux"]["sysctl"] = json!({"kernel.hostname": "web", "kernel.domainname": "lan"});
    assert_eq!(parse(&document).unwrap().sysctls.len(), 2);
}

#[test]
fn a_joined_mount_namespace_needs_no_root_and_a_new_one_does() {
    let mut document = minimal();
    document.as_object_mut().unwrap().remove("root");
    assert!(parse(&document).unwrap_err().to_string().contains("config.json: root: missing"));
    document["linux"]["namespaces"] = json!([{"type": "mount", "path": "/proc/1/ns/mnt"}]);
    assert!(parse(&document).unwrap().root.is_none());
    document["root"] = json!({"path": "rootfs", "readonly": true});
    assert!(parse(&document).unwrap_err().to_string().contains("root.readonly"));
}

proptest::proptest! {
    #[test]
    fn no_document_makes_it_panic(text in "\\PC*", number in proptest::num::i64::ANY) {
        let _ = Configuration::parse(&text, &Beyond::default());
        let mut document = minimal();
        document["process"]["args"] = json!([text]);
        document["process"]["oomScoreAdj"] = json!(number);
        document["mounts"] = json!([{"destination": text, "type": text, "options": [text]}]);
        let _ = parse(&document);
    }
}

/// What decides over a path is where it leads, not how it is written (CVE-2019-16884): neither `..` nor a doubled slash takes a
/// path past its guard.
#[test]
fn masked_and_read_only_paths_are_cleaned_before_they_are_used() {
    let written = json!(["/proc/x/../kcore", "//proc/./keys", "/../../proc/acpi/", "/"]);
    let cleaned = ["/proc/kcore", "/proc/keys", "/proc/acpi", "/"];
    for field in ["maskedPaths", "readonlyPaths"] {
        let document = json!({
            "ociVersion": "1.2.0", "root": {"path": "rootfs"}, "process": {"args": ["x"], "cwd": "/"},
            "linux": {"namespaces": [{"type": "mount"}], field: written}
        });
        let configuration = Configuration::parse(&document.to_string(), &Beyond::default()).unwrap();
        let paths = if field == "maskedPaths" { configuration.masked } else { configuration.readonly };
        assert_eq!(paths.iter().map(ToString::to_string).collect::<Vec<_>>(), cleaned, "{field}");
    }
}
