//! What cannot be frozen or may not be thawed is refused, in words, and changes nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use nucleus_tests::{Bundle, Container, Host, Output};
use serde_json::json;

use super::Checkpoints;

#[track_caller]
fn says(output: &Output, words: &[&str]) {
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is missing: {output}");
    }
}

#[test]
fn without_criu_the_answer_says_so_and_the_container_goes_on() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "sleeper", &["sleep", "1000"]).write());
    container.start();
    container.wait_for("running");
    let images = host.path("images");
    let call = |verb: &str| host.nucleus(verb).global("--criu").global("/nowhere/criu");
    let output =
        call("checkpoint").arg("--image-path").arg(&images).arg(&container.id).output().assert_code(1);
    says(&output, &["cannot find criu", "/nowhere/criu", "--criu PATH"]);
    let another = host.nucleus("checkpoint").global("--criu").global("/bin/true");
    let output = another.arg("--image-path").arg(&images).arg(&container.id).output().assert_code(1);
    says(&output, &["cannot ask criu for its version", "criu ended without an answer"]);
    assert_eq!(container.status(), "running");
    container.delete_by_force();
}

#[test]
fn what_criu_or_a_file_cannot_do_is_refused_by_name() {
    let host = Host::enter();
    for (verb, option, code) in [
        ("checkpoint", "--lazy-pages", 1),
        ("checkpoint", "--status-fd=3", 1),
        ("checkpoint", "--page-server=nothing", 1),
        ("restore", "--lazy-pages", 125),
        ("restore", "--preserve-fds=1", 125),
    ] {
        let output = host.nucleus(verb).args([option, "nobody"]).output().assert_code(code);
        says(&output, &[option.split('=').next().unwrap()]);
    }
    let unknown = host.nucleus("checkpoint").args(["--manage-cgroups-mode=x", "nobody"]).output();
    says(&unknown, &["--manage-cgroups-mode"]);
}

#[test]
fn only_what_runs_is_frozen() {
    let Some(here) = Checkpoints::enter() else { return };
    let container = Container::create(&here.host, &Bundle::new(&here.host, "short", &["true"]).write());
    says(&here.checkpoint(&container).output().assert_code(1), &["its program has not been started"]);
    container.start();
    container.wait_for("stopped");
    says(&here.checkpoint(&container).output().assert_code(1), &["container not running"]);
    container.delete();
}

/// crun GHSA 2026-115520, runc 2026-119101: criu looks a mount up by the text `mnt[PLACE]:`.
#[test]
fn a_place_that_could_pass_for_a_key_is_refused() {
    let Some(here) = Checkpoints::enter() else { return };
    let trap = crate::open_directory(&here.host, "trap");
    let bundle = here.counter().bind(&trap, "/files/a]:b").bind(&trap, "/files/a").write();
    let container = here.counting(&bundle);
    let output = here.checkpoint(&container).output().assert_code(1);
    says(&output, &["/files/a]:b", "criu cannot tell"]);
    here.goes_on();
    container.delete_by_force();
}

#[test]
fn a_configuration_that_is_not_the_containers_is_refused() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    let count = here.count();
    let changed = |pointer: &str, value: serde_json::Value| bundle.clone().set(pointer, value);
    for (bundle, field) in [
        (changed("/process/noNewPrivileges", json!(false)), "process.noNewPrivileges"),
        (changed("/root/readonly", json!(true)), "root.readonly"),
        (
            bundle.clone().push("/process/capabilities/bounding", "CAP_SYS_ADMIN"),
            "process.capabilities.bounding",
        ),
        (changed("/mounts/3/options", json!(["rbind", "ro"])), "mounts[3].options"),
        (changed("/mounts/3/destination", json!("/etc")), "mounts[3].destination"),
    ] {
        let container = Container::fresh(&here.host);
        let output = here.restore(&bundle.write(), &container.id).output().assert_code(125);
        says(&output, &[field, "restore it with the configuration that the container had"]);
        here.host.assert_no_leak();
    }
    assert_eq!(here.count(), count, "nobody went on counting");
}

#[test]
fn images_that_others_can_write_are_not_trusted() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    fs::set_permissions(here.images(), fs::Permissions::from_mode(0o777)).unwrap();
    let container = Container::fresh(&here.host);
    let output = here.restore(&bundle, &container.id).output().assert_code(125);
    says(&output, &["others can write to it"]);
    fs::set_permissions(here.images(), fs::Permissions::from_mode(0o700)).unwrap();
    let output = here
        .verb("restore")
        .arg("--bundle")
        .arg(bundle.path())
        .args(["--work-path", "/nowhere", "x"])
        .output();
    says(&output, &["/nowhere"]);
    here.host.assert_no_leak();
}

