//! A canary is a secret, and is looked for wherever it should not be.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use nucleus_tests::{Host, Nucleus, Running};
use rustix::process::Signal;

use super::{from_file, profile, secret_file, with_descriptor};

/// What all secrets of a test begin with, and no file that is not one of them holds. Each test has its own: others run
/// beside it.
pub(crate) struct Canary(pub(crate) String);

impl Canary {
    pub(crate) fn of(host: &Host) -> Self {
        Self(format!("canary-of-{}-", host.scope()))
    }

    pub(crate) fn sings_in(&self, bytes: &[u8]) -> bool {
        contains(bytes, self.0.as_bytes())
    }

    /// A file with a secret.
    pub(crate) fn file(&self, host: &Host, name: &str) -> PathBuf {
        secret_file(host, name, format!("{}{name}", self.0))
    }

    /// What of a process can be read as its memory, and holds the canary.
    pub(crate) fn in_memory_of(&self, pid: i32) -> Vec<String> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let mut memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
        let readable = |line: &&str| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r'));
        let mut found = Vec::new();
        for line in maps.lines().filter(readable) {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [start, end] = [start, end].map(|number| u64::from_str_radix(number, 16).unwrap());
            // Some of the kernel's own ([vvar]) cannot be read.
            let mut bytes = Vec::new();
            if memory.seek(SeekFrom::Start(start)).is_ok() {
                let _ = Read::by_ref(&mut memory).take(end - start).read_to_end(&mut bytes);
            }
            if self.sings_in(&bytes) {
                found.push(line.to_owned());
            }
        }
        found
    }

    /// Every file below a directory that holds the canary.
    pub(crate) fn in_files_below(&self, directory: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                found.extend(self.in_files_below(&entry.path()));
            } else if kind.is_file() && self.sings_in(&fs::read(entry.path()).unwrap()) {
                found.push(entry.path());
            }
        }
        found
    }

    /// `/proc/<pid>/<file>` of every process, where it holds the canary.
    pub(crate) fn in_proc(&self, file: &str) -> Vec<PathBuf> {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let processes = processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
        let files = processes.map(|entry| entry.path().join(file));
        files.filter(|path| self.sings_in(&fs::read(path).unwrap_or_default())).collect()
    }
}

#[track_caller]
pub(crate) fn assert_none(found: &[PathBuf]) {
    assert!(found.is_empty(), "the canary is in {found:?}");
}

/// A secret of each kind, every one a canary; with the file that is to be descriptor 7.
fn of_each_kind(host: &Host, canary: &Canary) -> (Vec<String>, PathBuf) {
    fs::create_dir(host.path("credentials")).unwrap();
    canary.file(host, "credentials/db");
    let secrets = vec![
        from_file(&canary.file(host, "file"), "name: file"),
        "{source: {env: NUCLEUS_TEST_TOKEN}, name: env}".to_owned(),
        "{source: {fd: 7}, name: fd}".to_owned(),
        format!(
            "{{source: {{command: [/bin/cat, {}]}}, name: command}}",
            canary.file(host, "command").display()
        ),
        "{source: {credential: db}, name: credential}".to_owned(),
    ];
    (secrets, canary.file(host, "piped"))
}

/// A workload with all of them that has started and waits for a line. It looks at none.
fn waiting(host: &Host, canary: &Canary, id: &str) -> Running {
    let (secrets, piped) = of_each_kind(host, canary);
    let shared = crate::open_directory(host, "shared");
    let call = host.nucleus("run").profile(profile(host, &secrets, "")).args(["--id", id, "--no-tty"]);
    let call = call.global("--log").global(host.path("log"));
    let call = call.arg("--volume").arg(crate::writable(&shared, "/shared"));
    let script = "[ -s /run/secrets/fd ] && : > /shared/ready; read line";
    let call = call.command(["/bin/sh", "-c", script]).env("NUCLEUS_TEST_TOKEN", format!("{}env", canary.0));
    let call = call.env("CREDENTIALS_DIRECTORY", host.path("credentials"));
    let mut running = with_descriptor(call.stdin_open(), 7, &piped).spawn();
    running.wait_for_file(&shared.join("ready"));
    running
}

