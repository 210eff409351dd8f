//! A criu that works on this kernel.

use std::path::PathBuf;
use std::process::Command;

use crate::{skip, workspace};

/// The program that `tests/criu` brings, if it works here. `None` where it doesn't: the calling test is recorded as skipped.
#[track_caller]
pub fn criu() -> Option<PathBuf> {
    let brought = Command::new(workspace().join("tests/criu")).output().expect("run tests/criu");
    if !brought.status.success() {
        skip(&format!("no criu: {}", String::from_utf8_lossy(&brought.stderr).trim()));
        return None;
    }
    let program = PathBuf::from(String::from_utf8_lossy(&brought.stdout).trim());
    let check = Command::new(&program).arg("check").output().expect("run criu");
    if !check.status.success() {
        skip(&format!("criu does not work here: {}", String::from_utf8_lossy(&check.stderr).trim()));
        return None;
    }
    Some(program)
}