/// criu goes to places by their paths: whoever could change the image since must not lead it elsewhere.
#[test]
fn a_link_that_took_a_places_place_is_refused() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    fs::remove_dir(bundle.rootfs().join("files")).unwrap();
    symlink("/etc", bundle.rootfs().join("files")).unwrap();
    let container = Container::fresh(&here.host);
    let output = here.restore(&bundle, &container.id).output().assert_code(125);
    says(&output, &["a symbolic link has taken the place"]);
    here.host.assert_no_leak();
}

#[test]
fn a_process_of_exec_is_named() {
    let Some(here) = Checkpoints::enter() else { return };
    let container = here.counting(&here.counter().write());
    let exec = here
        .host
        .nucleus("exec")
        .args([&container.id, "sh", "-c", ": > /files/in; while [ ! -e /files/out ]; do sleep 0.02; done"])
        .spawn();
    here.host.wait_for_file(&here.files().join("in"));
    says(&here.checkpoint(&container).output().assert_code(1), &["came into it by `exec`"]);
    here.goes_on();
    fs::write(here.files().join("out"), "").unwrap();
    exec.wait().assert_success();
    container.delete_by_force();
}

#[test]
fn what_would_come_back_less_confined_is_refused() {
    let Some(here) = Checkpoints::enter() else { return };
    let profile = here.host.profile("configs/dev.yaml", "rootfs: host-runtime\n");
    let container = Container::fresh(&here.host);
    let bundle = here.counter().write();
    container.creating(&bundle).profile(&profile).output().assert_success();
    container.start();
    let output = here.checkpoint(&container).output().assert_code(1);
    says(&output, &["security.landlock", "landlock: off"]);
    assert_eq!(container.status(), "running");
    container.delete_by_force();
}

#[test]
fn a_restored_container_is_held_to_the_profile_that_it_had() {
    let Some(here) = Checkpoints::enter() else { return };
    let yaml =
        "rootfs: host-runtime\nsecurity: {landlock: off, capabilities: [KILL]}\nresources: {memory: 64M}\n";
    let profile = here.host.profile("configs/dev.yaml", yaml);
    let other = here.host.profile("configs/dev.yaml", &yaml.replace("64M", "65M"));
    let first = Container::fresh(&here.host);
    let bundle = here.counter().write();
    first.creating(&bundle).profile(&profile).output().assert_success();
    first.start();
    here.goes_on();
    here.checkpoint(&first).output().assert_success();
    let container = Container::fresh(&here.host);
    let without = here.restore(&bundle, &container.id).output().assert_code(125);
    says(&without, &["the profile `dev`", "none would now", "--profile"]);
    let with_other = here.restore(&bundle, &container.id).profile(&other).output().assert_code(125);
    says(&with_other, &["holds otherwise: resources.memory\n"]);
    here.host.assert_no_leak();
    // The same words on other lines of another file.
    let moved = here.host.profile("configs/dev.yaml", &format!("# a comment\n{yaml}"));
    here.restore(&bundle, &container.id).profile(&moved).output().assert_success();
    here.goes_on();
    let more = here.host.nucleus("update").args(["--memory", "128M", &container.id]).output().assert_code(1);
    says(&more, &["and the profile allows 67108864", ".yaml:6)"]);
    container.delete_by_force();
}

#[test]
fn an_operators_container_has_no_bundle_to_come_back_with() {
    let Some(here) = Checkpoints::enter() else { return };
    let id = here.host.fresh_id();
    let run = here
        .host
        .nucleus("run")
        .profile(crate::DEV)
        .args(["--id", &id, "--no-tty"])
        .command(["sleep", "1000"]);
    let run = run.spawn();
    let container = Container::named(&here.host, &id);
    here.host.wait_until("it runs", || container.verb("state").output().code() == Some(0));
    container.wait_for("running");
    says(&here.checkpoint(&container).output().assert_code(1), &["profile's workload"]);
    container.kill("KILL").assert_success();
    run.wait();
}

