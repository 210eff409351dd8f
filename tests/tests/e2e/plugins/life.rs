//! A loaded backend does what the same backend does as part of the program, and stays with its containers.

use std::fs;

use nucleus_tests::plugins::{Plugins, built};
use nucleus_tests::{Bundle, Host};

#[test]
fn a_loaded_backend_runs_a_container() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    let output = plugins.shell("again", "echo hello; exit 7").output().assert_code(7);
    assert_eq!((output.text(), output.stderr.as_str()), ("hello", ""));
}

#[test]
fn explain_names_what_the_loaded_backend_enforces() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    let profile = host.profile(crate::DEV, &plugins.yaml("again"));
    let output = host
        .nucleus("explain")
        .profile(profile)
        .args(["--format", "json"])
        .command(["true"])
        .output()
        .assert_success();
    assert_eq!(output.json()["backend"], "again");
    assert_eq!(output.json()["starts"], true);
}

#[test]
fn a_container_outlives_the_upgrade_and_the_removal_of_its_plugin() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    let profile = host.profile(crate::BASE, &plugins.yaml("again"));
    let bundle = Bundle::shell(&host, "bundle", "sleep 60").write();
    let id = host.fresh_id();
    let create =
        host.nucleus("create").profile(profile).arg("--bundle").arg(bundle.path()).arg(&id).detached();
    create.output().assert_success();
    // Another file under its name; then none.
    fs::remove_file(plugins.file("again")).unwrap();
    fs::write(plugins.file("again"), "a newer release").unwrap();
    host.nucleus("start").arg(&id).output().assert_success();
    fs::remove_file(plugins.file("again")).unwrap();
    assert_eq!(host.nucleus("state").arg(&id).output().assert_success().json()["status"], "running");
    host.nucleus("exec").args([&id, "/bin/sh", "-c", "exit 3"]).output().assert_code(3);
    host.nucleus("kill").args([&id, "KILL"]).output().assert_success();
    host.wait_until("it has stopped", || {
        host.nucleus("state").arg(&id).output().assert_success().json()["status"] == "stopped"
    });
    host.nucleus("delete").arg(&id).output().assert_success();
}

#[test]
fn a_container_whose_copy_is_gone_says_so_and_goes_by_force() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    let profile = host.profile(crate::BASE, &plugins.yaml("again"));
    let bundle = Bundle::shell(&host, "bundle", "sleep 60").write();
    let id = host.fresh_id();
    let create =
        host.nucleus("create").profile(profile).arg("--bundle").arg(bundle.path()).arg(&id).detached();
    create.output().assert_success();
    fs::remove_file(host.root().join(&id).join("plugin")).unwrap();
    let state = host.nucleus("state").arg(&id).output().assert_code(1);
    assert!(
        state.stderr.contains("the copy of the plugin `again` that stayed with it is missing"),
        "{state}"
    );
    assert!(state.stderr.contains("delete --force"), "{state}");
    let output = host.nucleus("delete").args(["--force", &id]).output();
    assert!(!host.root().join(&id).exists(), "{output}");
}

#[test]
fn two_plugins_in_one_process_are_really_two() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    fs::copy(built("trouble"), plugins.file("trouble")).unwrap();
    // `list` asks both backends for the state of their containers, in one process.
    let ids = ["again", "trouble"].map(|backend| {
        let profile = host.profile(crate::BASE, &plugins.yaml(backend));
        let bundle = Bundle::shell(&host, &format!("bundle-{backend}"), "sleep 60").write();
        let id = host.fresh_id();
        let create =
            host.nucleus("create").profile(profile).arg("--bundle").arg(bundle.path()).arg(&id).detached();
        create.output().assert_success();
        id
    });
    let list = host.nucleus("list").args(["--format", "json"]).env("TROUBLE", "no-json@state").output();
    assert!(list.stderr.contains("plugin `trouble`"), "the second answers for itself: {list}");
    assert!(list.text().contains(&ids[0]), "and the first for itself: {list}");
    for id in ids {
        host.nucleus("delete").args(["--force", &id]).output().assert_success();
    }
}

#[test]
fn no_plugin_is_opened_that_the_profile_does_not_name() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "trouble");
    let profile = host.profile(crate::DEV, &plugins.trusting("trouble"));
    let trace = host.path("trace");
    let run = host.shell(profile, "true").env("TROUBLE", "abort@load");
    let trace_to = trace.display().to_string();
    run.through(["strace", "-f", "-e", "trace=openat,open", "-o", &trace_to]).output().assert_success();
    let opened = fs::read_to_string(trace).unwrap();
    assert!(opened.contains("profile-"), "the trace tells of opened files");
    for file in ["libnucleus", "/etc/nucleus/config.yaml", "layouts", "plugins"] {
        assert!(!opened.contains(file), "{file} was opened");
    }
}
