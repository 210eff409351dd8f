//! The conformance suite: honest plugins pass, and a plugin that breaks the contract fails at what it breaks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use nucleus_tests::plugins::{Plugins, built};
use nucleus_tests::{Host, workspace};

/// Each case with its verdict.
pub(super) fn verdicts(host: &Host, file: &Path, only: &str, trouble: &str) -> BTreeMap<String, String> {
    let call = host.nucleus("plugin").args(["check", "--full", "--only", only, "--format", "json"]).arg(file);
    let output = call.env("TROUBLE", trouble).timeout(Duration::from_mins(5)).output();
    let cases = output.json();
    let word = |case: &serde_json::Value, field: &str| case[field].as_str().unwrap_or_default().to_owned();
    cases.as_array().unwrap().iter().map(|case| (word(case, "case"), word(case, "verdict"))).collect()
}

#[track_caller]
pub(super) fn none_fails(verdicts: &BTreeMap<String, String>) {
    let failed: Vec<&String> =
        verdicts.iter().filter(|(_, verdict)| *verdict == "failed").map(|(case, _)| case).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn the_native_backend_passes_from_its_file() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    let verdicts = verdicts(&host, &plugins.file("again"), "", "");
    none_fails(&verdicts);
    let passed = verdicts.values().filter(|verdict| *verdict == "passed").count();
    assert!(passed >= 45, "{verdicts:?}");
}

/// What each kind of trouble must be caught by.
#[test]
fn trouble_fails_at_what_it_breaks() {
    let caught = [
        ("panic@state", "created, running, stopped"),
        ("thread@report", "no thread before the fork, no descriptor kept"),
        ("wrong-json@wait", "exit codes"),
        ("abort@delete", "delete of what never was"),
        ("segfault@start", "standard input and output"),
        ("exit@create", "exit codes"),
        ("forget@sandbox", "yes to resource limits of processes"),
        ("nothing@delete", "delete while it runs"),
        ("nothing@signal", "each verb from a process of its own"),
    ];
    let host = Host::enter();
    let plugins = Plugins::with(&host, "trouble");
    for (trouble, case) in caught {
        let verdicts = verdicts(&host, &plugins.file("trouble"), case, trouble);
        assert_eq!(verdicts.get(case).map(String::as_str), Some("failed"), "{trouble}: {verdicts:?}");
    }
}

/// Where cargo builds what is no part of this workspace.
fn stranger() -> PathBuf {
    let own = built("again");
    let debug =
        own.ancestors().find(|path| path.ends_with("debug") || path.ends_with("release")).expect("a profile");
    debug.with_file_name("stranger")
}

fn cargo(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("cargo");
    command
        .args(arguments)
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", stranger())
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    let output = command.output().expect("start cargo");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}: {}\n{}",
        directory.display(),
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

#[test]
fn the_examples_compile_alone_and_pass() {
    for example in ["backend-bubblewrap", "hook-require-limits"] {
        let output =
            cargo(&workspace().join("examples").join(example), &["test", "--offline", "--locked", "--quiet"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(" 0 failed"), "{text}");
    }
}

#[test]
fn a_new_plugin_compiles_and_passes() {
    for kind in ["backend", "hook"] {
        let host = Host::enter();
        let directory = host.path(&format!("new-{kind}"));
        let call = host.nucleus("plugin").args(["new", kind, "acme-vm"]).arg("--directory").arg(&directory);
        call.arg("--abi").arg(workspace().join("plugins")).output().assert_success();
        // The versions that are there: nothing is fetched.
        let lock = workspace().join("examples/backend-bubblewrap/Cargo.lock");
        std::fs::copy(lock, directory.join("Cargo.lock")).unwrap();
        let output = cargo(&directory, &["test", "--offline", "--quiet"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(" 0 failed"), "{text}");
        cargo(&directory, &["build", "--offline", "--quiet"]);
        let file = stranger().join("debug").join(format!("libnucleus_{kind}_acme_vm.so"));
        let copy = host.path(file.file_name().unwrap().to_str().unwrap());
        std::fs::copy(file, &copy).unwrap();
        none_fails(&verdicts(&host, &copy, "", ""));
    }
}

#[test]
fn the_example_on_bubblewrap_runs_a_workload() {
    let host = Host::enter();
    cargo(&workspace().join("examples/backend-bubblewrap"), &["build", "--offline", "--locked", "--quiet"]);
    let plugins = Plugins::new(&host);
    let file = stranger().join("debug/libnucleus_backend_bubblewrap.so");
    std::fs::copy(file, plugins.file("bubblewrap")).unwrap();
    let yaml = format!("{}\nenforcement: permissive", plugins.yaml("bubblewrap"));
    let output =
        host.shell(host.profile(crate::DEV, &yaml), "echo from $(hostname | wc -l) name; exit 6").output();
    let output = output.assert_code(6);
    assert_eq!(output.text(), "from 1 name", "{output}");
}