#[test]
fn an_older_checkpoint_outlives_an_attempt_that_fails() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    let container = here.counting(&bundle);
    here.checkpoint(&container).arg("--leave-running").output().assert_success();
    let listed = || -> std::collections::BTreeMap<_, _> {
        let entries = fs::read_dir(here.images()).unwrap().flatten();
        entries.map(|entry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap())).collect()
    };
    let mut before = listed();
    // Our own refusal, and criu's.
    let refused = Container::create(&here.host, &Bundle::new(&here.host, "short", &["sleep", "9"]).write());
    here.checkpoint(&refused).output().assert_code(1);
    let absolute = here.checkpoint(&container).args(["--parent-path", "/tmp"]).output().assert_code(1);
    says(&absolute, &["--parent-path", "/tmp", "it is absolute"]);
    assert_eq!(listed(), before);
    let output = here.checkpoint(&container).args(["--page-server", "127.0.0.1:1"]).output().assert_code(1);
    says(&output, &["127.0.0.1:1", "criu: "]);
    let mut after = listed();
    for log in ["dump.log", "stats-dump"] {
        before.remove(std::ffi::OsStr::new(log));
        after.remove(std::ffi::OsStr::new(log));
    }
    // Not restored: the container has gone on since, and with it the files that it had open.
    assert_eq!(after, before);
    here.goes_on();
    [container, refused].into_iter().for_each(Container::delete_by_force);
}

#[test]
fn files_of_two_checkpoints_are_not_mixed() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    let container = here.counting(&bundle);
    here.checkpoint(&container).arg("--leave-running").output().assert_success();
    let first = here.host.path("first");
    fs::rename(here.images(), &first).unwrap();
    here.goes_on();
    here.checkpoint(&container).output().assert_success();
    let fresh = Container::fresh(&here.host);
    // The counter itself; the programs that it calls come and go.
    let core = "core-1.img";
    let own = fs::read(here.images().join(core)).unwrap();
    // Stopped at the same instruction, both have the same one.
    let same = fs::read(first.join(core)).unwrap() == own;
    for name in [core, "nucleus.json"].into_iter().filter(|name| *name != core || !same) {
        fs::copy(first.join(name), here.images().join(name)).unwrap();
        let output = here.restore(&bundle, &fresh.id).output().assert_code(125);
        says(&output, &["must come from the same one"]);
        here.host.assert_no_leak();
        fs::write(here.images().join(core), &own).unwrap();
    }
}

#[test]
fn directories_are_made_and_go_with_an_attempt_that_fails() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    let container = here.counting(&bundle);
    let deep = here.host.path("a/b/c");
    let call = |criu: &str| {
        let call = here.host.nucleus("checkpoint").global("--criu").global(criu);
        call.arg("--image-path").arg(&deep).arg(&container.id).detached()
    };
    call("/nowhere/criu").output().assert_code(1);
    assert!(!here.host.path("a").exists());
    call(here.criu.to_str().unwrap()).output().assert_success();
    assert!(deep.join("pstree.img").exists());
    assert_eq!(fs::metadata(here.host.path("a")).unwrap().permissions().mode() & 0o777, 0o700);
    let names: Vec<_> = fs::read_dir(&deep).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!names.iter().any(|name| name == ".new"), "{names:?}");
}

#[test]
fn earlier_images_must_be_the_containers_own() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    let container = here.counting(&bundle);
    let other = Container::create(&here.host, &Bundle::new(&here.host, "other", &["sleep", "1000"]).write());
    other.start();
    other.wait_for("running");
    let into = here.host.nucleus("checkpoint").global("--criu").global(here.criu.to_str().unwrap());
    let into = into.arg("--image-path").arg(here.host.path("other-images")).arg(&other.id).detached();
    into.output().assert_success();
    for (parent, cause) in [
        ("../missing", "No such file or directory"),
        (".", "the new images take the place of those"),
        ("../files", "others can write to it"),
        ("../other-images", "it was made of the container"),
    ] {
        let output = here.checkpoint(&container).args(["--parent-path", parent]).output().assert_code(1);
        says(&output, &["--parent-path", parent, cause]);
        assert!(!here.images().exists());
    }
    here.goes_on();
    container.delete_by_force();
}

#[test]
fn what_cannot_be_handed_out_is_told_before_anything_runs() {
    let Some(here) = Checkpoints::enter() else { return };
    let bundle = here.counter().write();
    here.checkpoint(&here.counting(&bundle)).output().assert_success();
    let count = here.count();
    for option in ["--pid-file", "--pidfd-socket"] {
        let container = Container::fresh(&here.host);
        let restore = here.restore(&bundle, &container.id).args([option, "/nowhere/x"]);
        says(&restore.output().assert_code(125), &["/nowhere/x", "No such file or directory"]);
        here.host.assert_no_leak();
    }
    assert_eq!(here.count(), count, "it went on counting");
}
