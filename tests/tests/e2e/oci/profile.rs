//! An engine's bundle under an operator's profile: chosen by a flag, a link's name or an annotation, bounded by it, and
//! held to it afterwards.

use std::fs;
use std::path::Path;

use nucleus_tests::{Bundle, Container, Host, Nucleus, Output};
use serde_json::json;

/// Tells what the kernel enforces on the workload.
const STATUS: &str =
    "grep -E '^(NoNewPrivs|CapBnd|Seccomp):' /proc/self/status | tr -d '\\t'; : > /written && echo writable";

const TIGHT: &str =
    "rootfs: host-runtime\nresources: {memory: 64M, pids: 32}\nsecurity: {capabilities: [KILL]}\n";

fn loose(host: &Host, script: &str) -> Bundle {
    Bundle::shell(host, "bundle", script).set("/process/noNewPrivileges", false)
}

fn run(host: &Host, bundle: &Bundle) -> Nucleus {
    host.nucleus("run").arg("--bundle").arg(bundle.path()).arg(host.fresh_id())
}

fn says(output: &Output, words: &[&str]) {
    for word in words {
        assert!(output.text().contains(word), "{word} is missing: {output}");
    }
}

const AS_ASKED: [&str; 4] = ["NoNewPrivs:0", "CapBnd:0000000020000420", "Seccomp:0", "writable"];
const TIGHTENED: [&str; 3] = ["NoNewPrivs:1", "CapBnd:0000000000000020", "Seccomp:2"];

#[test]
fn without_a_profile_the_document_is_honoured_exactly_and_with_one_it_is_tightened() {
    let host = Host::enter();
    let bundle = loose(&host, STATUS).write();
    says(&run(&host, &bundle).output().assert_success(), &AS_ASKED);
    fs::remove_file(bundle.rootfs().join("written")).unwrap();
    let profile = host.profile("configs/dev.yaml", TIGHT);
    let output = run(&host, &bundle).profile(profile).output();
    says(&output, &TIGHTENED);
    assert!(!output.text().contains("writable"), "{output}");
    assert!(!bundle.rootfs().join("written").exists());
    host.assert_no_leak();
}

#[test]
fn a_refusal_names_field_and_line_and_makes_nothing() {
    let host = Host::enter();
    let bundle = loose(&host, "true")
        .remove("/linux/namespaces/0")
        .set("/linux/namespaces", json!([{"type": "mount"}]));
    let bundle = bundle.write();
    let profile = host.profile("configs/dev.yaml", TIGHT);
    let output = run(&host, &bundle).profile(&profile).output().assert_code(125);
    for word in
        ["linux.namespaces", "pid namespace", "ipc namespace", "configs/dev.yaml:", "configs/base.yaml:"]
    {
        assert!(output.stderr.contains(word), "{word}: {output}");
    }
    host.assert_no_leak();
}

#[test]
fn what_the_profile_lets_pass_stays_in_the_state_as_a_warning() {
    let host = Host::enter();
    let bundle = loose(&host, "sleep 60").set("/linux/rootfsPropagation", "shared").write();
    let profile = host.profile("configs/dev.yaml", &format!("enforcement: permissive\n{TIGHT}"));
    let container = Container::fresh(&host);
    let output = container.creating(&bundle).profile(profile).output();
    assert!(
        output.stderr.contains("warning") && output.stderr.contains("linux.rootfsPropagation"),
        "{output}"
    );
    if output.code() == Some(0) {
        container.verb("delete").arg("--force").output().assert_success();
    }
    host.assert_no_leak();
}

#[test]
fn an_update_is_held_to_the_profile_that_the_container_was_made_by() {
    let host = Host::enter();
    let bundle = loose(&host, "sleep 60").write();
    let profile = host.profile("configs/dev.yaml", TIGHT);
    let container = Container::fresh(&host);
    container.creating(&bundle).profile(&profile).output().assert_success();
    // What the files say by then does not matter.
    fs::remove_file(&profile).unwrap();
    container.start();
    let update = |memory: &str| container.verb("update").arg("--memory").arg(memory).output();
    let refused = update("1073741824").assert_code(1);
    for word in ["linux.resources.memory.limit", &profile.display().to_string()] {
        assert!(refused.stderr.contains(word), "{word}: {refused}");
    }
    update("33554432").assert_success();
    container.verb("delete").arg("--force").output().assert_success();
    host.assert_no_leak();
}

