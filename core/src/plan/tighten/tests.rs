//! One test for each row of the table in `docs/profile.md`.

use rustix::io::Errno;
use serde_json::{Value, json};

use super::{EngineFacts, Tightened};
use crate::plan::{
    Bounds, DeviceFact, DeviceKind, DeviceNumber, Found, HostFacts, Reach, Shape, Source, resolve,
};
use crate::profile::{Request, SearchPath, load};

/// The bounds of a profile with these lines.
fn bounds(yaml: &str) -> Bounds {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("nucleus-tighten-{}-{number}.yaml", std::process::id()));
    std::fs::write(&path, format!("apiVersion: nucleus/v1\nname: web\n{yaml}")).unwrap();
    let request =
        Request { profile: path.to_str(), search: SearchPath::of_directories([]), ..Request::default() };
    let loaded = load(&request).unwrap_or_else(|error| panic!("{}", nucleus_abi::Error::from(error)));
    std::fs::remove_file(&path).unwrap();
    // What the profiles here name of devices.
    let node = |kind, major, minor| DeviceFact::Node(DeviceNumber { kind, major, minor }, 0o600);
    let devices = [
        ("/dev/fuse".into(), node(DeviceKind::Character, 10, 229)),
        ("/dev/vda".into(), node(DeviceKind::Block, 8, 0)),
    ];
    let facts = HostFacts { devices: devices.into(), ..HostFacts::default() };
    let plan = resolve(&loaded, &facts).unwrap();
    Bounds::of(&loaded, &plan)
}

/// What an engine writes for an ordinary container.
fn ordinary() -> Value {
    json!({
        "ociVersion": "1.0.2", "x-engine": {"kept": [1, 2]},
        "root": {"path": "rootfs"},
        "process": {"user": {"uid": 1000, "gid": 1000}, "args": ["sh"], "env": ["A=b"], "cwd": "/",
            "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_ADMIN"], "effective": ["CAP_CHOWN", "CAP_SYS_ADMIN"],
                "permitted": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "nodev"]}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
            {"type": "network", "path": "/run/netns/cni-1"}, {"type": "cgroup"}]},
    })
}

fn tightened(config: &mut Value, yaml: &str) -> Tightened {
    super::config(config, &bounds(yaml), &facts(Reach::Files)).unwrap()
}

/// Facts in which the sources of all mounts lead to the same.
fn facts(reach: Reach) -> EngineFacts {
    let found = Source::Found(Found { path: "/srv/data".into(), shape: Shape::Directory, reach });
    let sources = (0..9).map(|mount| (mount, found.clone())).collect();
    let places = [(0, Ok("/data".into())), (1, Ok("/tmp".into()))].into();
    EngineFacts { sources, places, ..EngineFacts::default() }
}

/// The ordinary container with one field changed, under a profile.
fn changed(pointer: &str, value: Value, yaml: &str) -> (Value, Tightened) {
    let mut config = ordinary();
    put(&mut config, pointer, value);
    let tightened = tightened(&mut config, yaml);
    (config, tightened)
}

fn put(config: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    if config.pointer(parent).is_none() {
        put(config, parent, json!({}));
    }
    config.pointer_mut(parent).unwrap()[key] = value;
}

fn refused(pointer: &str, value: Value, yaml: &str) -> String {
    let (_, tightened) = changed(pointer, value, yaml);
    let error = tightened.allow(&bounds(yaml).held).expect_err(pointer);
    assert_eq!(error.code, nucleus_abi::ErrorCode::ProfileRefuses);
    error.to_string()
}

/// `field`: asked for `asked`, it becomes `expected`.
fn becomes(field: &str, asked: Value, yaml: &str, expected: &Value) {
    let pointer = format!("/{}", field.replace('.', "/"));
    let (config, tightened) = changed(&pointer, asked, yaml);
    assert_eq!(config.pointer(&pointer), Some(expected), "{field}");
    assert_eq!(tightened.refusals, [], "{field}");
}

#[test]
fn what_no_rule_speaks_of_stays_as_the_engine_wrote_it() {
    let mut config = ordinary();
    tightened(&mut config, "");
    let before = ordinary();
    for pointer in
        ["/x-engine", "/process/args", "/process/env", "/process/cwd", "/process/user", "/root/path"]
    {
        assert_eq!(config.pointer(pointer), before.pointer(pointer), "{pointer}");
    }
    assert_eq!(config.pointer("/root/readonly"), None, "a root that the profile does not speak of");
}

