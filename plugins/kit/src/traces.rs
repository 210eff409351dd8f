//! What a plugin may leave on a host, compared before and after a case.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// Mounts, cgroups and network interfaces at one moment.
#[derive(Debug)]
pub(crate) struct Traces(BTreeSet<String>);

impl Traces {
    /// What names the trial, and what has no name of anybody.
    pub(crate) fn look(name: &str) -> Self {
        let mut traces = BTreeSet::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        traces.extend(mounts.lines().filter(|line| line.contains(name)).map(|line| format!("mount {line}")));
        cgroups(Path::new("/sys/fs/cgroup"), name, 0, &mut traces);
        let interfaces = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        traces.extend(interfaces.map(|entry| format!("network interface {}", entry.file_name().display())));
        Self(traces)
    }

    /// What is there now and was not.
    pub(crate) fn new_since(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

fn cgroups(directory: &Path, name: &str, depth: u32, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if depth > 8 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.path().to_string_lossy().contains(name) {
            found.insert(format!("cgroup {}", entry.path().display()));
        }
        cgroups(&entry.path(), name, depth + 1, found);
    }
}

/// The processes below this one, which is the subreaper of all that a plugin starts. They are ended.
pub(crate) fn end_descendants() -> Vec<String> {
    let mut ended = Vec::new();
    while let Some(child) = children().into_iter().next() {
        let status = fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero())).unwrap_or_default();
        // A zombie has ended; its parent, the case, did not live to reap it.
        if !status.contains(") Z ") {
            let command =
                fs::read_to_string(format!("/proc/{}/cmdline", child.as_raw_nonzero())).unwrap_or_default();
            ended.push(format!("process {} {}", child.as_raw_nonzero(), command.replace('\0', " ")));
            let _ = kill_process(child, Signal::KILL);
        }
        let _ = waitpid(Some(child), WaitOptions::empty());
    }
    ended
}

fn children() -> Vec<Pid> {
    let text = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}
