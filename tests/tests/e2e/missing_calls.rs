//! Kernels that lack a system call, and sandboxes that hide one: what falls back works all the same, and what cannot is
//! refused by the name of the call. Nothing is lost quietly.
//!
//! `tests/run` also passes whole batches of tests through the fallbacks (`NUCLEUS_THROUGH`).

use nucleus_tests::rootfs::{Rootfs, Trap};
use nucleus_tests::{Bundle, Container, Host, Nucleus};

use crate::{DEV, open_directory, writable};

/// Calls that nothing stands in for, and the Linux that brought each (docs/files.md).
const NEEDED: [(&str, &str); 10] = [
    ("open_tree", "5.2"),
    ("move_mount", "5.2"),
    ("fsopen", "5.2"),
    ("fsconfig", "5.2"),
    ("fsmount", "5.2"),
    ("mount_setattr", "5.12"),
    ("clone3", "5.3"),
    ("pidfd_open", "5.3"),
    ("pidfd_send_signal", "5.1"),
    ("memfd_create", "3.17"),
];

/// Calls for which something stands in.
const REPLACED: [&str; 4] = ["openat2", "close_range", "statx", "openat2,statx"];

fn without(calls: &str) -> [&str; 2] {
    [env!("CARGO_BIN_EXE_without"), calls]
}

fn bundle(host: &Host, name: &str) -> Bundle {
    Bundle::shell(host, name, "echo started").write()
}

fn run_bundle(host: &Host, bundle: &Bundle) -> Nucleus {
    host.nucleus("run").arg("--bundle").arg(bundle.path()).arg(host.fresh_id())
}

#[test]
fn what_nothing_stands_in_for_is_refused_by_name_and_leaves_nothing() {
    let host = Host::enter();
    let bundle = bundle(&host, "bundle");
    let root = Rootfs::busybox(host.path("root"));
    // Its mount point is missing in the image: the core lays one over it before the backend is asked.
    let shared = open_directory(&host, "shared");
    let volume = writable(&shared, "/deep/er");
    for (call, since) in NEEDED {
        let words = [&format!("{call}(2) is missing") as &str, &format!("Linux has it since {since}")];
        let run = || host.shell(DEV, "echo started").through(without(call));
        run().output().assert_refused(&words);
        run().arg("--permissive").output().assert_refused(&words);
        let rooted = || run().arg("--rootfs").arg(root.path()).args(["--volume", &volume]);
        rooted().output().assert_refused(&words);
        rooted().arg("--permissive").output().assert_refused(&words);
        run_bundle(&host, &bundle).through(without(call)).output().assert_refused(&words);
        host.assert_no_leak();
    }
}

#[test]
fn explain_tells_what_is_missing() {
    let host = Host::enter();
    for (call, _) in &NEEDED[..6] {
        let output = host.nucleus("explain").profile(DEV).through(without(call)).output().assert_success();
        let nobody = output.text().lines().filter(|line| line.contains("NOBODY")).count();
        assert!(nobody > 0 && output.text().contains(&format!("{call}(2) is missing")), "{output}");
    }
}

#[test]
fn what_something_stands_in_for_works() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let shared = open_directory(&host, "shared");
    std::fs::write(shared.join("note"), "hello").unwrap();
    let volume = writable(&shared, "/deep/er");
    let script = "cat /deep/er/note; true > /deep/er/new && echo -n ' written'; (echo x > /proc/sys/kernel/hostname) 2> /dev/null || echo ' masked'";
    for calls in REPLACED {
        for option in ["--read-only", "--writable"] {
            if calls.contains("statx") && option == "--writable" {
                continue;
            }
            let call = host.shell(DEV, script).through(without(calls)).args(["--volume", &volume, option]);
            let output = call.arg("--rootfs").arg(root.path()).output().assert_success();
            assert_eq!(output.text(), "hello written masked", "{calls} {option}");
        }
        let output = host.shell(DEV, "ls /usr/bin/env").through(without(calls)).output().assert_success();
        assert_eq!(output.text(), "/usr/bin/env", "{calls}");
    }
}

/// What is made in the operator's own directory must be known again when it is taken away.
#[test]
fn a_mount_point_that_could_not_be_known_again_is_not_made() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let shared = open_directory(&host, "shared");
    let call =
        host.shell(DEV, "true").through(without("statx")).args(["--writable", "--rootfs"]).arg(root.path());
    let output = call.args(["--volume", &writable(&shared, "/deep/er")]).output();
    output.assert_refused(&["/deep/er", "statx(2) is missing"]);
    assert!(!root.path().join("deep").exists());
    host.assert_no_leak();
}

/// Profiles for each kind of files, each with what shows that they are there.
fn kinds(host: &Host) -> Vec<(&'static str, String, &'static str)> {
    let root = Rootfs::busybox(host.path("kinds"));
    host.nucleus("rootfs").arg("attest").arg(root.path()).output().assert_success();
    let root = root.path().display();
    let path = |name: &str| open_directory(host, name).display().to_string();
    let (upper, work, source) = (path("upper"), path("work"), path("source"));
    std::fs::write(host.path("source/note"), "hello").unwrap();
    let key = crate::secrets::secret_file(host, "key", "real");
    let context = |more: &str| format!("context: {{source: {source}, {more}}}");
    vec![
        (
            "overlay in memory",
            format!("rootfs: {{overlay: {{lower: [{root}], upper: tmpfs}}}}"),
            "echo there > /new && cat /new",
        ),
        (
            "overlay on disk",
            format!("rootfs: {{overlay: {{lower: [{root}], upper: {upper}, work: {work}}}}}"),
            "echo there > /new && cat /new",
        ),
        ("attested", format!("rootfs: {{path: {root}, attestation: required}}"), "echo there"),
        ("context copied", context("verify: true"), "sed s/hello/there/ /context/note"),
        ("context shown", context("mode: bind"), "sed s/hello/there/ /context/note"),
        (
            "secret",
            format!("secrets: [{}]", crate::secrets::from_file(&key, "name: k")),
            "sed s/real/there/ /run/secrets/k",
        ),
        (
            "tmpfs",
            "mounts: {tmpfs: [{target: /deep/er, size: 1M}]}".to_owned(),
            "echo there > /deep/er/x && cat /deep/er/x",
        ),
        (
            "volume",
            format!("mounts: {{volumes: [{{source: {source}, target: /deep/er, recursive: true}}]}}"),
            "sed s/hello/there/ /deep/er/note",
        ),
    ]
}