#[test]
fn each_change_names_the_line_that_made_it() {
    let (_, tightened) = changed("/process/x", json!(1), "resources: {memory: 64M}\n");
    let memory =
        tightened.changes.iter().find(|change| change.field == "linux.resources.memory.limit").unwrap();
    assert_eq!((&memory.from, &memory.to), (&Value::Null, &json!(67_108_864)));
    assert!(memory.decided.ends_with(".yaml:3"), "{}", memory.decided);
}

#[test]
fn limits_the_lower_one() {
    let yaml = "resources: {memory: 64M, swap: 0, cpus: 0.5, cpuShares: 512, cpuset: 0-2, pids: 10, io: {weight: 100, readBps: {\"8:0\": 1M}}}\n";
    let lower = json!(1_048_576);
    becomes("linux.resources.memory.limit", lower.clone(), yaml, &lower);
    for more in [json!(1_u64 << 40), json!(-1), json!(0), Value::Null] {
        becomes("linux.resources.memory.limit", more.clone(), yaml, &json!(67_108_864));
        becomes("linux.resources.memory.swap", more, yaml, &json!(67_108_864));
    }
    becomes("linux.resources.memory.disableOOMKiller", json!(true), yaml, &json!(false));
    becomes("linux.resources.memory.reservation", json!(1_u64 << 40), yaml, &json!(67_108_864));
    becomes(
        "linux.resources.cpu",
        json!({"quota": 20_000}),
        yaml,
        &json!({"quota": 20_000, "shares": 512, "cpus": "0-2"}),
    );
    let half = json!({"quota": 50_000, "period": 100_000, "burst": null, "shares": 2, "cpus": "1,2"});
    becomes(
        "linux.resources.cpu",
        json!({"quota": 900, "period": 1000, "burst": 9, "shares": 2, "cpus": "1-7"}),
        yaml,
        &half,
    );
    becomes("linux.resources.pids.limit", json!(4), yaml, &json!(4));
    becomes("linux.resources.pids.limit", json!(-1), yaml, &json!(10));
    becomes("linux.resources.blockIO.weight", json!(900), yaml, &json!(100));
    let device = |rate: u64| json!([{"major": 8, "minor": 0, "rate": rate}]);
    becomes("linux.resources.blockIO.throttleReadBpsDevice", device(5), yaml, &device(5));
    becomes("linux.resources.blockIO.throttleReadBpsDevice", device(1 << 30), yaml, &device(1 << 20));
    becomes("linux.resources.blockIO.throttleReadBpsDevice", Value::Null, yaml, &device(1 << 20));
}

#[test]
fn processors_that_the_profile_does_not_give_at_all_are_refused() {
    let text = refused("/linux/resources/cpu", json!({"cpus": "4-5"}), "resources: {cpuset: 0-1}\n");
    assert!(text.contains("linux.resources.cpu.cpus") && text.contains("4-5"), "{text}");
}

#[test]
fn a_file_of_cgroup_v2_does_not_go_round_a_limit() {
    let text = refused("/linux/resources/unified", json!({"memory.max": "max"}), "");
    assert!(text.contains("unified[\"memory.max\"]"), "{text}");
    let (_, free) = changed("/linux/resources/unified", json!({"memory.oom.group": "1"}), "");
    assert_eq!(free.refusals, []);
}

#[test]
fn capabilities_in_both() {
    let yaml = "security: {capabilities: [CHOWN, KILL]}\n";
    for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
        let asked = json!(["CAP_CHOWN", "CAP_SYS_ADMIN"]);
        becomes(&format!("process.capabilities.{set}"), asked, yaml, &json!(["CAP_CHOWN"]));
    }
}

#[test]
fn no_new_privileges_is_forced_unless_the_profile_allows_them() {
    becomes("process.noNewPrivileges", json!(false), "", &json!(true));
    becomes("process.noNewPrivileges", json!(false), "security: {noNewPrivileges: false}\n", &json!(false));
}