#[test]
fn the_search_finds_a_canary() {
    let host = Host::enter();
    let canary = Canary::of(&host);
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(!canary.in_memory_of(own).is_empty());
    let path = canary.file(&host, "mine");
    assert_eq!(canary.in_files_below(&host.path("")), [path]);
    let mut sleeping = std::process::Command::new("sleep").arg("60").env("X", &canary.0).spawn().unwrap();
    host.wait_until("its environment is seen", || !canary.in_proc("environ").is_empty());
    sleeping.kill().and_then(|()| sleeping.wait()).unwrap();
}

/// In the state, the logs, any process' environment or words, the memory of nucleus, and the host's mounts.
#[test]
fn nothing_of_it_is_left_outside_while_the_workload_runs() {
    let host = Host::enter();
    let (id, canary) = (host.fresh_id(), Canary::of(&host));
    let mut running = waiting(&host, &canary, &id);
    let pid = running.pid().as_raw_nonzero().get();
    assert!(host.root().join(&id).join("state.json").exists(), "there is a state to search");
    assert_none(&canary.in_files_below(&host.root()));
    assert!(!canary.sings_in(&fs::read(host.path("log")).unwrap_or_default()));
    assert_none(&canary.in_proc("environ"));
    assert_none(&canary.in_proc("cmdline"));
    assert_eq!(canary.in_memory_of(pid), [""; 0], "the memory of nucleus");
    assert!(
        !PathBuf::from(format!("/proc/{pid}/fd/7")).exists(),
        "the descriptor that it came through is closed"
    );
    for table in ["/proc/1/mountinfo", "/proc/self/mountinfo", &format!("/proc/{pid}/mountinfo")] {
        let mounts = fs::read_to_string(table).unwrap();
        assert!(!mounts.contains("- tmpfs secrets"), "{table}:\n{mounts}");
    }
    let other = "grep secrets /proc/self/mountinfo; ls /run/secrets 2>/dev/null; true";
    assert_eq!(host.shell(crate::BASE, other).output().assert_success().text(), "", "another container");
    let state = host.nucleus("state").arg(&id).output().assert_success();
    assert!(!canary.sings_in(&state.stdout));
    drop(running.stdin());
    running.wait();
    assert_none(&canary.in_files_below(&host.root()));
}

/// A call of nucleus that writes down what its memory holds when it ends; with `piped` as descriptor 7.
fn looked_at_when_it_ends(call: Nucleus, piped: &Path, dump: &Path) -> Nucleus {
    let shell = ["/bin/sh", "-c", "exec 7<\"$0\" && exec \"$@\""].map(std::ffi::OsStr::new);
    let looking = [piped.as_os_str(), env!("CARGO_BIN_EXE_at_exit").as_ref(), dump.as_os_str()];
    call.through(shell.into_iter().chain(looking))
}

/// However it ends: well, without a program to start, and while it still stages.
#[test]
fn the_memory_of_nucleus_holds_nothing_of_it_at_its_end() {
    let host = Host::enter();
    let canary = Canary::of(&host);
    let (mut secrets, piped) = of_each_kind(&host, &canary);
    secrets.push(format!("{{source: {{file: {}}}, env: TOKEN}}", host.path("file").display()));
    let whole = profile(&host, &secrets, "");
    let missing = host.path("missing");
    secrets.push(from_file(&missing, "name: missing"));
    let broken = profile(&host, &secrets, "");
    let command = "[ -n \"$TOKEN\" ] && [ -s /run/secrets/env ] && [ -s /run/secrets/fd ] && exit 42";
    let ends: [(_, &[&str], _); 3] = [
        (&whole, &["/bin/sh", "-c", command], 42),
        (&whole, &["/no/such/program"], 127),
        (&broken, &["/bin/sh", "-c", command], 125),
    ];
    for (profile, words, code) in ends {
        let dump = host.path(&format!("dump-{code}"));
        let call = host.nucleus("run").profile(profile).arg("--no-tty").command(words);
        let call = call.env("NUCLEUS_TEST_TOKEN", format!("{}env", canary.0));
        let call = call.env("CREDENTIALS_DIRECTORY", host.path("credentials"));
        looked_at_when_it_ends(call, &piped, &dump).output().assert_code(code);
        let memory = fs::read(&dump).unwrap();
        assert!(contains(&memory, b"NUCLEUS_TEST_TOKEN="), "the memory that was written down is nucleus'");
        let place = memory.windows(canary.0.len()).position(|window| window == canary.0.as_bytes());
        let around =
            place.map(|at| String::from_utf8_lossy(&memory[at.saturating_sub(64)..at + 64]).into_owned());
        assert_eq!(around, None, "an end with {code}");
    }
}

