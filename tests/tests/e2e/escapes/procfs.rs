//! CVE-2025-52881 (youki 2025-62596): the runtime writes a label or a sysctl into procfs, and a mount over the file leads the write
//! to another one, such as `/proc/sysrq-trigger`. Defence: what is written goes through a procfs of nucleus' own, or the host's,
//! entered without crossing a mount; what a configuration puts over files of `/proc` is refused.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use nucleus_tests::{Bundle, Container, Host};
use serde_json::json;

use super::{Bait, stand_in};

/// A parameter with one file for all namespaces: of those that have files of their own the mount would be seen by its maker
/// alone.
const PARAMETER: &str = "/proc/sys/kernel/domainname";

/// A mount namespace in which a file lies over a kernel parameter.
struct Hostile(Child);

impl Hostile {
    fn make(host: &Host, bait: &Bait) -> Self {
        let ready = host.path("ready");
        let script = format!(r#"mount --bind "$1" {PARAMETER} && : > "$2" && exec sleep 600"#);
        let mut command = Command::new("unshare");
        command.args(["--mount", "/bin/sh", "-c", &script, "hostile"]).arg(bait.file()).arg(&ready);
        let this = Self(command.spawn().expect("start a hostile neighbour"));
        host.wait_for_file(&ready);
        this
    }

    fn mounts(&self) -> String {
        format!("/proc/{}/ns/mnt", self.0.id())
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_parameter_reaches_the_kernel_through_a_hostile_mount_namespace() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let hostile = Hostile::make(&host, &bait);
    let namespaces = json!([{"type": "mount", "path": hostile.mounts()}, {"type": "uts"}, {"type": "pid"}]);
    let bundle = Bundle::shell(&host, "bundle", "sleep 60")
        .remove("/hostname")
        .set("/mounts", json!([]))
        .set("/linux/namespaces", namespaces)
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .set("/linux/sysctl", json!({"kernel.domainname": "true-one"}))
        .write();
    let container = Container::create(&host, &bundle);
    container.start();
    bait.assert_untouched();
    let process = container.pid().to_string();
    let read = Command::new("nsenter").args(["--uts", "-t", &process, "cat", PARAMETER]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), "true-one", "what the kernel has");
    container.delete_by_force();
    drop(hostile);
    host.assert_no_leak();
}

#[test]
fn the_trap_works_on_a_runtime_that_writes_by_path() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let script = format!(r#"mount --bind "$1" {PARAMETER} && echo true-one > {PARAMETER}"#);
    assert!(stand_in(&script, &[&bait.file()]).status.success());
    assert!(!bait.is_untouched(), "the write lands in the bait");
}

/// The container has laid a false `/proc` over its own; what joins it must not believe or write to it.
#[test]
fn an_exec_writes_nothing_into_a_false_proc() {
    let host = Host::enter();
    let files =
        ["self/oom_score_adj", "self/attr/exec", "thread-self/attr/exec", "1/oom_score_adj", "self/uid_map"];
    let script = format!(
        "mount -t tmpfs none /proc && cd /proc && mkdir -p self/attr self/fd thread-self/attr 1 && \
         for file in {}; do echo fake > $file; done; : > /ready; sleep 60",
        files.join(" ")
    );
    let all = json!(["CAP_SYS_ADMIN", "CAP_KILL"]);
    let bundle = Bundle::shell(&host, "bundle", &script)
        .set("/process/capabilities", json!({"bounding": all, "effective": all, "permitted": all}))
        .set("/root/readonly", false)
        .write();
    let container = Container::create(&host, &bundle);
    container.start();
    host.wait_for_file(&bundle.rootfs().join("ready"));
    let look = format!("cd /proc && cat {}; : > /joined; exec sleep 60", files.join(" "));
    let process = json!({"args": ["/bin/sh", "-c", look], "cwd": "/", "user": {"uid": 0, "gid": 0},
        "env": ["PATH=/bin"], "oomScoreAdj": 577});
    let document = host.file("process.json", process.to_string());
    let pid_file = host.path("pid");
    let call = host.nucleus("exec").arg("--process").arg(document);
    let seen = host.path("seen");
    let running = call.arg("--pid-file").arg(&pid_file).arg(&container.id).output_to(&seen).spawn();
    host.wait_for_file(&bundle.rootfs().join("joined"));
    host.wait_for_file(&pid_file);
    let shown = fs::read_to_string(&seen).unwrap();
    assert_eq!(shown.trim(), ["fake"; 5].join("\n"), "nothing is written where the container looks");
    let process = fs::read_to_string(&pid_file).unwrap();
    let score = fs::read_to_string(Path::new("/proc").join(process.trim()).join("oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "577", "what the kernel has");
    container.delete_by_force();
    running.wait().assert_code(137);
    host.assert_no_leak();
}

#[test]
fn what_a_configuration_puts_over_files_of_proc_is_refused() {
    let host = Host::enter();
    let score = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    for (index, destination) in [
        "/proc/self/attr/exec",
        "/proc/sys/kernel/msgmax",
        "/proc/sysrq-trigger",
        "/proc/1/oom_score_adj",
        "/proc/thread-self/attr",
        "/way/self/attr",
    ]
    .into_iter()
    .enumerate()
    {
        let bundle = Bundle::shell(&host, &format!("bundle-{index}"), "true")
            .set("/linux/sysctl", json!({"kernel.msgmax": "9000"}));
        std::os::unix::fs::symlink("/proc", bundle.rootfs().join("way")).unwrap();
        let mount = json!({"destination": destination, "type": "bind", "source": "/proc/self/sched", "options": ["bind"]});
        let bundle = bundle.push("/mounts", mount).write();
        let output = host.nucleus("run").arg("--bundle").arg(bundle.path()).arg(host.fresh_id()).output();
        output.assert_refused(&[destination]);
    }
    assert_eq!(fs::read_to_string("/proc/self/oom_score_adj").unwrap(), score);
    host.assert_no_leak();
}