#[test]
fn rlimits_and_the_oom_score_only_become_stricter() {
    let yaml = "workload: {rlimits: {nofile: {soft: 100, hard: 200}}, oomScoreAdj: 500}\n";
    let nofile = |soft: u64, hard: u64| json!([{"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard}]);
    becomes("process.rlimits", nofile(50, 1000), yaml, &nofile(50, 200));
    becomes("process.rlimits", Value::Null, yaml, &nofile(100, 200));
    becomes("process.oomScoreAdj", json!(-900), yaml, &json!(500));
    becomes("process.oomScoreAdj", json!(900), yaml, &json!(900));
}

#[test]
fn root_is_refused_where_the_profile_names_another_user() {
    let text = refused("/process/user", json!({"uid": 0, "gid": 0}), "workload: {user: 10001:10001}\n");
    assert!(text.contains("process.user.uid") && text.contains("10001"), "{text}");
    let (_, allowed) = changed("/process/user", json!({"uid": 0, "gid": 0}), "");
    assert_eq!(allowed.refusals, []);
}

#[test]
fn a_read_only_root_is_forced_where_the_profile_speaks_of_the_root() {
    becomes("root.readonly", json!(false), "rootfs: host-runtime\n", &json!(true));
    becomes("root.readonly", json!(false), "rootfs: {path: /srv, readonly: false}\n", &json!(false));
}

#[test]
fn masks_and_read_only_paths_are_added() {
    let (config, _) = changed("/linux/maskedPaths", json!(["/proc/kcore", "/mine"]), "");
    let masked = config["linux"]["maskedPaths"].as_array().unwrap();
    assert!(masked.contains(&json!("/mine")) && masked.contains(&json!("/proc/keys")), "{masked:?}");
    assert_eq!(masked.iter().filter(|path| **path == "/proc/kcore").count(), 1);
    assert!(config["linux"]["readonlyPaths"].as_array().unwrap().contains(&json!("/proc/sys")));
}

#[test]
fn mounts_get_the_flags_that_the_profile_promises() {
    let mount = |kind: &str, destination: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": "x", "options": options});
    let asked = json!([
        mount("bind", "/data", &["rbind", "suid", "dev", "rw"]),
        mount("bind", "/one", &["bind"]),
        mount("tmpfs", "/dev", &["mode=755"]),
        mount("sysfs", "/sys", &["rw", "nosuid"]),
    ]);
    let expected = json!([
        mount("bind", "/data", &["rbind", "rw", "rnosuid", "rnodev"]),
        mount("bind", "/one", &["bind", "nosuid", "nodev"]),
        mount("tmpfs", "/dev", &["mode=755", "nosuid"]),
        mount("sysfs", "/sys", &["nosuid", "nodev", "ro"]),
    ]);
    becomes("mounts", asked, "", &expected);
}

#[test]
fn mounts_that_lead_out_to_the_host_are_refused() {
    let mount = json!([{"destination": "/d", "source": "/d", "options": ["rbind", "rshared"]}]);
    assert!(refused("/mounts", mount, "").contains("mounts[0]"));
    assert!(refused("/linux/rootfsPropagation", json!("shared"), "").contains("linux.rootfsPropagation"));
}

#[test]
fn a_bind_mount_that_reaches_the_host_is_refused_by_what_its_source_leads_to() {
    let mount = json!([{"destination": "/host", "type": "bind", "source": "/x", "options": ["rbind"]}]);
    let refusals = |facts: &EngineFacts| {
        let mut config = ordinary();
        config["mounts"] = mount.clone();
        super::config(&mut config, &bounds(""), facts).unwrap().refusals
    };
    for reach in [Reach::Root, Reach::Kernel, Reach::Device, Reach::Engine, Reach::State] {
        assert_eq!(refusals(&facts(reach)).len(), 1, "{reach:?}");
    }
    for unknown in [Source::Closed(Errno::NOENT), Source::Hidden("moved".into())] {
        let facts = EngineFacts { sources: [(0, unknown)].into(), ..EngineFacts::default() };
        assert!(refusals(&facts)[0].to_string().contains("cannot be looked at"));
    }
    assert_eq!(refusals(&EngineFacts::default()).len(), 1, "nobody looked");
    assert_eq!(refusals(&facts(Reach::Files)), []);
}

#[test]
fn the_mount_policy_holds_for_an_engines_mounts_and_names_its_line() {
    let mounts = json!([
        {"destination": "/data", "type": "bind", "source": "/x", "options": ["bind"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
    ]);
    // The source leads to /srv/data.
    for (policy, expected) in [
        ("deny: [/srv/data/**]", Some("mounts.policy.deny[0]: /srv/data/**")),
        ("deny: [/usr, /srv/data/secret]", Some("mounts.policy.deny[1]")),
        ("allow: [/var/**]", Some("mounts.policy.allow")),
        ("allowTargets: [/tmp]", Some("mounts.policy.allowTargets")),
        ("forbidTypes: [bind]", Some("mounts.policy.forbidTypes[0]")),
        ("forbidTypes: [tmpfs]", Some("mounts.policy.forbidTypes[0]")),
        ("allow: [/srv/*], deny: [/srv/other], allowTargets: [/data, /tmp], forbidTypes: [mqueue]", None),
    ] {
        let yaml = format!("mounts:\n  policy: {{{policy}}}\n");
        let (_, tightened) = changed("/mounts", mounts.clone(), &yaml);
        let said: Vec<String> = tightened.refusals.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), usize::from(expected.is_some()), "{policy}: {said:?}");
        if let Some(expected) = expected {
            assert!(said[0].contains(expected) && said[0].contains(".yaml:4"), "{policy}: {said:?}");
        } else {
            let why = &tightened.admitted["mounts[0].source"];
            assert_eq!(why, "/srv/data, allowed by mounts.policy.allow[0]: /srv/*");
        }
    }
}

#[test]
fn what_every_container_has_needs_no_word_of_the_mount_policy() {
    let mounts = json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm"},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs"},
    ]);
    let yaml = "mounts: {policy: {allow: [], allowTargets: [], forbidTypes: [tmpfs, proc]}}\n";
    assert_eq!(changed("/mounts", mounts, yaml).1.refusals, []);
}