#[test]
fn the_search_at_the_end_finds_a_canary_in_an_ordinary_variable() {
    let host = Host::enter();
    let (canary, dump) = (Canary::of(&host), host.path("dump"));
    let call = host.shell(crate::BASE, "true").env("ORDINARY", &canary.0);
    looked_at_when_it_ends(call, Path::new("/dev/null"), &dump).output().assert_success();
    assert!(canary.sings_in(&fs::read(&dump).unwrap()));
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

/// Also what is written and removed again counts.
#[test]
fn nucleus_writes_it_to_the_secrets_own_file_system_alone() {
    const WRITING: &str = "trace=write,writev,pwrite64,pwritev,sendto,sendmsg,process_vm_writev,memfd_create,splice,\
        sendfile,copy_file_range,execve";
    let host = Host::enter();
    let canary = Canary::of(&host);
    let (mut secrets, piped) = of_each_kind(&host, &canary);
    secrets.push(format!("{{source: {{file: {}}}, env: TOKEN}}", host.path("file").display()));
    let log = host.path("strace");
    let call = host.shell(profile(&host, &secrets, ""), "[ -n \"$TOKEN\" ]");
    let call = call.env("NUCLEUS_TEST_TOKEN", format!("{}env", canary.0));
    let call = call.env("CREDENTIALS_DIRECTORY", host.path("credentials"));
    let strace = ["strace", "-f", "-y", "-s", "4096", "-e", WRITING, "-o"].map(std::ffi::OsStr::new);
    let shell = ["/bin/sh", "-c", "exec 7<\"$0\" && exec \"$@\""].map(std::ffi::OsStr::new);
    let words = shell.into_iter().chain([piped.as_os_str()]).chain(strace).chain([log.as_os_str()]);
    call.through(words).output().assert_success();
    let text = fs::read_to_string(&log).unwrap();
    let told: Vec<&str> = text.lines().filter(|line| canary.sings_in(line.as_bytes())).collect();
    // A path of one part: the file hangs nowhere.
    let to_the_store = |line: &&&str| {
        let target = line.split_once("write(").and_then(|(_, rest)| rest.split_once('<')?.1.split_once('>'));
        target.is_some_and(|(path, _)| path.starts_with('/') && path.matches('/').count() == 1)
    };
    // `cat` writes to its standard output, which is a pipe to nucleus.
    let by_cat = |line: &&&str| line.contains("write(1<pipe:");
    assert!(told.iter().filter(to_the_store).count() >= 6, "each is seen on its way:\n{}", told.join("\n"));
    let elsewhere: Vec<_> = told.iter().filter(|line| !to_the_store(line) && !by_cat(line)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

/// A crash while nucleus stages: secrets are staged, and the next keeps it waiting.
#[test]
fn a_crash_leaves_no_core_and_nothing_that_runs() {
    let host = Host::enter();
    let canary = Canary::of(&host);
    for signal in [Signal::ABORT, Signal::ILL] {
        let directory = host.path(&format!("cores-{}", signal.as_raw()));
        fs::create_dir(&directory).unwrap();
        let ready = directory.join("ready");
        let script = format!(": > {}; sleep 60", ready.display());
        let secrets = [
            from_file(&canary.file(&host, "first"), "name: first"),
            "{source: {env: NUCLEUS_TEST_TOKEN}, name: env}".to_owned(),
            format!("{{source: {{command: [/bin/sh, -c, \"{script}\"], timeout: 50s}}, name: slow}}"),
        ];
        let call = host.shell(profile(&host, &secrets, ""), "true").current_dir(&directory).detached();
        let call = call.env("NUCLEUS_TEST_TOKEN", format!("{}env", canary.0));
        let mut running = call.through(["/bin/sh", "-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]).spawn();
        running.wait_for_file(&ready);
        let pid = running.pid().as_raw_nonzero().get();
        assert_eq!(canary.in_memory_of(pid), [""; 0], "the memory of nucleus");
        assert_none(&canary.in_proc("environ"));
        running.signal(signal);
        let output = running.wait();
        assert_eq!(output.signal(), Some(signal.as_raw()), "{output}");
        assert!(!output.status.core_dumped(), "{output}");
        let left: Vec<_> =
            fs::read_dir(&directory).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["ready"]);
        // Whatever outlives nucleus becomes a child of this test.
        host.wait_until("the command is gone", || !children().contains(&"sleep\u{0}60\u{0}".to_owned()));
        host.nucleus("gc").output().assert_code(0);
        assert_none(&canary.in_files_below(&host.root()));
    }
    host.assert_no_leak();
}

/// The words of this process' children.
fn children() -> Vec<String> {
    let own = std::process::id();
    let threads = fs::read_dir(format!("/proc/{own}/task")).unwrap().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let pids: Vec<String> =
        lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    pids.iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()).collect()
}

/// The same crash without secrets leaves a core: the test above can fail.
#[test]
fn without_secrets_a_crash_leaves_a_core_where_the_host_wants_it() {
    let host = Host::enter();
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.starts_with('|') {
        return nucleus_tests::skip("cores of this host go to a program");
    }
    let directory = host.path("cores");
    fs::create_dir(&directory).unwrap();
    let shared = crate::open_directory(&host, "shared");
    let call = host.shell(crate::BASE, ": > /shared/ready; sleep 60").current_dir(&directory).detached();
    let call = call.arg("--volume").arg(crate::writable(&shared, "/shared"));
    let mut running = call.through(["/bin/sh", "-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]).spawn();
    running.wait_for_file(&shared.join("ready"));
    running.signal(Signal::ABORT);
    let output = running.wait();
    assert!(output.status.core_dumped(), "{output}");
    host.nucleus("gc").output().assert_code(0);
}

/// `--env-from` takes what nucleus sees; a secret comes to the workload as the secret says, and in no other way.
#[test]
fn a_variable_that_is_a_secret_is_not_passed_on_beside_it() {
    let host = Host::enter();
    let canary = Canary::of(&host);
    let secrets = ["{source: {env: NUCLEUS_TEST_TOKEN}, name: it}".to_owned()];
    let profile = profile(&host, &secrets, "");
    let run = |flags: &[&str]| {
        let call = host.nucleus("run").profile(&profile).arg("--no-tty").args(flags);
        let call =
            call.command(["/bin/sh", "-c", "cat /run/secrets/it; tr '\\0' '\\n' < /proc/self/environ"]);
        call.env("NUCLEUS_TEST_TOKEN", &canary.0).env("OTHER", "passed").output()
    };
    let words = ["NUCLEUS_TEST_TOKEN", "secrets[0]", "--env-from"];
    let refused = run(&["--env-from", "NUCLEUS_TEST_TOKEN"]).assert_refused(&words);
    assert!(!canary.sings_in(refused.stderr.as_bytes()) && refused.stdout.is_empty(), "{refused}");
    let output = run(&["--env-from", "OTHER"]).assert_success();
    assert_eq!(output.text().matches(canary.0.as_str()).count(), 1, "the file alone has it: {output}");
    assert!(output.text().contains("OTHER=passed"), "{output}");
}
