//! A canary is a secret, and is looked for wherever it should not be.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use nucleus_tests::{Host, Running};
use rustix::process::Signal;

use super::{from_file, profile, secret_file, with_descriptor};

/// The secrets hold this, and no file that is not one of them.
const CANARY: &[u8] = b"canary-7b1e93c0-";

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY)
}

/// A secret of each kind, every one a canary.
fn canaries(host: &Host) -> (Vec<String>, PathBuf) {
    let directory = host.path("credentials");
    fs::create_dir(&directory).unwrap();
    let named = |name: &str| secret_file(host, name, [CANARY, name.as_bytes()].concat());
    named("credentials/db");
    let secrets = vec![
        from_file(&named("file"), "name: file"),
        "{source: {env: NUCLEUS_TEST_TOKEN}, name: env}".to_owned(),
        "{source: {fd: 7}, name: fd}".to_owned(),
        format!("{{source: {{command: [/bin/cat, {}]}}, name: command}}", named("command").display()),
        "{source: {credential: db}, name: credential}".to_owned(),
    ];
    (secrets, named("piped"))
}

/// A workload with all of them that has started and waits for a line. It looks at none.
fn waiting(host: &Host, id: &str) -> Running {
    let (secrets, piped) = canaries(host);
    let shared = crate::open_directory(host, "shared");
    let call = host.nucleus("run").profile(profile(host, &secrets, "")).args(["--id", id, "--no-tty"]);
    let call = call.args(["--log", host.path("log").to_str().unwrap()]);
    let call = call.arg("--volume").arg(crate::writable(&shared, "/shared"));
    let script = "[ -s /run/secrets/fd ] && : > /shared/ready; read line";
    let call = call.env("NUCLEUS_TEST_TOKEN", "canary-7b1e93c0-env").command(["/bin/sh", "-c", script]);
    let call = call.env("CREDENTIALS_DIRECTORY", host.path("credentials"));
    let mut running = with_descriptor(call.stdin_open(), 7, &piped).spawn();
    running.wait_for_file(&shared.join("ready"));
    running
}

/// What of a process can be read as its memory, and holds the canary.
fn in_memory_of(pid: i32) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for line in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r')))
    {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|number| u64::from_str_radix(number, 16).unwrap());
        // Some of the kernel's own ([vvar]) cannot be read.
        let mut bytes = Vec::new();
        if memory.seek(SeekFrom::Start(start)).is_ok() {
            let _ = Read::by_ref(&mut memory).take(end - start).read_to_end(&mut bytes);
        }
        if holds(&bytes) {
            found.push(line.to_owned());
        }
    }
    found
}

/// Every file below a directory that holds the canary.
fn in_files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(in_files_below(&entry.path()));
        } else if kind.is_file() && holds(&fs::read(entry.path()).unwrap()) {
            found.push(entry.path());
        }
    }
    found
}

#[track_caller]
fn assert_none(found: &[PathBuf]) {
    assert!(found.is_empty(), "the canary is in {found:?}");
}

/// `/proc/<pid>/<file>` of every process, where it holds the canary.
fn in_proc(file: &str) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    let files = processes.map(|entry| entry.path().join(file));
    files.filter(|path| holds(&fs::read(path).unwrap_or_default())).collect()
}

#[test]
fn the_search_finds_a_canary() {
    let host = Host::enter();
    let mine = [CANARY, b"in memory"].concat();
    assert!(!in_memory_of(i32::try_from(std::process::id()).unwrap()).is_empty());
    let path = host.file("mine", &mine);
    assert_eq!(in_files_below(&host.path("")), [path]);
}

/// In the state, the logs, any process' environment or words, the memory of nucleus, and the host's mounts.
#[test]
fn nothing_of_it_is_left_outside_while_the_workload_runs() {
    let host = Host::enter();
    let id = host.fresh_id();
    let mut running = waiting(&host, &id);
    let pid = running.pid().as_raw_nonzero().get();
    assert!(host.root().join(&id).join("state.json").exists(), "there is a state to search");
    assert_none(&in_files_below(&host.root()));
    assert!(!holds(&fs::read(host.path("log")).unwrap_or_default()));
    assert_none(&in_proc("environ"));
    assert_none(&in_proc("cmdline"));
    assert_eq!(in_memory_of(pid), [""; 0], "the memory of nucleus");
    for table in ["/proc/1/mountinfo", "/proc/self/mountinfo", &format!("/proc/{pid}/mountinfo")] {
        let mounts = fs::read_to_string(table).unwrap();
        assert!(!mounts.contains("secrets"), "{table}:\n{mounts}");
    }
    let other =
        host.shell(crate::BASE, "grep secrets /proc/self/mountinfo; ls /run/secrets 2>/dev/null; true");
    assert_eq!(other.output().assert_success().text(), "", "another container");
    let table = host.nucleus("state").arg(&id).output().assert_success();
    assert!(!holds(&table.stdout));
    drop(running.stdin());
    running.wait();
    assert_none(&in_files_below(&host.root()));
}