#[test]
fn an_engines_root_is_neither_denied_nor_the_hosts() {
    let refusals = |path: &str, reach: Reach| {
        let found = Found { path: path.into(), shape: Shape::Directory, reach };
        let facts = EngineFacts { root: Some(Source::Found(found)), ..facts(Reach::Files) };
        let yaml = "mounts: {policy: {allow: [/srv/**], deny: [/etc]}}\n";
        super::config(&mut ordinary(), &bounds(yaml), &facts).unwrap().refusals
    };
    assert_eq!(refusals("/var/lib/images/1", Reach::Files), []);
    for (path, reach) in [("/etc/x", Reach::Files), ("/", Reach::Root), ("/run", Reach::State)] {
        assert!(refusals(path, reach)[0].to_string().contains("root.path"), "{path}");
    }
}

#[test]
fn file_systems_of_the_kernel_have_one_place_and_others_none() {
    let new = |kind: &str, place: &str| json!([{"destination": place, "type": kind, "source": kind}]);
    for (kind, place) in [
        ("proc", "/proc2"),
        ("sysfs", "/x"),
        ("cgroup2", "/c"),
        ("ext4", "/d"),
        ("devtmpfs", "/dd"),
        ("overlay", "/o"),
    ] {
        assert!(refused("/mounts", new(kind, place), "").contains("mounts[0]"), "{kind} {place}");
    }
    for (kind, place) in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("cgroup", "/sys/fs/cgroup"),
        ("tmpfs", "/t"),
        ("mqueue", "/dev/mqueue"),
    ] {
        assert_eq!(changed("/mounts", new(kind, place), "").1.refusals, [], "{kind} {place}");
    }
}

#[test]
fn nothing_undoes_or_goes_round_a_forced_flag() {
    let remount = json!([{"destination": "/sys", "type": "none", "options": ["remount", "rw"]}]);
    assert!(refused("/mounts", remount, "").contains("remount"));
    let around = json!([{"destination": "/dev/../data", "type": "tmpfs", "source": "tmpfs"}]);
    assert!(refused("/mounts", around, "").contains(".."));
}

#[test]
fn real_time_and_shared_classes_are_refused() {
    for (pointer, asked) in [
        ("/process/scheduler", json!({"policy": "SCHED_FIFO", "priority": 1})),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_RT", "priority": 0})),
        ("/linux/intelRdt", json!({"closID": "guaranteed"})),
    ] {
        assert!(refused(pointer, asked, "").contains(&pointer[1..].replace('/', ".")), "{pointer}");
    }
    assert_eq!(changed("/process/scheduler", json!({"policy": "SCHED_BATCH"}), "").1.refusals, []);
}

