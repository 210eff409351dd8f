//! The last stage, really executed: gate, errors, exit statuses, init.

use std::ffi::{CStr, CString};
use std::io::{PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nucleus_sys::Pid;
use nucleus_sys::last_stage::{self, Arguments, Hook, HookFailure, Hooks, Report, Role};
use nucleus_sys::pidfd::{Exit, PidFd};
use nucleus_sys::process::{
    Stdio, become_subreaper, become_user, close_on_exec_from, exec_fd, replace_stdio, set_inheritable,
};
use nucleus_sys::signal::{Signal, SignalSet, reset_dispositions, set_mask};
use nucleus_sys::terminal::{make_controlling, open_pty};

/// A process that runs the last stage, and the other ends of its channels.
struct Stage {
    process: PidFd,
    id: i32,
    gate: Option<UnixStream>,
    errors: UnixStream,
    report: PipeReader,
    output: UnixStream,
}

impl Stage {
    /// Executes `script` by a shell behind the last stage, with a gate if asked for by `gate`.
    fn shell(script: &str, role: Role, gate: Gate) -> Self {
        let argv = [c"sh".to_owned(), c"-c".to_owned(), CString::new(script).unwrap()];
        Self::run(c"/bin/sh", &argv, role, gate)
    }

    fn run(executable: &CStr, argv: &[CString], role: Role, gate: Gate) -> Self {
        Self::run_after(&[], executable, argv, role, gate)
    }

    fn run_after(hooks: &[Hook], executable: &CStr, argv: &[CString], role: Role, gate: Gate) -> Self {
        let state = state();
        let (report, report_inside) = std::io::pipe().unwrap();
        let (errors, errors_inside) = UnixStream::pair().unwrap();
        let (output, output_inside) = UnixStream::pair().unwrap();
        let (opener, gate_inside) = UnixStream::pair().unwrap();
        let gate_inside = (gate == Gate::Closed).then_some(&gate_inside);
        let arguments = Arguments {
            gate: gate_inside.map(AsFd::as_fd),
            errors: Some(errors_inside.as_fd()),
            report: Some(report_inside.as_fd()),
            hooks: (!hooks.is_empty()).then_some(Hooks { list: hooks, state: state.as_fd() }),
            role,
            ..Arguments::new(executable, argv)
        };
        let (process, id) = forked(&arguments.to_argv().unwrap(), || {
            become_subreaper()?;
            close_on_exec_from(3)?;
            set_inheritable(errors_inside.as_fd())?;
            set_inheritable(report_inside.as_fd())?;
            if !hooks.is_empty() {
                set_inheritable(state.as_fd())?;
            }
            gate_inside.map_or(Ok(()), |gate| set_inheritable(gate.as_fd()))?;
            replace_stdio(&output_inside, Stdio::Output)
        });
        Self { process, id, gate: (gate == Gate::Closed).then_some(opener), errors, report, output }
    }

    fn exit_code(&self) -> u8 {
        match self.process.wait().unwrap() {
            Exit::Exited { code } => code,
            signalled @ Exit::Signalled { .. } => panic!("{signalled:?}"),
        }
    }

    /// The number of the error, or `None` if the workload was executed.
    fn error(&mut self) -> Option<u32> {
        let mut bytes = Vec::new();
        self.errors.read_to_end(&mut bytes).unwrap();
        (!bytes.is_empty()).then(|| u32::from_le_bytes(bytes.try_into().unwrap()))
    }

    fn report(&mut self) -> Option<Report> {
        let mut bytes = Vec::new();
        self.report.read_to_end(&mut bytes).unwrap();
        Report::read(&bytes).unwrap()
    }

    fn line(&mut self) -> String {
        let (mut line, mut byte) = (String::new(), [0]);
        while self.output.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0].into());
        }
        line
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Reaped already where the test went well.
        let _ = self.process.send_signal(Signal::KILL);
        let _ = self.process.wait();
    }
}

