//! Options of `oci-runtime`, and what `explain` says of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nucleus_tests::Host;

use crate::DEV;

fn explained(host: &Host, backend: &str) -> nucleus_tests::Output {
    let profile = host.profile(DEV, &format!("backend: {backend}\nsecurity: {{landlock: off}}"));
    host.nucleus("explain").profile(profile).command(["/bin/true"]).output()
}

/// `explain` ends with 1 where it has nothing to explain.
fn assert_explained(output: &nucleus_tests::Output, words: &[&str]) {
    assert_eq!(output.code(), Some(1), "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` in\n{output}");
    }
}

#[test]
fn a_mistake_is_named_before_anything_runs() {
    let host = Host::enter();
    for (options, words) in [
        (
            "{name: oci-runtime, options: {pth: /usr/bin/crun}}",
            &["backend.options.pth", "did you mean `path`?"][..],
        ),
        ("{name: oci-runtime, options: {path: crun}}", &["not absolute"]),
        ("{name: oci-runtime, options: {path: /usr/bin/crun, args: [--root=/x]}}", &["--root=/x"]),
        ("{name: oci-runtime, options: {path: /bin/true}}", &["--version", "/usr/bin/true"]),
    ] {
        assert_explained(&explained(&host, options), words);
    }
}

#[test]
fn a_program_that_others_can_write_to_is_refused() {
    let host = Host::enter();
    let program = host.path("crun");
    fs::copy("/usr/bin/crun", &program).unwrap();
    let backend = format!("{{name: oci-runtime, options: {{path: {}}}}}", program.display());
    explained(&host, &backend).assert_code(0);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o757)).unwrap();
    assert_explained(&explained(&host, &backend), &["can be written by everybody"]);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(host.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    assert_explained(&explained(&host, &backend), &["can be written by everybody"]);
}

#[test]
fn explain_names_the_runtime_and_what_it_cannot_do() {
    let host = Host::enter();
    let backend = "{name: oci-runtime, options: {path: /usr/bin/crun}}";
    let output = explained(&host, backend).assert_code(0);
    for word in ["crun 1.", "by mount(2)", "by its device", "memory.limit_in_bytes"] {
        let known = word != "memory.limit_in_bytes" || std::path::Path::new("/sys/fs/cgroup/memory").exists();
        assert!(!known || output.text().contains(word), "`{word}` in\n{output}");
    }
    let profile = host.profile("configs/prod.yaml", &format!("backend: {backend}"));
    let refused = host.nucleus("run").profile(&profile).args(["--id", &host.fresh_id(), "--no-tty"]).output();
    refused.assert_refused(&["security.landlock", "no Landlock", "native-namespace"]);
}

/// Debian's crun lies in the first place that is looked at.
#[test]
fn without_a_path_the_first_runtime_of_the_host_is_taken_and_named() {
    let host = Host::enter();
    let output = explained(&host, "oci-runtime").assert_code(0);
    assert!(output.text().contains("crun 1."), "{output}");
    let list = host.nucleus("backend").arg("list").output().assert_success();
    assert!(list.text().contains("crun 1."), "{list}");
}

#[test]
fn the_profile_of_the_configs_runs() {
    let host = Host::enter();
    let output = host.shell("configs/crun.yaml", "hostname").output().assert_success();
    assert_eq!(output.text(), "dev");
}