#[test]
fn network_devices_of_the_host_are_refused_unless_its_network_is_allowed() {
    let devices = json!({"eth0": {}});
    assert!(refused("/linux/netDevices", devices.clone(), "").contains("linux.netDevices"));
    becomes("linux.netDevices", devices.clone(), "network: {mode: host, allowHost: true}\n", &devices);
}

#[test]
fn the_hosts_namespaces_are_refused_whether_unnamed_or_by_path() {
    for kind in ["pid", "ipc", "uts", "mount"] {
        let mut list = ordinary()["linux"]["namespaces"].as_array().unwrap().clone();
        list.retain(|entry| entry["type"] != kind);
        assert!(refused("/linux/namespaces", json!(list), "").contains(kind), "{kind}");
        list.push(json!({"type": kind, "path": "/proc/1/ns/x"}));
        let (mut config, facts) =
            (ordinary(), EngineFacts { own_namespaces: vec![kind.to_owned()], ..facts(Reach::Files) });
        config["linux"]["namespaces"] = json!(list);
        assert_eq!(super::config(&mut config, &bounds(""), &facts).unwrap().refusals.len(), 1, "{kind}");
    }
}

#[test]
fn a_cgroup_namespace_is_added() {
    let list = ordinary()["linux"]["namespaces"].as_array().unwrap().clone();
    let without: Vec<_> = list.iter().filter(|entry| entry["type"] != "cgroup").cloned().collect();
    becomes("linux.namespaces", json!(without), "", &json!(list));
}

#[test]
fn the_engines_network_is_kept_unless_the_profile_refuses_it() {
    let namespaces = ordinary()["linux"]["namespaces"].clone();
    becomes("linux.namespaces", namespaces.clone(), "", &namespaces);
    let text = refused("/linux/namespaces", namespaces.clone(), "network: {engineNetwork: refuse}\n");
    assert!(text.contains("prepared"), "{text}");
    let host: Vec<_> =
        namespaces.as_array().unwrap().iter().filter(|entry| entry["type"] != "network").collect();
    assert!(refused("/linux/namespaces", json!(host), "").contains("network"));
    becomes("linux.namespaces", json!(host), "network: {mode: host, allowHost: true}\n", &json!(host));
}

#[test]
fn a_profile_with_a_user_namespace_wants_one_of_the_engine() {
    let yaml = "namespaces: {user: {uidMap: [{container: 0, host: 100000, size: 65536}], gidMap: [{container: 0, host: 100000, size: 65536}]}}\n";
    let mut namespaces = ordinary()["linux"]["namespaces"].clone();
    assert!(refused("/linux/namespaces", namespaces.clone(), yaml).contains("user namespace"));
    namespaces.as_array_mut().unwrap().push(json!({"type": "user"}));
    let linux = |host: u64| json!({"namespaces": namespaces, "uidMappings": [{"containerID": 0, "hostID": host, "size": 1}]});
    assert!(refused("/linux", linux(0), yaml).contains("linux.uidMappings"));
    assert_eq!(changed("/linux", linux(100_000), yaml).1.refusals, []);
}

#[test]
fn devices_that_reach_the_host_are_refused_as_nodes_and_as_rules() {
    let node = |kind: &str, major: i64, minor: i64| json!([{"path": "/dev/x", "type": kind, "major": major, "minor": minor}]);
    for (kind, major, minor) in [("b", 8, 0), ("c", 1, 1), ("c", 10, 237), ("c", 4, 0), ("u", 202, 0)] {
        assert!(
            refused("/linux/devices", node(kind, major, minor), "").contains("linux.devices[0]"),
            "{kind} {major}:{minor}"
        );
    }
    for (kind, major, minor) in [("c", 1, 3), ("c", 10, 229), ("c", 226, 128), ("p", 0, 0)] {
        let (_, allowed) = changed("/linux/devices", node(kind, major, minor), "");
        assert_eq!(allowed.refusals, [], "{kind} {major}:{minor}");
    }
    let rule = |rule: Value| json!([{"allow": false, "access": "rwm"}, rule]);
    for dangerous in [
        json!({"allow": true, "access": "rwm"}),
        json!({"allow": true, "type": "c", "major": 1, "access": "rw"}),
    ] {
        assert!(refused("/linux/resources", json!({"devices": rule(dangerous)}), "").contains("devices[1]"));
    }
    let mknod = json!({"devices": rule(json!({"allow": true, "type": "b", "access": "m"}))});
    assert_eq!(changed("/linux/resources", mknod, "").1.refusals, []);
}

