//! `profile diff` and `explain --backend`: what a swap gains and loses, before anything runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nucleus_tests::{Host, Output, nucleus, workspace};
use serde_json::Value;

use crate::{DEV, PROD};

const CRUN: [&str; 4] = ["--backend", "oci-runtime", "--backend-option", "path=/usr/bin/crun"];

fn diff(host: &Host, words: &[&str]) -> Output {
    host.nucleus("profile").arg("diff").args(words).output()
}

fn configs(name: &str) -> String {
    workspace().join("configs").join(name).display().to_string()
}

/// The fields of a group.
fn fields(document: &Value, group: &str) -> Vec<String> {
    let list = document[group].as_array().unwrap_or_else(|| panic!("{group} in {document}"));
    list.iter().map(|one| one["field"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_exit_status_says_whether_something_is_lost() {
    let host = Host::enter();
    let (dev, prod) = (configs("dev.yaml"), configs("prod.yaml"));
    let same = diff(&host, &[&dev, &dev]).assert_code(0);
    assert_eq!(same.text(), "Nothing is lost.");
    diff(&host, &[&dev, &prod]).assert_code(0);
    let loosened = diff(&host, &[&prod, &dev]).assert_code(1);
    for field in ["resources.memory", "security.capabilities", "workload.user"] {
        assert!(loosened.text().contains(field), "{field} in\n{loosened}");
    }
    let missing = diff(&host, &[&dev, "/no/such.yaml"]).assert_code(2);
    assert!(missing.stderr.contains("/no/such.yaml"), "{missing}");
    diff(&host, &[&dev, "--backend", "nobody"]).assert_code(2);
}

#[test]
fn a_swap_of_the_backend_shows_what_is_lost_and_the_way_back_what_is_gained() {
    let host = Host::enter();
    let dev = configs("dev.yaml");
    let there = diff(&host, &[&[dev.as_str(), "--format", "json"][..], &CRUN].concat()).assert_code(1).json();
    assert_eq!(fields(&there, "lost"), ["security.landlock"]);
    assert!(fields(&there, "gained").is_empty(), "{there}");
    let lost = &there["lost"][0];
    assert_eq!(lost["left"]["enforcer"]["who"], "backend", "{lost}");
    assert_eq!(lost["right"]["enforcer"]["who"], "nobody", "{lost}");
    assert!(lost["right"]["origin"].as_str().unwrap().contains("base.yaml:"), "{lost}");
    assert!(fields(&there, "changed").contains(&"resources.memory".to_owned()), "{there}");
    let crun = host.profile(DEV, "backend: {name: oci-runtime, options: {path: /usr/bin/crun}}");
    let crun = crun.display().to_string();
    let back = diff(&host, &[&crun, "--backend", "native-namespace", "--format", "json"]).assert_code(0);
    assert_eq!(fields(&back.json(), "gained"), ["security.landlock"]);
}

#[test]
fn named_workloads_are_compared_too() {
    let host = Host::enter();
    let yaml = "workloads:\n  big: {resources: {memory: 8G}}\n  small: {resources: {memory: 1M}}";
    let file = host.profile(DEV, yaml).display().to_string();
    let side = |name: &str| format!("{file}#{name}");
    let lost = diff(&host, &[&side("small"), &side("big"), "--format", "json"]).assert_code(1).json();
    assert_eq!(fields(&lost, "lost"), ["resources.memory"]);
    assert_eq!(lost["lost"][0]["why"], "allowed");
    diff(&host, &[&file, &side("small")]).assert_code(0);
    diff(&host, &[&side("big"), &file, "--workload", "small"]).assert_code(0);
    let unknown = diff(&host, &[&file, &side("smal")]).assert_code(2);
    assert!(unknown.stderr.contains("did you mean `small`"), "{unknown}");
}

#[test]
fn a_comparison_needs_no_privilege_and_leaves_nothing() {
    let host = Host::enter();
    let copy = host.path("nucleus");
    fs::copy(nucleus::binary(), &copy).unwrap();
    let directory = crate::open_directory(&host, "configs");
    for name in ["base.yaml", "dev.yaml", "prod.yaml"] {
        fs::copy(configs(name), directory.join(name)).unwrap();
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=10001", "--regid=10001", "--clear-groups", "--inh-caps=-all"]).arg(copy);
    command.arg("--root").arg(host.root()).args(["profile", "diff"]);
    let output = command.arg(directory.join("prod.yaml")).arg(directory.join("dev.yaml")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.is_empty(), "{said}");
    assert!(!host.root().exists(), "no state was made");
}

#[test]
fn explain_measures_a_swap_with_the_profiles_own_backend() {
    let host = Host::enter();
    let explain = |profile: &Path, words: &[&str]| {
        host.nucleus("explain").profile(profile).args(words).command(["/bin/true"]).output().assert_code(0)
    };
    let dev = workspace().join(DEV);
    let swapped = explain(&dev, &CRUN);
    for words in [
        "oci-runtime in place of native-namespace",
        "base.yaml:",
        "LOST (1)",
        "refused here (enforcement: strict)",
        "hint: backends on this host that can: native-namespace",
    ] {
        assert!(swapped.text().contains(words), "`{words}` in\n{swapped}");
    }
    let json = explain(&dev, &[&CRUN[..], &["--format", "json"]].concat()).json();
    assert_eq!(fields(&json["swap"], "lost"), ["security.landlock"]);
    assert_eq!((&json["starts"], &json["swap"]["left"]["starts"]), (&false.into(), &true.into()));
    let plain = explain(&dev, &["--format", "json"]).json();
    assert!(plain["swap"].is_null(), "without --backend there is no swap");
    // What is wrong with the profile's own backend does not keep anybody from looking at another.
    let gone = host.profile(DEV, "backend: nobody");
    let unknown = explain(&gone, &["--backend", "native-namespace"]);
    assert!(unknown.text().contains("What the swap changes is not known"), "{unknown}");
}

#[test]
fn a_loss_is_refused_by_its_line_and_with_the_backends_that_could() {
    let host = Host::enter();
    let run = host.run(PROD, &["/bin/true"]).args(CRUN).output();
    run.assert_refused(&["security.landlock", "prod.yaml:", "no Landlock", "backends on this host that can"]);
    let run = host.run(DEV, &["hostname"]).args(CRUN).arg("--permissive").output().assert_code(0);
    assert_eq!(run.text(), "dev");
    assert!(run.stderr.contains("warning") && run.stderr.contains("no Landlock"), "{run}");
}

#[test]
fn an_option_belongs_to_a_backend_that_is_named_beside_it() {
    let host = Host::enter();
    let alone = host.run(DEV, &["true"]).args(["--backend-option", "path=/usr/bin/crun"]).output();
    alone.assert_refused(&["--backend"]);
    let wrong = host.run(DEV, &["true"]).args(["--backend", "oci-runtime", "--backend-option", "path"]);
    wrong.output().assert_refused(&["--backend-option", "NAME=VALUE"]);
    let unknown = host.run(DEV, &["true"]).args(["--backend", "oci-runtime", "--backend-option", "pth=/x"]);
    unknown.output().assert_refused(&["backend.options.pth", "did you mean `path`?"]);
}