#[test]
fn an_update_of_one_number_is_measured_with_the_others() {
    let host = Host::enter();
    let bundle = loose(&host, "sleep 60")
        .set("/linux/resources/cpu", json!({"quota": 1500, "period": 1000}))
        .set("/linux/resources/memory", json!({"limit": 1 << 25, "swap": 1 << 25}))
        .write();
    let profile = host
        .profile("configs/dev.yaml", "rootfs: host-runtime\nresources: {memory: 64M, swap: 0, cpus: 1.5}\n");
    let container = Container::fresh(&host);
    container.creating(&bundle).profile(&profile).output().assert_success();
    let update = |option: &str, value: &str| container.verb("update").arg(option).arg(value).output();
    // 150 processors: alone it would be one and a half, of the kernel's own period.
    let refused = update("--cpu-quota", "150000").assert_code(1);
    assert!(refused.stderr.contains("linux.resources.cpu.quota"), "{refused}");
    let refused = update("--memory-swap", "67108864").assert_code(1);
    assert!(refused.stderr.contains("linux.resources.memory.swap"), "{refused}");
    update("--cpu-quota", "1000").assert_success();
    // No swap before, and none after: the number that counts both moves along.
    update("--memory", "16777216").assert_success();
    update("--memory", "33554432").assert_success();
    container.verb("delete").arg("--force").output().assert_success();
    host.assert_no_leak();
}

/// Calls nucleus under another name, on a host whose `/etc/nucleus` holds what the test says.
fn as_engine(host: &Host, bundle: &Bundle, program: &str) -> Nucleus {
    let etc = host.path("etc");
    let script = format!(
        "mount -t overlay overlay -o lowerdir={}:/etc /etc && exec -a {program} \"$@\"",
        etc.display()
    );
    run(host, bundle).through([
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "bash",
        "-c",
        &script,
        "bash",
    ])
}

fn etc(host: &Host, config: &str) {
    let nucleus = host.path("etc/nucleus");
    fs::create_dir_all(nucleus.join("profiles")).unwrap();
    write(&nucleus.join("profiles/tight.yaml"), &format!("name: tight\n{TIGHT}"));
    write(&nucleus.join("config.yaml"), config);
}

fn write(path: &Path, text: &str) {
    fs::write(path, format!("apiVersion: nucleus/v1\n{text}")).unwrap();
}

#[test]
fn a_link_stands_for_a_profile_by_its_name_or_by_the_operators_table() {
    let host = Host::enter();
    let bundle = loose(&host, STATUS).write();
    etc(&host, "engines: {handlers: {nucleus-kata: tight}}\n");
    says(&as_engine(&host, &bundle, "nucleus-tight").output(), &TIGHTENED);
    says(&as_engine(&host, &bundle, "nucleus-kata").output(), &TIGHTENED);
    says(&as_engine(&host, &bundle, "nucleus").output().assert_success(), &AS_ASKED);
    let unknown = as_engine(&host, &bundle, "nucleus-unknown").output().assert_code(125);
    assert!(unknown.stderr.contains("unknown"), "{unknown}");
    host.assert_no_leak();
}

#[test]
fn an_annotation_picks_from_the_operators_list_only() {
    let host = Host::enter();
    let bundle = loose(&host, STATUS).set("/annotations", json!({"dev.nucleus.profile": "tight"})).write();
    etc(&host, "engines: {annotation: {profiles: [tight]}}\n");
    says(&as_engine(&host, &bundle, "nucleus").output(), &TIGHTENED);
    etc(&host, "engines: {annotation: {profiles: [other]}}\n");
    let refused = as_engine(&host, &bundle, "nucleus").output().assert_code(125);
    assert!(refused.stderr.contains("dev.nucleus.profile"), "{refused}");
    let refused = run(&host, &bundle).output().assert_code(125);
    assert!(refused.stderr.contains("engines.annotation.profiles"), "{refused}");
    host.assert_no_leak();
}