#[test]
fn a_profile_that_lists_devices_allows_an_engine_no_others() {
    let node = |kind: &str, major: i64, minor: i64| json!([{"path": "/dev/x", "type": kind, "major": major, "minor": minor}]);
    let listed = "devices: [{path: /dev/fuse, access: r}, {path: /dev/vda, dangerous: true}]\n";
    for (kind, major, minor) in [("c", 10, 229), ("b", 8, 0), ("c", 1, 3), ("c", 5, 1), ("p", 0, 0)] {
        let (_, allowed) = changed("/linux/devices", node(kind, major, minor), listed);
        assert_eq!(allowed.refusals, [], "{kind} {major}:{minor}");
    }
    assert!(refused("/linux/devices", node("c", 10, 200), listed).contains("`devices`"));
    assert!(refused("/linux/devices", node("c", 10, 229), "devices: []\n").contains(".yaml:3"));
    assert!(refused("/linux/devices", node("b", 8, 1), listed).contains("reaches the host"));

    let rule = |minor: i64, access: &str| json!({"allow": true, "type": "c", "major": 10, "minor": minor, "access": access});
    let (deny, make) =
        (json!({"allow": false, "access": "rwm"}), json!({"allow": true, "type": "b", "access": "m"}));
    let asked = json!([deny, make, rule(229, "rm"), rule(229, "rw"), rule(200, "rwm")]);
    becomes("linux.resources.devices", asked, listed, &json!([deny, make, rule(229, "rm")]));
}

#[test]
fn an_update_gives_no_device_that_the_profile_does_not_list() {
    let held = |yaml: &str| bounds(yaml).held;
    let asked = |minor: i64| json!({"devices": [{"allow": true, "type": "c", "major": 10, "minor": minor, "access": "rw"}]});
    let refusals = |minor: i64, yaml: &str| {
        let mut config = json!({"linux": {"resources": {}}});
        super::resources(&asked(minor), &mut config, &held(yaml)).unwrap().refusals.len()
    };
    assert_eq!((refusals(229, ""), refusals(237, "")), (0, 1));
    let listed = "devices: [{path: /dev/fuse}]\n";
    assert_eq!((refusals(229, listed), refusals(200, listed)), (0, 1));
}

#[test]
fn parameters_of_the_host_are_refused_and_the_profiles_own_hold() {
    assert!(
        refused("/linux/sysctl", json!({"kernel.core_pattern": "|/x"}), "").contains("kernel.core_pattern")
    );
    let yaml = "security: {sysctls: {net.ipv4.ip_forward: \"0\"}}\n";
    let both = json!({"net/ipv4/ip_forward": "1", "kernel.sem": "1"});
    becomes("linux.sysctl", both, yaml, &json!({"net.ipv4.ip_forward": "0", "kernel.sem": "1"}));
}

mod filter {
    use super::*;

    fn allow(names: &[&str], args: &Value) -> Value {
        json!({"names": names, "action": "SCMP_ACT_ALLOW", "args": args})
    }

