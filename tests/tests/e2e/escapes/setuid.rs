//! CVE-2016-8659, CVE-2020-5291, bubblewrap 2026-41163: a setuid runtime lends its rights. Defence: nucleus is none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nucleus_tests::{Host, nucleus};

#[test]
fn a_setuid_copy_refuses_to_work() {
    let host = Host::enter();
    let copy = host.path("nucleus");
    fs::copy(nucleus::binary(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=10001", "--regid=10001", "--clear-groups"]).arg(&copy);
    let output = command.arg("--root").arg(host.root()).args(["run", "--", "/bin/true"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("setuid"), "{said}");
}