/// Also what is written and removed again counts.
#[test]
fn nucleus_writes_it_to_the_secrets_own_file_system_alone() {
    let host = Host::enter();
    let (secrets, piped) = canaries(&host);
    let mut secrets = secrets;
    secrets.push(format!("{{source: {{file: {}}}, env: TOKEN}}", host.path("file").display()));
    let log = host.path("strace");
    let call = host.shell(profile(&host, &secrets, ""), "[ -n \"$TOKEN\" ]");
    let call = call
        .env("NUCLEUS_TEST_TOKEN", "canary-7b1e93c0-env")
        .env("CREDENTIALS_DIRECTORY", host.path("credentials"));
    let strace = "exec 7<\"$0\"; log=$1; shift; exec strace -f -y -s 4096 -o \"$log\" \
        -e trace=write,writev,pwrite64,pwritev,sendto,sendmsg,process_vm_writev,memfd_create,splice,sendfile,execve \"$@\"";
    let words = ["/bin/sh".as_ref(), "-c".as_ref(), strace.as_ref(), piped.as_os_str(), log.as_os_str()];
    call.through(words).output().assert_success();
    let text = fs::read_to_string(&log).unwrap();
    let told: Vec<&str> = text.lines().filter(|line| line.contains("canary-7b1e93c0-")).collect();
    let to_the_store = |line: &&&str| {
        let target =
            line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(path, _)| path);
        line.contains("write(") && target.starts_with('/') && target.matches('/').count() == 1
    };
    // `cat` writes to its standard output, which is a pipe to nucleus.
    let by_cat = |line: &&&str| line.contains("write(1<pipe:");
    assert!(
        told.iter().filter(to_the_store).count() >= 6,
        "each secret is seen on its way:\n{}",
        told.join("\n")
    );
    let elsewhere: Vec<_> = told.iter().filter(|line| !to_the_store(line) && !by_cat(line)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

/// A crash while nucleus stages: one secret is staged, and the next keeps it waiting.
#[test]
fn a_crash_leaves_no_core_and_nothing_that_runs() {
    let host = Host::enter();
    for signal in [Signal::ABORT, Signal::ILL] {
        let directory = host.path(&format!("cores-{}", signal.as_raw()));
        fs::create_dir(&directory).unwrap();
        let file = secret_file(&host, "first", CANARY);
        let ready = directory.join("ready");
        let script = format!(": > {}; sleep 60", ready.display());
        let secrets = [
            from_file(&file, "name: first"),
            "{source: {env: NUCLEUS_TEST_TOKEN}, name: env}".to_owned(),
            format!("{{source: {{command: [/bin/sh, -c, \"{script}\"], timeout: 50s}}, name: slow}}"),
        ];
        let call = host.shell(profile(&host, &secrets, ""), "true").current_dir(&directory).detached();
        let call = call.env("NUCLEUS_TEST_TOKEN", "canary-7b1e93c0-env");
        let mut running = call.through(["/bin/sh", "-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]).spawn();
        running.wait_for_file(&ready);
        let pid = running.pid().as_raw_nonzero().get();
        assert_eq!(in_memory_of(pid), [""; 0], "the memory of nucleus");
        assert_none(&in_proc("environ"));
        running.signal(signal);
        let output = running.wait();
        assert_eq!(output.signal(), Some(signal.as_raw()), "{output}");
        assert!(!output.status.core_dumped(), "{output}");
        let left: Vec<_> =
            fs::read_dir(&directory).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["ready"]);
        host.wait_until("the command is gone", || in_proc_words("sleep\u{0}60").is_empty());
        host.nucleus("gc").output().assert_code(0);
        assert_none(&in_files_below(&host.root()));
    }
    host.assert_no_leak();
}

/// Processes that descend from this test and have these words.
fn in_proc_words(words: &str) -> Vec<PathBuf> {
    let own = std::process::id();
    let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    let paths = children.split_whitespace().map(|pid| PathBuf::from(format!("/proc/{pid}/cmdline")));
    paths.filter(|path| fs::read_to_string(path).is_ok_and(|found| found.contains(words))).collect()
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