    fn deny(names: &[&str], args: &Value) -> Value {
        json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "args": args})
    }

    fn filter(default: &str, rules: &[Value]) -> Value {
        json!({"defaultAction": default, "syscalls": rules})
    }

    fn both(ours: &[Value], default: &str, theirs: &[Value]) -> Vec<(String, String, Value)> {
        let ours = filter("SCMP_ACT_ERRNO", ours);
        let result = super::super::seccomp::intersection(&ours, &filter(default, theirs)).unwrap();
        assert_eq!(result["defaultAction"], "SCMP_ACT_ERRNO");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut rules: Vec<_> = result["syscalls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| {
                (
                    text(&rule["names"][0]),
                    text(&rule["action"]).replace("SCMP_ACT_", ""),
                    rule["args"].clone(),
                )
            })
            .collect();
        rules.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        rules
    }

    fn rule(name: &str, action: &str, args: &Value) -> (String, String, Value) {
        (name.to_owned(), action.to_owned(), args.clone())
    }

    #[test]
    fn of_two_lists_of_what_is_allowed_what_stands_in_both() {
        let (none, one, two) = (
            json!([]),
            json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]),
            json!([{"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]),
        );
        let ours = [allow(&["read", "write"], &none), allow(&["socket"], &one), allow(&["clone"], &one)];
        let theirs = [
            allow(&["read", "mount"], &none),
            allow(&["write"], &two),
            allow(&["socket"], &none),
            allow(&["clone"], &two),
        ];
        let expected =
            [rule("read", "ALLOW", &none), rule("socket", "ALLOW", &one), rule("write", "ALLOW", &two)];
        assert_eq!(
            both(&ours, "SCMP_ACT_ERRNO", &theirs),
            expected,
            "clone: neither condition contains the other"
        );
    }

    #[test]
    fn of_a_list_of_what_is_denied_the_rest_that_the_profile_allows() {
        let (none, one) = (json!([]), json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]));
        let ours = [allow(&["read", "write", "socket"], &none)];
        let theirs = [deny(&["write"], &none), deny(&["socket"], &one)];
        assert_eq!(both(&ours, "SCMP_ACT_ALLOW", &theirs), [rule("read", "ALLOW", &none)]);
    }

    #[test]
    fn a_denial_with_an_error_number_of_its_own_is_kept() {
        let none = json!([]);
        let ours = [allow(&["read"], &none), deny(&["clone3"], &none)];
        let theirs = [allow(&["read", "clone3"], &none)];
        assert_eq!(
            both(&ours, "SCMP_ACT_ERRNO", &theirs),
            [rule("clone3", "ERRNO", &none), rule("read", "ALLOW", &none)]
        );
    }

    #[test]
    fn what_a_tracer_or_an_agent_could_let_through_is_allowed_only_where_the_profile_allows_it() {
        let none = json!([]);
        for action in ["SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"] {
            let asked = |name: &str| json!({"names": [name], "action": action, "args": []});
            let kept = both(&[allow(&["read"], &none)], "SCMP_ACT_ERRNO", &[asked("unshare"), asked("read")]);
            assert_eq!(kept, [rule("read", &action.replace("SCMP_ACT_", ""), &none)]);
            let unspoken = both(&[allow(&["read"], &none)], action, &[]);
            assert_eq!(unspoken, [rule("read", &action.replace("SCMP_ACT_", ""), &none)]);
        }
    }

    #[test]
    fn two_conditions_on_one_argument_are_alternatives() {
        let condition = |value: u64| json!({"index": 0, "value": value, "op": "SCMP_CMP_EQ"});
        let ours = [allow(&["personality"], &json!([condition(8)]))];
        let theirs = [allow(&["personality"], &json!([condition(8), condition(9)]))];
        assert_eq!(
            both(&ours, "SCMP_ACT_ERRNO", &theirs),
            [rule("personality", "ALLOW", &json!([condition(8)]))]
        );
    }

    #[test]
    fn an_engines_own_denial_stays_under_a_profile_that_lists_what_is_denied() {
        let (none, one) = (json!([]), json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]));
        let ours = filter("SCMP_ACT_ALLOW", &[deny(&["clone"], &one)]);
        let theirs = filter("SCMP_ACT_ALLOW", &[deny(&["clone"], &none)]);
        let result = super::super::seccomp::intersection(&ours, &theirs).unwrap();
        assert!(result["syscalls"].as_array().unwrap().iter().any(|rule| rule["args"] == none), "{result}");
    }

    #[test]
    fn without_one_the_engine_gets_the_profiles_and_unconfined_leaves_the_engines() {
        let (config, _) = changed("/linux/seccomp", Value::Null, "");
        assert!(config["linux"]["seccomp"]["syscalls"].as_array().unwrap().len() > 3);
        let own = filter("SCMP_ACT_ALLOW", &[]);
        becomes("linux.seccomp", own.clone(), "security: {seccomp: unconfined}\n", &own);
    }
}

#[test]
fn landlock_follows_from_the_engines_mounts() {
    let mut config = ordinary();
    config["mounts"] = json!([{"destination": "/data", "source": "/d", "options": ["rbind", "noexec"]}, {"destination": "/ro", "source": "/d", "options": ["ro"]}]);
    let rules = tightened(&mut config, "rootfs: host-runtime\n").landlock.unwrap();
    let access = |path: &str| rules.iter().find(|rule| rule.path.as_os_str() == path).map(|rule| rule.access);
    assert_eq!(access("/"), Some(nucleus_abi::LandlockAccess::ReadExecute));
    assert_eq!(access("/data"), Some(nucleus_abi::LandlockAccess::ReadWrite));
    assert_eq!(access("/ro"), None);
    assert_eq!(tightened(&mut ordinary(), "security: {landlock: off}\n").landlock, None);
}