/// What the hooks get as standard input.
fn state() -> std::fs::File {
    let memfd = rustix::fs::memfd_create(c"state", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = std::fs::File::from(memfd);
    file.write_all(b"the state\n").unwrap();
    file
}

/// A hook that is a shell's script.
fn hook(script: &str) -> Hook {
    Hook {
        executable: c"/bin/sh".to_owned(),
        argv: vec![c"hook".to_owned(), c"-c".to_owned(), CString::new(script).unwrap()],
        environment: vec![c"HOOK=own".to_owned()],
        timeout: 0,
    }
}

/// Executes the last stage with these arguments in a child process that has prepared itself.
fn forked(words: &[CString], prepare: impl FnOnce() -> std::io::Result<()>) -> (PidFd, i32) {
    let program = last_stage::sealed().unwrap();
    let environment = [c"WORD=kept".to_owned()];
    // SAFETY: libc's fork leaves malloc usable; the child only prepares and executes the last stage.
    let id = unsafe { libc::fork() };
    if id == 0 {
        let ready = reset_dispositions().and_then(|()| set_mask(SignalSet::EMPTY)).and_then(|_| prepare());
        let _ = ready.and_then(|()| exec_fd(program.as_fd(), words, &environment));
        // SAFETY: leaves without running the test harness's exit handlers.
        unsafe { libc::_exit(99) }
    }
    (PidFd::open(Pid::from_raw(id).unwrap()).unwrap(), id)
}

/// Waits until the exec of the last stage has happened.
fn executed(id: i32) -> String {
    let exe = format!("/proc/{id}/exe");
    let end = Instant::now() + Duration::from_secs(10);
    while !std::fs::read_link(&exe).unwrap().to_string_lossy().contains("memfd:nucleus-init") {
        assert!(Instant::now() < end, "not executed within 10 seconds");
        std::thread::yield_now();
    }
    exe
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    None,
    Closed,
}

const ROLES: [Role; 2] = [Role::Workload, Role::Init];

#[test]
fn status_arguments_and_environment_pass_through() {
    for role in ROLES {
        let mut stage = Stage::shell("echo $0 $WORD; exit 42", role, Gate::None);
        assert_eq!(stage.line(), "sh kept");
        assert_eq!(stage.exit_code(), 42);
        assert_eq!(stage.error(), None);
    }
}

#[test]
fn a_death_by_signal_is_told() {
    let plain = Stage::shell("kill -9 $$", Role::Workload, Gate::None);
    assert_eq!(plain.process.wait().unwrap(), Exit::Signalled { signal: 9, core_dumped: false });
    assert_eq!(Stage::shell("kill -9 $$", Role::Init, Gate::None).exit_code(), 137);
}

#[test]
fn the_gate_holds_until_a_byte_comes() {
    for role in ROLES {
        let mut stage = Stage::shell("echo started", role, Gate::Closed);
        assert!(!stage.process.wait_over(Some(Duration::from_millis(50))).unwrap());
        stage.output.set_nonblocking(true).unwrap();
        let early = stage.output.read(&mut [0]).unwrap_err();
        assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
        stage.output.set_nonblocking(false).unwrap();
        stage.gate.take().unwrap().write_all(&[0]).unwrap();
        assert_eq!(stage.line(), "started");
        assert_eq!(stage.exit_code(), 0);
    }
}

#[test]
fn a_gate_that_goes_away_ends_it() {
    let mut stage = Stage::shell("echo started", Role::Workload, Gate::Closed);
    drop(stage.gate.take());
    assert_eq!(stage.exit_code(), last_stage::FAILED);
    assert_eq!(stage.line(), "");
}

#[test]
fn what_cannot_be_executed_is_told_by_number_and_status() {
    let argv = [c"x".to_owned()];
    let cases = [
        (c"/nowhere", libc::ENOENT, last_stage::NOT_FOUND),
        (c"/etc/passwd/x", libc::ENOTDIR, last_stage::NOT_FOUND),
        (c"/etc/passwd", libc::EACCES, last_stage::NOT_EXECUTABLE),
        (c"/", libc::EACCES, last_stage::NOT_EXECUTABLE),
    ];
    for (role, (executable, number, status)) in
        ROLES.into_iter().flat_map(|role| cases.map(|case| (role, case)))
    {
        let mut stage = Stage::run(executable, &argv, role, Gate::None);
        assert_eq!(stage.error(), Some(number.cast_unsigned()), "{executable:?} {role:?}");
        assert_eq!(stage.exit_code(), status, "{executable:?} {role:?}");
    }
}

#[test]
fn init_reaps_orphans() {
    let script = "(sleep 0.01 & echo $!) ; read _ </dev/null; sleep 0.2; echo asked; sleep 60";
    let mut stage = Stage::shell(script, Role::Init, Gate::None);
    let orphan: i32 = stage.line().parse().unwrap();
    assert_eq!(stage.line(), "asked");
    // A zombie would still have its entry.
    assert!(!PathBuf::from(format!("/proc/{orphan}")).exists());
    stage.process.send_signal(Signal::TERM).unwrap();
    assert_eq!(stage.exit_code(), 143);
}

#[test]
fn init_passes_signals_on_with_an_open_mask() {
    let script = "trap 'echo usr1' USR1; trap 'exit 9' TERM; grep SigBlk /proc/self/status; while :; do sleep 0.01; done";
    let mut stage = Stage::shell(script, Role::Init, Gate::None);
    assert_eq!(stage.line(), "SigBlk:\t0000000000000000");
    stage.process.send_signal("USR1".parse().unwrap()).unwrap();
    assert_eq!(stage.line(), "usr1");
    stage.process.send_signal(Signal::TERM).unwrap();
    assert_eq!(stage.exit_code(), 9);
}

#[test]
fn real_time_signals_are_passed_on_too() {
    let stage = Stage::shell("exec sleep 60", Role::Init, Gate::Closed);
    stage.gate.as_ref().unwrap().write_all(&[1]).unwrap();
    let mut errors = &stage.errors;
    assert_eq!(errors.read(&mut [0; 4]).unwrap(), 0, "executed");
    stage.process.send_signal("RTMIN+2".parse().unwrap()).unwrap();
    assert_eq!(stage.exit_code(), 128 + 36);
}

/// CVE-2019-5736.
#[test]
fn the_executable_behind_proc_exe_is_not_nucleus_and_cannot_be_written() {
    let own = std::fs::metadata("/proc/self/exe").unwrap();
    let stage = Stage::shell("echo", Role::Workload, Gate::Closed);
    let exe = executed(stage.id);
    let inside = std::fs::metadata(&exe).unwrap();
    assert_ne!(std::os::unix::fs::MetadataExt::ino(&inside), std::os::unix::fs::MetadataExt::ino(&own));
    let write = std::fs::OpenOptions::new().write(true).open(&exe);
    let result = write.and_then(|mut file| file.write_all(b"x"));
    assert!(matches!(result.unwrap_err().raw_os_error(), Some(libc::ETXTBSY | libc::EPERM | libc::EACCES)));
    let copy = std::fs::read(&exe).unwrap();
    assert_eq!(copy, last_stage::EXECUTABLE);
}

/// CVE-2016-9962: while it holds nucleus's channels, the workload's own user can't attach to it: a
/// non-dumpable process's files under /proc belong to root (proc(5)).
#[test]
fn it_cannot_be_inspected_while_it_waits() {
    let (gate, inside) = UnixStream::pair().unwrap();
    let argv = [c"true".to_owned()];
    let arguments = Arguments { gate: Some(inside.as_fd()), ..Arguments::new(c"/bin/true", &argv) };
    let (process, id) = forked(&arguments.to_argv().unwrap(), || {
        set_inheritable(inside.as_fd())?;
        become_user(1001, 1001, &[])
    });
    executed(id);
    let owner = || std::fs::metadata(format!("/proc/{id}/fd")).unwrap().uid();
    let end = Instant::now() + Duration::from_secs(10);
    while owner() == 1001 && Instant::now() < end {
        std::thread::yield_now();
    }
    assert_eq!(owner(), 0);
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let files: Vec<&str> = maps.lines().filter(|line| line.contains('/')).collect();
    assert!(!files.is_empty() && files.iter().all(|line| line.contains("memfd:nucleus-init")), "{maps}");
    (&gate).write_all(&[1]).unwrap();
    assert_eq!(process.wait().unwrap(), Exit::Exited { code: 0 });
}

#[test]
fn with_a_terminal_the_workload_is_in_the_foreground_and_interrupted_once() {
    let devpts = std::fs::File::open("/dev/pts").unwrap();
    let pty = open_pty(devpts.as_fd()).unwrap();
    let script = "trap 'echo int; exit 5' INT; echo ready; while :; do sleep 0.01; done";
    let argv = [c"sh".to_owned(), c"-c".to_owned(), CString::new(script).unwrap()];
    let arguments = Arguments { role: Role::Init, ..Arguments::new(c"/bin/sh", &argv) };
    let (process, id) = forked(&arguments.to_argv().unwrap(), || {
        make_controlling(pty.peer.as_fd())?;
        replace_stdio(&pty.peer, Stdio::Input)?;
        replace_stdio(&pty.peer, Stdio::Output)
    });
    drop(pty.peer);
    let mut controller = std::fs::File::from(pty.controller);
    assert!(read_until(&mut controller, "ready").contains("ready"));
    let foreground = rustix::termios::tcgetpgrp(&controller).unwrap().as_raw_nonzero().get();
    assert_ne!(foreground, id, "init itself is not in the foreground");
    controller.write_all(&[3]).unwrap();
    let rest = read_until(&mut controller, "\0");
    assert_eq!(process.wait().unwrap(), Exit::Exited { code: 5 });
    assert_eq!(rest.matches("int").count(), 1, "{rest:?}");
}

/// Reads until `end` was seen, or the terminal hangs up (EIO).
fn read_until(terminal: &mut std::fs::File, end: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 256]);
    while !text.contains(end) {
        match terminal.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
        }
    }
    text
}

