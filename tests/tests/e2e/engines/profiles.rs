//! A profile bounds what an engine asks for, whatever the engine is told.

use std::fs;
use std::os::unix::fs::symlink;

use nucleus_tests::Host;
use nucleus_tests::engines::{Docker, Podman, runtime};

use crate::DEV;

/// Fewer privileges and limits than any engine's own.
const TIGHT: &str =
    "security: {capabilities: [CHOWN], noNewPrivileges: true}\nresources: {memory: 64M, pids: 30}";

const FACTS: &str = "grep -E '^(CapBnd|NoNewPrivs):' /proc/self/status";
const BOUNDED: &str = "CapBnd:\t0000000000000001\nNoNewPrivs:\t1";

#[test]
fn podman_passes_a_profile_on() {
    let host = Host::enter();
    let profile = host.profile(DEV, TIGHT);
    let podman = Podman::enter(&host).runtime_flag(&format!("profile={}", profile.display()));
    podman.sleeper("house", &["--cap-add", "sys_admin", "--memory", "1g"]);
    assert_eq!(podman.call(&["exec", "house", "/bin/sh", "-c", FACTS]).text(), BOUNDED);
    let privileged = podman.call(&["exec", "--privileged", "house", "/bin/sh", "-c", FACTS]).text();
    assert_eq!(privileged, BOUNDED, "an exec cannot have more than the container");
    let beyond = podman.call(&["update", "--memory", "1g", "house"]).output();
    assert_ne!(beyond.code(), Some(0), "an update cannot go beyond the profile\n{beyond}");
    assert!(beyond.stderr.contains("memory"), "the message says what was refused\n{beyond}");
    let refused = podman.shell(&["--pid", "host"], "true").output();
    assert_ne!(refused.code(), Some(0), "the host's processes stay the host's\n{refused}");
    assert!(refused.stderr.contains("pid"), "the message says what was refused\n{refused}");
}

/// What Podman calls from here on: nucleus under another name, which alone sees an `/etc/nucleus` of the test's.
fn rename_runtime(host: &Host, program: &str, config: &str) {
    let nucleus = host.path("etc/nucleus");
    fs::create_dir_all(nucleus.join("profiles")).expect("make an /etc/nucleus");
    let write = |name: &str, text: &str| {
        fs::write(nucleus.join(name), format!("apiVersion: nucleus/v1\n{text}\n")).expect("write into it");
    };
    write("profiles/tight.yaml", &format!("name: tight\n{TIGHT}"));
    write("config.yaml", config);
    let link = host.path(program);
    let _ = fs::remove_file(&link);
    symlink(runtime(), &link).expect("link the runtime");
    let inside = format!(
        "mount -t overlay overlay -o lowerdir={}:/etc /etc && exec \"$@\"",
        host.path("etc").display()
    );
    let script = format!(
        "#!/bin/sh\nexec unshare --mount --propagation private sh -c '{inside}' sh {} --root {} \"$@\"\n",
        link.display(),
        host.root().display()
    );
    host.file("runtime", script);
}

#[test]
fn a_link_below_podman_stands_for_a_profile() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    rename_runtime(&host, "nucleus-tight", "engines: {}");
    podman.sleeper("house", &["--cap-add", "sys_admin"]);
    assert_eq!(podman.call(&["exec", "house", "/bin/sh", "-c", FACTS]).text(), BOUNDED);
    rename_runtime(&host, "nucleus-kata", "engines: {handlers: {nucleus-kata: tight}}");
    assert_eq!(podman.shell(&["--cap-add", "sys_admin"], FACTS).text(), BOUNDED);
    rename_runtime(&host, "nucleus-missing", "engines: {}");
    let refused = podman.shell(&[], "true").output();
    assert_ne!(refused.code(), Some(0), "no profile has this name\n{refused}");
    assert!(refused.stderr.contains("missing"), "the message says which\n{refused}");
    rename_runtime(&host, "nucleus", "engines: {}");
    assert_ne!(podman.shell(&["--cap-add", "sys_admin"], FACTS).text(), BOUNDED);
}

#[test]
fn an_annotation_through_podman_picks_from_the_operators_list() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    rename_runtime(&host, "nucleus", "engines: {annotation: {profiles: [tight]}}");
    let flags = ["--annotation", "dev.nucleus.profile=tight", "--cap-add", "sys_admin"];
    assert_eq!(podman.shell(&flags, FACTS).text(), BOUNDED);
    rename_runtime(&host, "nucleus", "engines: {annotation: {profiles: [other]}}");
    let refused = podman.shell(&flags, FACTS).output();
    assert_ne!(refused.code(), Some(0), "the operator allows no such choice\n{refused}");
    assert!(refused.stderr.contains("dev.nucleus.profile"), "the message names the annotation\n{refused}");
}

#[test]
fn docker_passes_a_profile_on() {
    let host = Host::enter();
    let profile = host.profile(DEV, TIGHT);
    let flags = ["--profile", profile.to_str().expect("a plain path")];
    let docker = Docker::enter_with_runtime_flags(&host, &flags);
    let text = docker.shell(&["--cap-add", "sys_admin"], FACTS).text();
    assert_eq!(text, BOUNDED);
    let refused = docker.shell(&["--privileged"], "true").output();
    assert_ne!(refused.code(), Some(0), "a privileged container is refused\n{refused}");
}