#[test]
fn permissive_tells_instead_of_refusing() {
    let yaml = "enforcement: permissive\n";
    let (_, tightened) = changed("/linux/rootfsPropagation", json!("shared"), yaml);
    assert!(tightened.allow(&bounds(yaml).held).is_ok());
    assert_eq!(tightened.warnings(&bounds(yaml).held).len(), 1);
}

#[test]
fn an_exec_is_held_to_the_bounds() {
    let mut process = json!({"args": ["sh"], "user": {"uid": 0}, "noNewPrivileges": false, "capabilities": {"bounding": ["CAP_SYS_ADMIN"]}});
    let tightened = super::process(&mut process, &bounds("workload: {user: 7:7}\n").held).unwrap();
    assert_eq!(
        (&process["noNewPrivileges"], &process["capabilities"]["bounding"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(tightened.refusals.len(), 1);
}

#[test]
fn an_update_beyond_the_bounds_is_refused_with_the_line() {
    let bounds = bounds("resources: {memory: 64M, pids: unlimited}\n");
    assert_eq!(updated(&json!({"memory": {"limit": 1024}, "pids": {"limit": 9999}}), &bounds), []);
    let refusals = updated(&json!({"memory": {"limit": -1}}), &bounds);
    assert!(refusals[0].to_string().contains(".yaml:3"), "{}", refusals[0]);
}

/// What a profile refuses of a container that has these resources after an update.
fn updated(merged: &Value, bounds: &Bounds) -> Vec<nucleus_abi::Error> {
    let mut config = json!({"linux": {"resources": merged}});
    super::resources(&json!({}), &mut config, &bounds.held).unwrap().refusals
}

#[test]
fn an_update_is_measured_with_what_the_container_has_already() {
    let bounds = bounds("resources: {memory: 64M, swap: 1M, cpus: 1.5}\n");
    let cpu = |quota: i64, period: u64| updated(&json!({"cpu": {"quota": quota, "period": period}}), &bounds);
    assert_eq!(cpu(1500, 1000), []);
    assert_eq!(cpu(150_000, 1000).len(), 1, "150 processors");
    assert_eq!(cpu(150_000, 0), [], "the kernel's own period");
    let memory = |limit: u64, swap: u64| updated(&json!({"memory": {"limit": limit, "swap": swap}}), &bounds);
    assert_eq!(memory(1 << 20, 2 << 20), []);
    assert_eq!(memory(1 << 20, 65 << 20).len(), 1, "64M of swap");
}

#[test]
fn what_goes_round_a_bound_on_processors_is_refused() {
    let yaml = "resources: {cpus: 1, cpuset: 0-1}\n";
    for (pointer, value) in [
        ("/linux/resources/unified", json!({"cpuset.cpus.partition": "root"})),
        ("/linux/resources/unified", json!({"cpuset.cpus.exclusive": "0"})),
        ("/linux/resources/cpu", json!({"realtimeRuntime": 950_000})),
        ("/linux/resources/cpu", json!({"realtimePeriod": 1_000_000})),
    ] {
        let keys = value.as_object().unwrap().keys().next().unwrap();
        assert!(refused(pointer, value.clone(), yaml).contains(keys.as_str()), "{value}");
    }
    let (_, none) = changed("/linux/resources/cpu", json!({"realtimeRuntime": 0}), yaml);
    assert_eq!(none.refusals, []);
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    for (pointer, field) in
        [("/linux", "linux"), ("/mounts", "mounts"), ("/process/rlimits", "process.rlimits")]
    {
        let mut config = ordinary();
        put(&mut config, pointer, json!("x"));
        let yaml = "workload: {rlimits: {core: 0}}\n";
        let error = super::config(&mut config, &bounds(yaml), &EngineFacts::default()).unwrap_err();
        assert_eq!(error.code, nucleus_abi::ErrorCode::ConfigInvalid);
        assert!(error.subject.as_deref().unwrap_or_default().starts_with(field), "{pointer}: {error}");
    }
}