#[test]
fn descriptors_of_nucleus_are_gone_in_the_workload() {
    for role in ROLES {
        let mut stage = Stage::shell("ls /proc/self/fd | tr '\\n' ' '; echo", role, Gate::Closed);
        stage.gate.take().unwrap().write_all(&[1]).unwrap();
        // 3 is the directory that ls itself reads.
        assert_eq!(stage.line(), "0 1 2 3 ");
    }
}

fn after(hooks: &[Hook], role: Role) -> Stage {
    let argv = [c"sh".to_owned(), c"-c".to_owned(), c"echo workload $WORD".to_owned()];
    Stage::run_after(hooks, c"/bin/sh", &argv, role, Gate::None)
}

#[test]
fn hooks_run_in_order_with_the_state_and_their_own_environment_and_no_descriptor_more() {
    let file = std::env::temp_dir().join(format!("nucleus-hooks-{}", std::process::id()));
    for role in ROLES {
        let script = format!(
            "{{ cat; echo $0 $1 $HOOK$WORD; ls /proc/self/fd | tr '\\n' ' '; echo; }} >>{}",
            file.display()
        );
        let second =
            Hook { argv: [hook(&script).argv, vec![c"second".into(), c"two".into()]].concat(), ..hook("") };
        let mut stage = after(&[hook(&script), second], role);
        assert_eq!(stage.line(), "workload kept");
        assert_eq!(stage.exit_code(), 0);
        assert_eq!(stage.report(), None);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(text, "the state\nhook own\n0 1 2 3 \nthe state\nsecond two own\n0 1 2 3 \n");
    }
}

