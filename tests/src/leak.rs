//! What nucleus may leave on a host, compared before and after a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait, waitpid};

use crate::host::PREFIX;

/// The kernel frees a dead container's cgroup and mounts asynchronously; this is far beyond what it takes.
const PATIENCE: Duration = Duration::from_secs(4);

/// The parts of the host that a container may leave a trace in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    traces: BTreeSet<String>,
}

impl Snapshot {
    /// Looks at the host now.
    pub fn take() -> Self {
        let mut traces = BTreeSet::new();
        traces.extend(mounts());
        traces.extend(cgroups());
        traces.extend(names("network interface", Path::new("/sys/class/net")));
        for directory in ["/run", "/dev/shm"] {
            let ours = names("file", Path::new(directory)).filter(|trace| trace.contains("nucleus"));
            // The tests' own directory, and those of a benchmark that runs beside them.
            let foreign =
                |trace: &String| trace.contains("/run/nucleus-test") || trace.contains("/run/nucleus-bench-");
            traces.extend(ours.filter(|trace| !foreign(trace)));
        }
        traces.extend(firewall_rules());
        Self { traces }
    }

    /// What `later` has and this one has not, without what belongs to foreign scopes.
    fn new_in<'a>(&'a self, later: &'a Self, scope: &str) -> Vec<&'a String> {
        later.traces.difference(&self.traces).filter(|trace| !is_foreign(trace, scope)).collect()
    }
}

/// Lists what is left of `scope`: since `before`, in its state directory, and as processes. Tries again until nothing
/// is left or [`PATIENCE`] is over.
pub(crate) fn wait_for_none(before: &Snapshot, scope: &str, root: &Path) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let leaks = left(before, scope, root);
        if leaks.is_empty() || Instant::now() > deadline {
            return leaks;
        }
        sleep(Duration::from_millis(10));
    }
}

/// The same, at this moment.
pub(crate) fn left(before: &Snapshot, scope: &str, root: &Path) -> Vec<String> {
    let now = Snapshot::take();
    let mut leaks: Vec<String> = before.new_in(&now, scope).into_iter().cloned().collect();
    leaks.extend(descendants().into_iter().map(|pid| format!("process {}", describe(pid))));
    leaks.extend(state(root).into_iter().map(|path| format!("state {}", path.display())));
    leaks
}

/// Ends what a failed test left, so that one failure does not become many.
pub(crate) fn sweep(scope: &str) {
    for pid in descendants() {
        let _ = kill_process(pid, Signal::KILL);
        let _ = waitpid(Some(pid), WaitOptions::empty());
    }
    let own = |trace: &String| trace.contains(scope);
    for trace in cgroups().filter(own).collect::<BTreeSet<_>>().iter().rev() {
        let _ = fs::remove_dir(trace.trim_start_matches("cgroup "));
    }
    for trace in mounts().filter(own) {
        let _ = Command::new("umount").arg("-l").arg(trace.rsplit(' ').next().unwrap_or_default()).status();
    }
}

/// True when the text names a scope, and another one than `scope`.
fn is_foreign(text: &str, scope: &str) -> bool {
    scope_in(text).is_some_and(|found| found != scope)
}

/// The scope (`e2e-<pid>-<n>`) that a path, id or trace names.
fn scope_in(text: &str) -> Option<&str> {
    let found = &text[text.find(PREFIX)?..];
    let numbers = &found[PREFIX.len()..];
    let dash = numbers.find('-')?;
    let last = numbers[dash + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(numbers.len() - dash - 1);
    Some(&found[..PREFIX.len() + dash + 1 + last])
}

/// Mounts of this process's mount namespace: `mount <copies> of <type>:<root> at <target>`. Mount ids are left out, for they are
/// reused; that two mounts can lie on one target is seen by counting them.
fn mounts() -> impl Iterator<Item = String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("read the mount table");
    let mut seen = BTreeSet::new();
    for line in table.lines() {
        let mut copies = 1;
        let (before, after) = line.split_once(" - ").expect("mountinfo has a separator");
        let mut fields = before.split(' ').skip(3);
        let (root, target) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let kind = after.split(' ').next().unwrap_or_default();
        while !seen.insert(format!("mount {copies} of {kind}:{root} at {target}")) {
            copies += 1;
        }
    }
    seen.into_iter()
}

