//! Secrets: they arrive, as asked, and are nowhere else.

mod arrival;
mod refusals;
pub(crate) mod secrecy;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nucleus_tests::{Host, Nucleus};

use crate::BASE;

/// A file that only its owner may read.
pub(crate) fn secret_file(host: &Host, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = host.file(name, content);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("close the file");
    path
}

/// A profile with these secrets, one in each line.
pub(crate) fn profile(host: &Host, secrets: &[String], more: &str) -> PathBuf {
    let list: Vec<String> = secrets.iter().map(|secret| format!("  - {secret}\n")).collect();
    host.profile(BASE, &format!("{more}\nsecrets:\n{}", list.concat()))
}

/// A secret that is a file's content.
pub(crate) fn from_file(path: &Path, rest: &str) -> String {
    format!("{{source: {{file: {}}}, {rest}}}", path.display())
}

/// A run of a shell script with these secrets.
fn run(host: &Host, secrets: &[String], script: &str) -> Nucleus {
    host.shell(profile(host, secrets, ""), script)
}

/// The call with `file` as its descriptor `number`.
fn with_descriptor(call: Nucleus, number: u32, file: &Path) -> Nucleus {
    let script = format!("exec {number}<\"$0\" && exec \"$@\"");
    call.through(["/bin/sh".as_ref(), "-c".as_ref(), script.as_ref(), file.as_os_str()])
}
