//! A profile bounds what an engine asks for, whatever the engine is told.

use nucleus_tests::Host;
use nucleus_tests::engines::{Docker, Podman};

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
