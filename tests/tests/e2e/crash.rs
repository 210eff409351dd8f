//! `kill -9` at any instant: `gc` removes what is left, without a trace.
//!
//! strace injects SIGKILL at a chosen system call of nucleus itself (not of what it starts).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_tests::{Bundle, Container, Host, Nucleus};

use crate::DEV;

/// A workload that runs on after nucleus is dead, unless something ends it.
const WORKLOAD: [&str; 3] = ["/bin/sh", "-c", "sleep 0.05; exit 0"];

fn call(host: &Host, id: &str) -> Nucleus {
    let limits = ["--no-tty", "--memory", "64M", "--pids", "16"];
    host.nucleus("run").profile(DEV).args(["--id", id]).args(limits).command(WORKLOAD)
}

/// What is killed, and how its remains are removed.
struct Subject<'a> {
    /// A call of nucleus for a container of this id.
    call: &'a dyn Fn(&str) -> Nucleus,
    /// Removes what may be left of it.
    clean_up: &'a dyn Fn(&str),
}

/// Starts nucleus and kills it at an invocation of a system call; true when that point was reached.
fn killed_at(call: Nucleus, filter: &[String]) -> bool {
    let strace = ["strace", "-o", "/dev/null"].map(str::to_owned);
    let output = call.through(strace.iter().chain(filter)).timeout(Duration::from_secs(30)).output();
    // strace ends the way its child ended.
    assert!(output.signal() == Some(9) || output.code() == Some(0), "{filter:?}\n{output}");
    output.signal() == Some(9)
}

/// One system call of an undisturbed run.
struct Point {
    name: String,
    /// How many of its kind came before, itself included: strace counts that way.
    count: usize,
    /// Whether it adds an entry to the ledger.
    is_ledger_entry: bool,
}

impl Point {
    /// Kills nucleus as it enters this call, in a run of its own; true when the run came so far.
    fn kill(&self, host: &Host, subject: &Subject<'_>) -> bool {
        let filter = ["-e".to_owned(), format!("inject={}:signal=KILL:when={}", self.name, self.count)];
        let id = host.fresh_id();
        let reached = killed_at((subject.call)(&id), &filter);
        (subject.clean_up)(&id);
        let leaks = host.leaks();
        let point = format!("{} number {}", self.name, self.count);
        assert!(leaks.is_empty(), "left after a kill at {point}:\n  {}", leaks.join("\n  "));
        reached
    }
}

