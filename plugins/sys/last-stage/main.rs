//! The last stage: what stays of nucleus inside a container until the workload starts.
//!
//! A static executable of a few KiB that needs nothing: no libc, no heap, no file of the host. The engine
//! runs it from a sealed memfd, so that no `/proc/*/exe` inside the container ever leads to the host's
//! nucleus (CVE-2019-5736). It waits for the start, runs the startContainer hooks, may stay as the container's
//! init, and executes the workload.
//!
//! `argv[1]` is the control word (`nucleus_sys::last_stage::Arguments` writes it), `argv[2]` the workload's
//! executable; then come the words of each hook, and the workload's own `argv`; the environment is the
//! workload's.

#![no_std]
#![no_main]
// Otherwise the loops below may be compiled into calls of memset or strlen, which do not exist here.
#![no_builtins]

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod arch;
mod hook;
mod report;

use arch::{number, syscall};
use report::{Failure, Kind, Tail};

/// As POSIX shells report: found, but not executable, and not found.
const NOT_EXECUTABLE: usize = 126;
const NOT_FOUND: usize = 127;
/// nucleus itself failed: the gate is gone, or there is no memory for a process.
const FAILED: usize = 125;

const ENOENT: isize = -2;
const EINTR: isize = -4;
const ENOTDIR: isize = -20;

const F_SETFD: usize = 2;
const FD_CLOEXEC: usize = 1;
const PR_SET_DUMPABLE: usize = 4;
const SIG_SETMASK: usize = 2;
const SIGSET_SIZE: usize = 8;
const SIGCHLD: usize = 17;
/// Job control of the terminal that init itself would meet; the workload's own group gets its own.
const SIGTTIN: usize = 21;
const SIGTTOU: usize = 22;
const WNOHANG: usize = 1;
const TIOCGPGRP: usize = 0x540f;
const TIOCSPGRP: usize = 0x5410;
const SIGINFO_SIZE: usize = 128;

/// What the control word asks for.
struct Control {
    gate: Option<usize>,
    errors: Option<usize>,
    /// Where whoever starts the workload learns what went wrong.
    report: Option<usize>,
    /// The state of the container, for the hooks' standard input.
    state: Option<usize>,
    /// How many hooks there are.
    hooks: usize,
    init: bool,
}

/// The workload.
#[derive(Clone, Copy)]
struct Program {
    path: *const u8,
    arguments: *const *const u8,
    environment: *const *const u8,
}

/// Entry from `_start` with the initial stack of the process: argc, argv, 0, envp, 0.
///
/// # Safety
/// `stack` must be what the kernel handed over at exec.
#[unsafe(no_mangle)]
unsafe extern "C" fn stage(stack: *const usize) -> ! {
    // SAFETY: the kernel puts argc there, and argv right behind it, ended by a null pointer.
    let (count, argv) = unsafe { (*stack, stack.add(1).cast::<*const u8>()) };
    if count < 4 {
        exit(FAILED);
    }
    // SAFETY: argc says that argv[1..=3] exist; envp follows the null pointer that ends argv.
    let (word, program) = unsafe {
        let (path, arguments, environment) = (*argv.add(2), argv.add(3), argv.add(count + 1));
        (*argv.add(1), Program { path, arguments, environment })
    };
    // Until the workload's exec nobody inside may attach to what holds nucleus's descriptors (CVE-2016-9962).
    call(number::PRCTL, [PR_SET_DUMPABLE, 0, 0, 0]);
    // SAFETY: each of the kernel's arguments ends with NUL.
    run(&unsafe { parse(word) }, program)
}

fn run(control: &Control, mut program: Program) -> ! {
    // The gate too: that it is open says that the workload is not there yet.
    let ours = [control.gate, control.errors, control.report, control.state];
    for descriptor in ours.into_iter().flatten() {
        call(number::FCNTL, [descriptor, F_SETFD, FD_CLOEXEC, 0]);
    }
    if let Some(gate) = control.gate {
        wait_at(gate);
    }
    if let Some(state) = control.state {
        let mut tail = Tail::new();
        // SAFETY: the engine put the words of as many hooks as it says before the workload's.
        match unsafe { hook::run_all(program.arguments.cast_mut(), control.hooks, state, &mut tail) } {
            Ok(rest) => program.arguments = rest,
            Err(failure) => {
                failure.tell(control.report, &tail);
                exit(FAILED)
            }
        }
    }
    if control.init { init(control, program) } else { execute(control, program) }
}

/// Waits for one byte. The end instead of a byte means that whoever would open the gate is gone.
fn wait_at(gate: usize) {
    let mut byte = 0u8;
    loop {
        match call(number::READ, [gate, (&raw mut byte) as usize, 1, 0]) {
            EINTR => {}
            1 => break,
            _ => exit(FAILED),
        }
    }
}