/// Each of them works without the call or is refused by its name; which ones work is what docs/files.md says.
#[test]
fn each_kind_of_files_works_or_is_refused_by_the_calls_name() {
    let host = Host::enter();
    let kinds = kinds(&host);
    for call in ["openat2", "statx", "fspick", "open_tree", "move_mount", "fsopen", "mount_setattr"] {
        let mut works = Vec::new();
        for (kind, yaml, script) in &kinds {
            let run = host.shell(host.profile(DEV, yaml), script).through(without(call));
            let output = run.output();
            if output.code() == Some(0) {
                assert_eq!(output.text(), "there", "{kind} without {call}: {output}");
                works.push(*kind);
            } else {
                output.assert_refused(&[&format!("{call}(2) is missing")]);
            }
            host.assert_no_leak();
        }
        let lacking: &[&str] = match call {
            "openat2" => &[],
            "statx" => &["overlay on disk", "attested", "context copied", "context shown"],
            "fspick" => &["secret"],
            _ => &kinds.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(),
        };
        let expected = kinds.iter().map(|(kind, ..)| *kind).filter(|kind| !lacking.contains(kind));
        assert_eq!(works, expected.collect::<Vec<_>>(), "without {call}");
    }
}

#[test]
fn a_whole_life_goes_by_the_fallbacks() {
    let host = Host::enter();
    for calls in REPLACED {
        life(&host, without(calls));
    }
}

fn life(host: &Host, without: [&str; 2]) {
    let bundle = Bundle::shell(host, without[1], "sleep 60").write();
    let container = Container::fresh(host);
    container.creating(&bundle).through(without).output().assert_success();
    let verb = |verb: &str| container.verb(verb).through(without);
    verb("start").output().assert_success();
    let exec = verb("exec").args(["sh", "-c", "ls /proc/self/fd | wc -l"]).output();
    // The standard three, the listing's own, and nothing of the host.
    assert_eq!(exec.assert_success().text(), "4", "{}", without[1]);
    verb("kill").arg("KILL").output().assert_success();
    container.wait_for("stopped");
    verb("delete").output().assert_success();
    host.assert_no_leak();
}

/// Where neither the call nor a way around it is left, descriptors of the caller must not come along unseen.
#[test]
fn what_stands_in_for_close_range_needs_openat2() {
    let host = Host::enter();
    let bundle = bundle(&host, "bundle");
    let output = run_bundle(&host, &bundle).through(without("openat2,close_range")).output();
    output.assert_refused(&["close_range", "ENOSYS"]);
    host.assert_no_leak();
}

#[test]
fn hostile_images_are_no_safer_a_bet_without_openat2() {
    let host = Host::enter();
    let bait = host.path("bait");
    std::fs::create_dir(&bait).unwrap();
    std::fs::write(bait.join("file"), "sings").unwrap();
    let canary = nucleus_tests::canary::Canary::watch(&bait);
    for trap in [Trap::DevIsLink, Trap::ProcIsLink, Trap::SysIsLink] {
        let root = Rootfs::busybox(host.path(&format!("{trap:?}")));
        root.trap(trap, &bait);
        let call = host.shell(DEV, "true").through(without("openat2")).arg("--rootfs").arg(root.path());
        call.output().assert_refused(&["/"]);
        canary.assert_alive();
    }
    let root = Rootfs::busybox(host.path("root"));
    root.link("way", &bait);
    let shared = open_directory(&host, "shared");
    for target in ["/way", "/way/made", "/way/file"] {
        for option in ["--read-only", "--writable"] {
            let call = host.shell(DEV, "cat /way/file").through(without("openat2"));
            let call = call.args(["--volume", &writable(&shared, target), option]);
            let output = call.arg("--rootfs").arg(root.path()).output();
            assert!(!output.text().contains("sings"), "{target} {option}\n{output}");
            canary.assert_alive();
        }
    }
}

/// A container that was made while the call was there: the verbs say what they lack, and work as soon as it is back.
#[test]
fn a_verb_that_lacks_a_call_says_so_and_harms_nothing() {
    let host = Host::enter();
    let bundle = Bundle::shell(&host, "bundle", "sleep 60").write();
    let container = Container::create(&host, &bundle);
    container.start();
    for (verb, words, call) in
        [("kill", &["KILL"][..], "pidfd_send_signal"), ("delete", &["--force"][..], "pidfd_open")]
    {
        let output = container.verb(verb).args(words).through(without(call)).output();
        assert_eq!(output.code(), Some(1), "{verb}: {output}");
        assert!(output.stderr.contains(&format!("{call}(2) is missing")), "{verb}: {output}");
    }
    // The second has killed it already, by its groups.
    assert_eq!(container.state()["id"], container.id.as_str(), "it is still known");
    container.delete_by_force();
    host.assert_no_leak();
}
