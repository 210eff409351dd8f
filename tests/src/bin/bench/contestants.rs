//! Who is measured, and how each is called.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nucleus_tests::{nucleus, workspace};
use serde_json::Value;

use crate::bundle::{self, MEMORY, PIDS};
use crate::lane::View;

/// One line of the result.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) view: View,
    pub(crate) words: Vec<OsString>,
}

/// The floor's line: the others are shown as multiples of it.
pub(crate) const FLOOR: &str = "floor";
/// The line of crun that does all that nucleus does.
pub(crate) const CRUN: &str = "crun, seccomp";

/// All that are installed here. `scratch` takes bundles and state.
pub(crate) fn all(scratch: &Path) -> io::Result<Vec<Contestant>> {
    let mut all = ours(scratch)?;
    let filter = default_filter(scratch);
    for (name, filtered, view) in
        [("crun", CRUN, View::WithoutUnified), ("runc", "runc, seccomp", View::Host)]
    {
        if find(name).is_none() {
            println!("{name} is not installed");
            continue;
        }
        all.push(Contestant { name, view, words: oci(name, scratch, "plain", None)? });
        if let Some(filter) = &filter {
            let words = oci(name, scratch, "seccomp", Some(filter))?;
            all.push(Contestant { name: filtered, view, words });
        }
    }
    if find("bwrap").is_some() {
        all.push(Contestant { name: "bwrap", view: View::Host, words: bubblewrap() });
    }
    Ok(all)
}

/// The floor and nucleus.
pub(crate) fn ours(scratch: &Path) -> io::Result<Vec<Contestant>> {
    let floor = std::env::current_exe()?.with_file_name("floor");
    let contestant = |name, words| Contestant { name, view: View::Host, words };
    Ok(vec![
        contestant(FLOOR, vec![floor.into()]),
        contestant("nucleus", nucleus_run(scratch, None)),
        contestant("nucleus, dev.yaml", nucleus_run(scratch, Some("configs/dev.yaml"))),
    ])
}

fn nucleus_run(scratch: &Path, profile: Option<&str>) -> Vec<OsString> {
    let mut call = nucleus::Nucleus::new(&state(scratch), "run");
    if let Some(profile) = profile {
        call = call.profile(profile);
    }
    limited(call).command(["/bin/true"]).words()
}

/// The state directory of all measured nucleus containers.
pub(crate) fn state(scratch: &Path) -> PathBuf {
    scratch.join("nucleus")
}

/// The limits that each measured runtime sets.
pub(crate) fn limited(call: nucleus::Nucleus) -> nucleus::Nucleus {
    call.args(["--no-tty", "--memory", &MEMORY.to_string(), "--pids", &PIDS.to_string()])
}

fn oci(runtime: &str, scratch: &Path, kind: &str, filter: Option<&Value>) -> io::Result<Vec<OsString>> {
    let name = format!("bench-{}-{runtime}-{kind}", std::process::id());
    let bundle = bundle::lay(scratch.join(&name), &format!("/{name}"), filter)?;
    let state = scratch.join(format!("{runtime}-state"));
    fs::create_dir_all(&state)?;
    Ok(vec![
        runtime.into(),
        "--root".into(),
        state.into(),
        "run".into(),
        "--bundle".into(),
        bundle.into(),
        name.into(),
    ])
}

/// The same file systems and namespaces; bubblewrap has no cgroups, and is given no filter.
fn bubblewrap() -> Vec<OsString> {
    let words = "bwrap --unshare-pid --unshare-net --unshare-uts --unshare-ipc --unshare-cgroup --cap-drop ALL \
        --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/sbin /sbin --symlink usr/lib /lib \
        --symlink usr/lib64 /lib64 --proc /proc --dev /dev --ro-bind /sys /sys --dir /tmp /bin/true";
    words.split_whitespace().map(OsString::from).collect()
}

/// nucleus's default filter, so that the others load the same one.
pub(crate) fn default_filter(scratch: &Path) -> Option<Value> {
    let words = nucleus::Nucleus::new(&state(scratch), "run").arg("--dry-run").command(["/bin/true"]).words();
    let output = Command::new(&words[0]).args(&words[1..]).output().ok()?;
    let config: Value = serde_json::from_slice(&output.stdout).ok()?;
    config.pointer("/linux/seccomp").filter(|filter| !filter.is_null()).cloned()
}

/// Where a program lies, when it is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.exists())
}

/// The checkout must have been built for release: a debug build says nothing about speed.
pub(crate) fn warn_about_debug_builds() {
    if nucleus::binary().components().any(|part| part.as_os_str() == "debug") || cfg!(debug_assertions) {
        println!("warning: a debug build is measured; run tests/bench/run in {}", workspace().display());
    }
}