fn execute(control: &Control, program: Program) -> ! {
    let (path, arguments, environment) =
        (program.path as usize, program.arguments as usize, program.environment as usize);
    let failure = call(number::EXECVE, [path, arguments, environment, 0]);
    // Whoever listened may be gone: that must not look like a workload that SIGPIPE ended.
    set_mask(u64::MAX);
    let code = (-failure) as u32;
    if let Some(errors) = control.errors {
        let bytes = code.to_le_bytes();
        call(number::WRITE, [errors, bytes.as_ptr() as usize, bytes.len(), 0]);
    }
    let failed = Failure { kind: Kind::Workload, hook: 0, value: code as usize };
    failed.tell(control.report, &Tail::new());
    exit(if failure == ENOENT || failure == ENOTDIR { NOT_FOUND } else { NOT_EXECUTABLE })
}

/// Stays as the parent of all orphans, passes signals on and ends as the workload ends.
fn init(control: &Control, program: Program) -> ! {
    // Blocked before the fork: no signal is lost between fork and the first wait for one.
    set_mask(u64::MAX);
    let terminal = controlling_terminal();
    match arch::fork() {
        0 => {
            if let Some(terminal) = terminal {
                take_foreground(terminal);
            }
            set_mask(0);
            execute(control, program)
        }
        child if child > 0 => {
            let ours = [control.gate, control.errors, control.report, control.state];
            for descriptor in ours.into_iter().flatten() {
                call(number::CLOSE, [descriptor, 0, 0, 0]);
            }
            serve(child as usize)
        }
        _ => exit(FAILED),
    }
}

fn serve(child: usize) -> ! {
    let everything = u64::MAX;
    let mut info = [0u64; SIGINFO_SIZE / 8];
    loop {
        let wanted = (&raw const everything) as usize;
        let signal = call(number::RT_SIGTIMEDWAIT, [wanted, info.as_mut_ptr() as usize, 0, SIGSET_SIZE]);
        match signal as usize {
            SIGCHLD => reap(child),
            SIGTTIN | SIGTTOU => {}
            signal if signal <= 64 => {
                call(number::KILL, [child, signal, 0, 0]);
            }
            // EINTR after a stop and a continue.
            _ => {}
        }
    }
}

/// Takes every dead child; one SIGCHLD may stand for many.
fn reap(child: usize) {
    loop {
        let mut status = 0i32;
        let dead = call(number::WAIT4, [usize::MAX, (&raw mut status) as usize, WNOHANG, 0]);
        if dead <= 0 {
            return;
        }
        if dead as usize == child {
            let signal = (status & 0x7f) as usize;
            exit(if signal == 0 { (status >> 8 & 0xff) as usize } else { 128 + signal });
        }
    }
}

/// The standard descriptor whose terminal is the session's, if there is one.
fn controlling_terminal() -> Option<usize> {
    let mut group = 0i32;
    (0..3).find(|number| call(number::IOCTL, [*number, TIOCGPGRP, (&raw mut group) as usize, 0]) == 0)
}

/// Gives the workload a process group of its own in the foreground: else Ctrl-C would reach it twice, from
/// the terminal and passed on by init. SIGTTOU is blocked here, so the terminal obeys although we are in the
/// background.
fn take_foreground(terminal: usize) {
    call(number::SETPGID, [0, 0, 0, 0]);
    let group = call(number::GETPID, [0; 4]) as i32;
    call(number::IOCTL, [terminal, TIOCSPGRP, (&raw const group) as usize, 0]);
}

fn set_mask(blocked: u64) {
    call(number::RT_SIGPROCMASK, [SIG_SETMASK, (&raw const blocked) as usize, 0, SIGSET_SIZE]);
}

/// Reads `g<fd>`, `e<fd>`, `r<fd>`, `s<fd>`, `h<count>` and `i`, in any order, between commas; unknown letters are
/// passed over.
///
/// # Safety
/// `word` must end with NUL.
unsafe fn parse(word: *const u8) -> Control {
    let mut control =
        Control { gate: None, errors: None, report: None, state: None, hooks: 0, init: false };
    let (mut letter, mut value, mut at) = (0u8, 0usize, word);
    loop {
        // SAFETY: `at` never passes the NUL: the loop ends there.
        let byte = unsafe { *at };
        match byte {
            b'0'..=b'9' => value = value.wrapping_mul(10).wrapping_add((byte - b'0') as usize),
            b',' | 0 => {
                match letter {
                    b'g' => control.gate = Some(value),
                    b'e' => control.errors = Some(value),
                    b'r' => control.report = Some(value),
                    b's' => control.state = Some(value),
                    b'h' => control.hooks = value,
                    b'i' => control.init = true,
                    _ => {}
                }
                (letter, value) = (0, 0);
            }
            other => letter = other,
        }
        if byte == 0 {
            return control;
        }
        // SAFETY: the byte here is not the final NUL, so there is another one.
        at = unsafe { at.add(1) };
    }
}

fn exit(status: usize) -> ! {
    loop {
        call(number::EXIT_GROUP, [status, 0, 0, 0]);
    }
}

fn call(number: usize, arguments: [usize; 4]) -> isize {
    // SAFETY: every caller passes numbers, or pointers to variables that live through the call and are as
    // large as that system call reads or writes.
    unsafe { syscall(number, arguments) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(FAILED)
}