#[test]
fn a_failing_hook_keeps_the_workload_from_running_and_tells_its_last_words() {
    let failing = |script: &str, timeout| {
        let mut stage =
            after(&[hook("true"), Hook { timeout, ..hook(script) }, hook("true")], Role::Workload);
        assert_eq!(stage.exit_code(), last_stage::FAILED);
        assert_eq!(stage.line(), "");
        match stage.report() {
            Some(Report::Hook { index: 1, failure, output }) => (failure, String::from_utf8(output).unwrap()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        failing("echo out; echo err >&2; exit 3", 0),
        (HookFailure::Exited(3), "out\nerr\n".to_owned())
    );
    assert_eq!(failing("kill -9 $$", 0).0, HookFailure::Signalled(9));
    assert_eq!(failing("echo slow; sleep 60 & wait", 1), (HookFailure::TimedOut, "slow\n".to_owned()));
    let (failure, tail) =
        failing("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i + 1)); done; exit 1", 0);
    assert_eq!(failure, HookFailure::Exited(1));
    assert!(tail.len() == 2048 && tail.ends_with("line 4998\nline 4999\n"), "{tail}");
}

#[test]
fn a_hook_that_cannot_be_executed_and_a_workload_that_cannot_are_told_apart() {
    let missing = Hook { executable: c"/no/such/hook".to_owned(), ..hook("") };
    let mut stage = after(&[missing], Role::Workload);
    let failure = HookFailure::NotRun(libc::ENOENT);
    assert_eq!(stage.report(), Some(Report::Hook { index: 0, failure, output: Vec::new() }));
    for role in ROLES {
        let mut stage = Stage::run(c"/no/such", &[c"x".to_owned()], role, Gate::None);
        assert_eq!(stage.report(), Some(Report::NotExecuted { errno: libc::ENOENT }));
        assert_eq!(stage.exit_code(), last_stage::NOT_FOUND);
    }
}

#[test]
fn what_a_hook_leaves_behind_is_not_waited_for_and_a_timeout_ends_the_whole_group() {
    let mut stage = after(&[Hook { timeout: 30, ..hook("sleep 60 & true") }], Role::Init);
    assert_eq!(stage.line(), "workload kept");
    let file = std::env::temp_dir().join(format!("nucleus-group-{}", std::process::id()));
    let script = format!("sleep 60 & echo $! >{}; wait", file.display());
    assert_eq!(
        after(&[Hook { timeout: 1, ..hook(&script) }], Role::Workload).exit_code(),
        last_stage::FAILED
    );
    let left = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    // A killed process takes a moment to go.
    let end = Instant::now() + Duration::from_secs(10);
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", left.trim())).unwrap_or_default();
    while !stat().is_empty() && !stat().contains(") Z ") {
        assert!(Instant::now() < end, "{}", stat());
        std::thread::yield_now();
    }
}

/// Nobody reads the errors or the report any more: the status must still say what happened.
#[test]
fn a_workload_that_is_missing_is_told_even_when_nobody_listens() {
    let mut stage = Stage::run(c"/no/such", &[c"x".to_owned()], Role::Workload, Gate::Closed);
    let (other, _) = UnixStream::pair().unwrap();
    stage.errors = other;
    stage.report = std::io::pipe().unwrap().0;
    stage.gate.take().unwrap().write_all(&[1]).unwrap();
    assert_eq!(stage.exit_code(), last_stage::NOT_FOUND);
}

#[test]
fn the_workloads_own_descriptors_are_none_of_a_hooks() {
    let file = std::env::temp_dir().join(format!("nucleus-hook-fds-{}", std::process::id()));
    let state = state();
    let (passed, output) = std::io::pipe().unwrap();
    let list = [hook(&format!("ls /proc/self/fd | tr '\\n' ' ' >{}", file.display()))];
    let argv = [c"sh".to_owned(), c"-c".to_owned(), CString::new("echo passed >&9").unwrap()];
    let hooks = Some(Hooks { list: &list, state: state.as_fd() });
    let arguments = Arguments { hooks, ..Arguments::new(c"/bin/sh", &argv) };
    let (process, _) = forked(&arguments.to_argv().unwrap(), || {
        // SAFETY: puts the pipe at 9, which nobody owns here.
        unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&output), 9) };
        set_inheritable(state.as_fd())
    });
    drop(output);
    assert_eq!(process.wait().unwrap(), Exit::Exited { code: 0 });
    assert_eq!(std::io::read_to_string(passed).unwrap(), "passed\n");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "0 1 2 3 ");
    std::fs::remove_file(file).unwrap();
}
