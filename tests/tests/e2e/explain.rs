//! The verbs that only tell: they change nothing and need no container.

use std::fs;

use nucleus_tests::{Host, nucleus, oci, workspace};
use serde_json::Value;

use crate::{DEV, PROD, PROFILES};

#[test]
fn dry_run_prints_a_valid_config() {
    let host = Host::enter();
    let variants: [&[&str]; 4] = [
        &[],
        &["--memory", "64M", "--pids", "10", "--cpus", "1.5", "--user", "5:6", "--env", "A=b"],
        &["--tmpfs", "/scratch", "--volume", "/usr/share:/data:ro", "--hostname", "x", "--init"],
        &["--network", "none", "--cwd", "/", "--rootfs", "/srv", "--read-only"],
    ];
    for profile in PROFILES {
        for options in variants {
            let config = host
                .run(profile, &["/bin/true"])
                .arg("--dry-run")
                .args(options)
                .output()
                .assert_success()
                .json();
            assert_eq!(oci::violations(&config), Vec::<String>::new(), "{profile} {options:?}");
            assert_eq!(config["process"]["args"], serde_json::json!(["/bin/true"]));
        }
    }
    let config = host.run(DEV, &["/bin/true"]).args(["--dry-run", "--memory", "64M"]).output().json();
    assert_eq!(config.pointer("/linux/resources/memory/limit"), Some(&Value::from(64 << 20)));
    let yaml = "namespaces:\n  user: {uidMap: [{container: 0, host: 1000, size: 10}], \
        gidMap: [{container: 0, host: 1000, size: 10}]}\n  time: {boottime: 1h}\nresources: {io: {weight: 200}}";
    let config = host.run(host.profile(DEV, yaml), &["/bin/true"]).arg("--dry-run").output().json();
    assert_eq!(oci::violations(&config), Vec::<String>::new());
}

#[test]
fn explain_names_each_values_origin() {
    let host = Host::enter();
    let call = || host.nucleus("explain").profile(PROD).args(["--memory", "64M"]).command(["/bin/true"]);
    let table = call().output().assert_success();
    let row = |field: &str| {
        let row = table.text().lines().find(|line| line.split_whitespace().next() == Some(field));
        row.unwrap_or_else(|| panic!("the field {field} is shown\n{table}"))
    };
    let line = row("resources.memory");
    assert!(line.contains("67108864"), "sizes are bytes: {line}");
    assert!(line.contains("--memory"), "its origin is the flag: {line}");
    assert!(table.text().contains("prod.yaml:"), "lines of the profile are named\n{table}");
    assert!(table.text().contains("base.yaml:"), "lines of its parent too\n{table}");
    assert!(!table.text().contains('\x1b'), "no colour off a terminal");

    let json = call().args(["--format", "json"]).output().assert_success().json();
    assert!(json.to_string().contains("--memory"), "{json}");
}

#[test]
fn explain_needs_no_privilege_and_leaves_nothing() {
    let host = Host::enter();
    let call = host.nucleus("explain").profile(DEV).command(["/bin/true"]);
    // The scope's directory is readable by all; so is the checkout's profile when it is copied there.
    let words = call.words();
    let copy = host.path("nucleus");
    fs::copy(nucleus::binary(), &copy).unwrap();
    let configs = crate::open_directory(&host, "configs");
    for name in ["base.yaml", "dev.yaml"] {
        fs::copy(workspace().join("configs").join(name), configs.join(name)).unwrap();
    }
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=10001", "--regid=10001", "--clear-groups", "--inh-caps=-all"]).arg(copy);
    let replaced = words[1..].iter().map(|word| {
        if word.to_string_lossy().ends_with("dev.yaml") {
            configs.join("dev.yaml").into()
        } else {
            word.clone()
        }
    });
    let output = command.args(replaced).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!host.root().exists(), "no state was made");
}

#[test]
fn profiles_in_configs_are_right() {
    let host = Host::enter();
    let files = ["base", "dev", "prod"].map(|name| workspace().join(format!("configs/{name}.yaml")));
    host.nucleus("profile").arg("check").args(files).output().assert_success();
    let wrong = host.file("wrong.yaml", "apiVersion: nucleus/v1\nnmae: x\n");
    let output = host.nucleus("profile").arg("check").arg(wrong).output();
    assert_ne!(output.code(), Some(0));
    assert!(output.stderr.contains("wrong.yaml:2:1") && output.stderr.contains("name"), "{output}");
}

#[test]
fn profile_show_prints_the_effective_profile() {
    let host = Host::enter();
    let output = host.nucleus("profile").profile(PROD).arg("show").output().assert_success();
    assert!(output.text().contains("10001"), "{output}");
    assert!(output.text().contains("base.yaml:"), "each value says where it comes from\n{output}");
}

#[test]
fn profile_schema_is_the_committed_one() {
    let host = Host::enter();
    let printed = host.nucleus("profile").arg("schema").output().assert_success().json();
    let committed = fs::read_to_string(workspace().join("configs/profile.schema.json")).unwrap();
    let committed: Value = serde_json::from_str(&committed).unwrap();
    assert!(printed == committed, "run `nucleus profile schema > configs/profile.schema.json`");
}

#[test]
fn backend_list_reports_this_host() {
    let host = Host::enter();
    let table = host.nucleus("backend").arg("list").output().assert_success();
    assert!(table.text().contains("native-namespace"), "{table}");
    let json = host.nucleus("backend").args(["list", "--format", "json"]).output().assert_success().json();
    assert!(json.to_string().contains("native-namespace"), "{json}");
}

#[test]
fn gc_on_a_clean_host_finds_nothing() {
    let host = Host::enter();
    host.nucleus("gc").output().assert_success();
    host.nucleus("gc").args(["--format", "json"]).output().assert_success().json();
}

#[test]
fn the_version_stands_as_engines_read_it() {
    let host = Host::enter();
    let output = std::process::Command::new(nucleus::binary()).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let [program, specification] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(output.status.success() && program.starts_with("nucleus version "), "{text}");
    assert!(specification.starts_with("spec: 1."), "{text}");
    drop(host);
}