/// Directories of the cgroup hierarchies (v1, hybrid or v2) that lie under a `nucleus` directory or name a scope. The
/// `nucleus` directory itself is shared by all containers and may stay.
fn cgroups() -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    collect_cgroups(Path::new("/sys/fs/cgroup"), 0, &mut found);
    found.into_iter().map(|path| format!("cgroup {}", path.display()))
}

fn collect_cgroups(directory: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    // A cgroup that vanishes while we look is none that is left.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if depth > 12 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let text = entry.path().to_string_lossy().into_owned();
        if text.contains("/nucleus/") || text.contains(PREFIX) {
            found.push(entry.path());
        }
        collect_cgroups(&entry.path(), depth + 1, found);
    }
}

fn names(kind: &'static str, directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(move |entry| format!("{kind} {}", entry.path().display()))
}

/// The host's nftables rules, where `nft` is installed.
fn firewall_rules() -> Option<String> {
    let output = Command::new("nft").args(["list", "ruleset"]).output().ok()?;
    Some(format!("firewall {}", String::from_utf8_lossy(&output.stdout)))
}

/// Everything that `--root` still holds. The directory itself may stay, and what backends know of this host.
fn state(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| !path.ends_with(".memory")).collect()
}

/// All living descendants of this process. The dead among its own children are reaped on the way, unless the test
/// still waits for them itself.
fn descendants() -> Vec<Pid> {
    let me = rustix::process::getpid();
    let parents: Vec<(Pid, Pid)> = processes().collect();
    let mut family = vec![me];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(parents.iter().filter(|(_, its)| *its == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family.split_off(1)
}

/// `(pid, parent)` of each process that is not a zombie.
fn processes() -> impl Iterator<Item = (Pid, Pid)> {
    reap();
    let entries = fs::read_dir("/proc").expect("list /proc").flatten();
    entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The command's name may hold spaces and brackets: fields are counted from the last bracket (proc_pid_stat(5)).
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let parent = Pid::from_raw(fields.next()?.parse().ok()?)?;
        (state != "Z").then_some((pid, parent))
    })
}

/// Takes the exit statuses of orphans that were given to this subreaper. Called only while no [`crate::Running`] is
/// being waited for: a [`crate::Host`] outlives them all.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

fn describe(pid: Pid) -> String {
    let directory = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let command = fs::read(directory.join("cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    let cgroup = fs::read_to_string(directory.join("cgroup")).unwrap_or_default();
    let cgroup = cgroup.lines().find(|line| line.contains("nucleus")).unwrap_or("no cgroup of nucleus");
    format!("{} `{}` in {cgroup}", pid.as_raw_nonzero(), command.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_scope_is_told_from_ones_own() {
        assert!(is_foreign("cgroup /sys/fs/cgroup/pids/nucleus/e2e-12-0-c1", "e2e-1-0"));
        assert!(is_foreign("mount tmpfs at /run/nucleus-test/e2e-1-01/state", "e2e-1-0"));
        assert!(!is_foreign("cgroup /sys/fs/cgroup/pids/nucleus/e2e-1-0-c1", "e2e-1-0"));
        assert!(!is_foreign("mount tmpfs at /run/nucleus-test/e2e-1-0/state", "e2e-1-0"));
        assert!(!is_foreign("cgroup /sys/fs/cgroup/pids/nucleus/autumn-leaf", "e2e-1-0"));
    }

    #[test]
    fn a_new_trace_is_seen_and_an_old_one_is_not() {
        let before = Snapshot { traces: ["file /run/nucleus".to_owned()].into() };
        let after =
            Snapshot { traces: ["file /run/nucleus".to_owned(), "cgroup /nucleus/x".to_owned()].into() };
        assert_eq!(before.new_in(&after, "e2e-1-0"), ["cgroup /nucleus/x"]);
        assert!(after.new_in(&after, "e2e-1-0").is_empty());
    }
}