/// The system calls of an undisturbed run, in order. The first, execve, is strace's own and left out.
fn points(host: &Host, subject: &Subject<'_>) -> Vec<Point> {
    let (log, id) = (host.path("strace"), host.fresh_id());
    let strace = ["strace".into(), "-y".into(), "-o".into(), log.clone().into_os_string()];
    (subject.call)(&id).through(strace).output().assert_success();
    (subject.clean_up)(&id);
    let mut counts = BTreeMap::<String, usize>::new();
    let text = fs::read_to_string(&log).expect("strace wrote its log");
    let calls = text.lines().filter_map(|line| line.split_once('('));
    let points = calls.filter(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let points = points.map(|(name, arguments)| {
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        let target = arguments.split(',').next().unwrap_or_default();
        let is_ledger_entry = name.contains("write") && target.ends_with("/ledger>");
        Point { name: name.to_owned(), count: *count, is_ledger_entry }
    });
    points.filter(|point| point.name != "execve").collect()
}

/// Kills it once as each entry is about to be written (the effect of the one before is made), and once right after it (its
/// own effect is not made yet).
fn kill_around_each_ledger_entry(host: &Host, subject: &Subject<'_>) {
    let points = points(host, subject);
    let entries: Vec<usize> = (0..points.len()).filter(|at| points[*at].is_ledger_entry).collect();
    assert!(entries.len() >= 3, "it writes some entries; {} were seen", entries.len());
    let instants = entries.iter().flat_map(|at| [*at, at + 1]).filter_map(|at| points.get(at));
    let reached = instants.filter(|point| point.kill(host, subject)).count();
    assert!(reached > entries.len(), "only {reached} instants around {} entries were reached", entries.len());
}

/// Kills it at sixty of its system calls.
fn kill_at_any_system_call(host: &Host, subject: &Subject<'_>) {
    kill_at_some_system_calls(host, subject, 60);
}

/// Kills it at so many of its system calls, from the first to the last.
fn kill_at_some_system_calls(host: &Host, subject: &Subject<'_>, instants: usize) {
    let points = points(host, subject);
    let step = points.len().div_ceil(instants);
    let reached = points.iter().step_by(step).filter(|point| point.kill(host, subject)).count();
    let wanted = instants * 2 / 3;
    assert!(reached >= wanted, "only {reached} instants of {} system calls were reached", points.len());
}

/// `gc` has to find everything.
fn collect(host: &Host) {
    let output = host.nucleus("gc").output();
    assert_eq!(output.code(), Some(0), "gc after a kill\n{output}");
}

fn run<T>(test: impl FnOnce(&Host, &Subject<'_>) -> T) -> T {
    let host = Host::enter();
    test(&host, &Subject { call: &|id| call(&host, id), clean_up: &|_| collect(&host) })
}

/// The runtime and what it makes are processes of their own: each goes with its nucleus, or by what the ledger says.
fn run_by_an_oci_runtime(path: &str, test: impl FnOnce(&Host, &Subject<'_>)) {
    let host = Host::enter();
    let profile = by_an_oci_runtime(&host, path);
    let call = |id: &str| {
        let call = host.nucleus("run").profile(&profile).args(["--id", id, "--no-tty"]);
        call.command(WORKLOAD)
    };
    test(&host, &Subject { call: &call, clean_up: &|_| collect(&host) });
}

fn by_an_oci_runtime(host: &Host, path: &str) -> PathBuf {
    host.profile(
        DEV,
        &format!("backend: {{name: oci-runtime, options: {{path: {path}}}}}\nsecurity: {{landlock: off}}"),
    )
}

const CRUN: &str = "/usr/bin/crun";
const RUNC: &str = "/usr/sbin/runc";

/// A verb for a container that runs below an OCI runtime: whatever becomes of the call, the container can be deleted.
fn verb_of_an_oci_runtime(path: &str, verb: &str, words: &[&str]) {
    let host = Host::enter();
    let profile = by_an_oci_runtime(&host, path);
    let bundle = Bundle::new(&host, "bundle", &["sleep", "60"]).write();
    let call = |id: &str| {
        let create = host.nucleus("create").profile(&profile).arg("--bundle").arg(bundle.path());
        create.arg(id).detached().output().assert_success();
        host.nucleus("start").arg(id).output().assert_success();
        if verb == "resume" {
            host.nucleus("pause").arg(id).output().assert_success();
        }
        host.nucleus(verb).arg(id).args(words)
    };
    let clean_up = |id: &str| {
        collect(&host);
        host.nucleus("delete").args(["--force", id]).output().assert_success();
    };
    kill_at_some_system_calls(&host, &Subject { call: &call, clean_up: &clean_up }, 9);
}

/// Every verb but those that are killed above, and what it takes beside the container.
const VERBS: [(&str, &[&str]); 8] = [
    ("exec", &["/bin/true"]),
    ("kill", &["TERM"]),
    ("pause", &[]),
    ("resume", &[]),
    ("update", &["--memory", "300M"]),
    ("ps", &[]),
    ("state", &[]),
    ("events", &["--stats"]),
];

/// With secrets of which each file that is left would be found to hold some.
fn run_with_secrets(test: impl FnOnce(&Host, &Subject<'_>)) {
    let host = Host::enter();
    let secret = crate::secrets::secret_file(&host, "secret", "canary-5c0de");
    let list = [
        crate::secrets::from_file(&secret, "name: key, env: KEY"),
        format!("{{source: {{command: [/bin/cat, {}]}}, name: told}}", secret.display()),
    ];
    let profile = crate::secrets::profile(&host, &list, "");
    let clean_up = |_: &str| {
        let holds =
            |path: &Path| fs::read(path).is_ok_and(|bytes| bytes.windows(6).any(|part| part == b"canary"));
        let left: Vec<_> = files_below(&host.root()).into_iter().filter(|path| holds(path)).collect();
        assert!(left.is_empty(), "a secret is left in {left:?}");
        collect(&host);
    };
    let limits = ["--no-tty", "--memory", "64M", "--pids", "16"];
    let call =
        |id: &str| host.nucleus("run").profile(&profile).args(["--id", id]).args(limits).command(WORKLOAD);
    test(&host, &Subject { call: &call, clean_up: &clean_up });
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

/// What `gc` leaves must be whole: a container that was left to its engine.
fn create<T>(test: impl FnOnce(&Host, &Subject<'_>) -> T) -> T {
    let host = Host::enter();
    let bundle = Bundle::new(&host, "bundle", &["sleep", "60"]).write();
    let clean_up = |id: &str| {
        collect(&host);
        let state = host.nucleus("state").arg(id).output();
        match state.code() {
            Some(0) => assert_eq!(state.json()["status"], "created", "{state}"),
            _ => assert!(state.stderr.contains("container does not exist"), "{state}"),
        }
        host.nucleus("delete").args(["--force", id]).output().assert_success();
    };
    let call = |id: &str| Container::named(&host, id).creating(&bundle);
    test(&host, &Subject { call: &call, clean_up: &clean_up })
}

#[test]
fn nothing_is_left_after_a_kill_around_each_ledger_entry() {
    run(kill_around_each_ledger_entry);
}

#[test]
fn nothing_is_left_after_a_kill_at_any_system_call() {
    run(kill_at_any_system_call);
}

/// A context whose copy takes many system calls.
fn with_context<T>(test: impl FnOnce(&Host, &Subject<'_>) -> T) -> T {
    let host = Host::enter();
    let source = host.path("source");
    for directory in ["a/b", "c/d"] {
        fs::create_dir_all(source.join(directory)).unwrap();
        (0..10).for_each(|n| fs::write(source.join(format!("{directory}/{n}")), "content").unwrap());
    }
    let profile = host.profile(DEV, &format!("context: {{source: {}, verify: true}}", source.display()));
    let call = |id: &str| {
        let run = host.nucleus("run").profile(&profile).args(["--id", id, "--no-tty"]);
        run.command(WORKLOAD)
    };
    test(&host, &Subject { call: &call, clean_up: &|_| collect(&host) })
}

#[test]
fn nothing_of_a_context_is_left_after_a_kill_around_each_ledger_entry() {
    with_context(kill_around_each_ledger_entry);
}

#[test]
fn nothing_of_a_context_is_left_after_a_kill_at_any_system_call() {
    with_context(kill_at_any_system_call);
}

#[test]
fn no_secret_is_left_after_a_kill_around_each_ledger_entry() {
    run_with_secrets(kill_around_each_ledger_entry);
}

#[test]
fn no_secret_is_left_after_a_kill_at_any_system_call() {
    run_with_secrets(kill_at_any_system_call);
}

#[test]
fn nothing_of_crun_is_left_after_a_kill_around_each_ledger_entry() {
    run_by_an_oci_runtime(CRUN, kill_around_each_ledger_entry);
}

#[test]
fn nothing_of_crun_is_left_after_a_kill_at_any_system_call() {
    run_by_an_oci_runtime(CRUN, kill_at_any_system_call);
}

#[test]
fn nothing_of_runc_is_left_after_a_kill_around_each_ledger_entry() {
    run_by_an_oci_runtime(RUNC, kill_around_each_ledger_entry);
}

#[test]
fn nothing_of_runc_is_left_after_a_kill_at_any_system_call() {
    run_by_an_oci_runtime(RUNC, |host, subject| kill_at_some_system_calls(host, subject, 30));
}

#[test]
fn a_container_of_cruns_can_be_deleted_after_a_kill_in_any_verb() {
    for (verb, words) in VERBS {
        verb_of_an_oci_runtime(CRUN, verb, words);
    }
}

#[test]
fn a_container_of_runcs_can_be_deleted_after_a_kill_in_any_verb() {
    for (verb, words) in VERBS {
        verb_of_an_oci_runtime(RUNC, verb, words);
    }
}

#[test]
fn nothing_half_made_is_left_after_a_kill_around_each_ledger_entry_of_a_create() {
    create(kill_around_each_ledger_entry);
}

#[test]
fn nothing_half_made_is_left_after_a_kill_at_any_system_call_of_a_create() {
    create(kill_at_any_system_call);
}

/// Without `gc` there is something to find: the tests above can fail.
#[test]
fn a_killed_run_leaves_something_that_the_next_start_removes() {
    let host = Host::enter();
    let shared = crate::open_directory(&host, "shared");
    let id = host.fresh_id();
    let run = host.nucleus("run").profile(DEV).args(["--id", &id, "--no-tty", "--volume"]);
    let run = run.arg(crate::writable(&shared, "/shared"));
    let mut running = run.command(["/bin/sh", "-c", ": > /shared/ready; sleep 60"]).spawn();
    running.wait_for_file(&shared.join("ready"));
    running.signal(rustix::process::Signal::KILL);
    assert_eq!(running.wait().signal(), Some(9));
    assert!(!host.leaks_now().is_empty(), "the container's record outlives nucleus");
    // The next start may be any start.
    host.shell(DEV, "true").output().assert_success();
    host.assert_no_leak();
}

#[test]
fn gc_says_what_it_removed_and_leaves_the_living_alone() {
    let host = Host::enter();
    let shared = crate::open_directory(&host, "shared");
    let start = |name: &str| {
        let ready = format!(": > /shared/{name}; read line");
        let call =
            host.nucleus("run").profile(DEV).args(["--id", &format!("{}-{name}", host.scope()), "--no-tty"]);
        let call = call.args(["--volume", &crate::writable(&shared, "/shared")]);
        let mut running = call.command(["/bin/sh", "-c", &ready]).stdin_open().spawn();
        running.wait_for_file(&shared.join(name));
        running
    };
    let (mut living, dead) = (start("living"), start("dead"));
    dead.signal(rustix::process::Signal::KILL);
    dead.wait();
    let removed = host.nucleus("gc").args(["--format", "json"]).output().assert_success().json().to_string();
    assert!(removed.contains("-dead"), "{removed}");
    assert!(!removed.contains("-living"), "{removed}");
    drop(living.stdin());
    living.wait().assert_code(1);
}