#[test]
fn an_exec_is_held_to_the_profile_that_the_container_was_made_by() {
    let host = Host::enter();
    let bundle = loose(&host, "sleep 60").write();
    let container = Container::fresh(&host);
    container.creating(&bundle).profile(host.profile("configs/dev.yaml", TIGHT)).output().assert_success();
    container.start();
    let exec = |arguments: &[&str]| {
        let words = ["/bin/sh", "-c", STATUS];
        host.nucleus("exec").args(arguments).arg(&container.id).args(words).output()
    };
    says(&exec(&["--cap", "CAP_SYS_ADMIN", "--cap", "CAP_KILL"]), &TIGHTENED);
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    assert!(cgroup.contains(&container.id), "{cgroup}");
    container.verb("delete").arg("--force").output().assert_success();
    host.assert_no_leak();
}

#[test]
fn an_exec_as_root_is_refused_where_the_profile_names_another_user() {
    let host = Host::enter();
    let bundle = loose(&host, "sleep 60").set("/process/user", json!({"uid": 7, "gid": 7})).write();
    let profile = host.profile("configs/dev.yaml", &format!("workload: {{user: 7:7}}\n{TIGHT}"));
    let container = Container::fresh(&host);
    container.creating(&bundle).profile(&profile).output().assert_success();
    container.start();
    let exec = |user: &str| host.nucleus("exec").args(["--user", user, &container.id, "id", "-u"]).output();
    assert_eq!(exec("8").assert_success().text(), "8");
    let refused = exec("0").assert_code(125);
    for word in ["process.user.uid", &profile.display().to_string()] {
        assert!(refused.stderr.contains(word), "{word}: {refused}");
    }
    container.verb("delete").arg("--force").output().assert_success();
    host.assert_no_leak();
}

#[test]
fn no_mount_brings_the_host_in() {
    let host = Host::enter();
    let profile = host.profile("configs/dev.yaml", TIGHT);
    let plain = loose(&host, "ls /host");
    let link = host.path("link");
    std::os::unix::fs::symlink("/", &link).unwrap();
    let bind = |source: &Path| json!([{"destination": "/host", "type": "bind", "source": source, "options": ["rbind"]}]);
    for mounts in [
        bind(Path::new("/")),
        bind(&link),
        bind(Path::new("/proc")),
        bind(Path::new("/sys/fs/cgroup")),
        json!([{"destination": "/proc2", "type": "proc", "source": "proc"}]),
        json!([{"destination": "/dd", "type": "devtmpfs", "source": "devtmpfs"}]),
    ] {
        let bundle = plain.clone().set("/mounts", mounts.clone()).write();
        let refused = run(&host, &bundle).profile(&profile).output().assert_code(125);
        assert!(refused.stderr.contains("mounts[0]"), "{mounts}: {refused}");
    }
    host.assert_no_leak();
}

#[test]
fn a_volume_works_and_its_submounts_get_its_flags() {
    let host = Host::enter();
    let profile = host.profile("configs/dev.yaml", TIGHT);
    let volume = crate::open_directory(&host, "volume");
    fs::create_dir(volume.join("below")).unwrap();
    let script = "echo kept > /volume/file; grep ' /volume' /proc/self/mountinfo | cut -d' ' -f5,6";
    let bundle = loose(&host, script).bind(&volume, "/volume").write();
    let mount = format!("mount -t tmpfs tmpfs {}/below && exec \"$@\"", volume.display());
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &mount, "sh"];
    let output = run(&host, &bundle).profile(profile).through(wrapper).output().assert_success();
    assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "kept\n");
    let lines: Vec<_> = output.text().lines().collect();
    assert_eq!(lines.len(), 2, "{output}");
    assert!(lines.iter().all(|line| line.contains("nosuid") && line.contains("nodev")), "{output}");
    host.assert_no_leak();
}
