//! The startContainer hooks: run in the container, with the workload's rights, right before the workload
//! (config.md, "StartContainer Hooks").

use core::mem::MaybeUninit;

use crate::report::{Failure, Kind, Tail};
use crate::{EINTR, NOT_FOUND, arch, call, exit, number};

const O_CLOEXEC: usize = 0o2_000_000;
const CLOSE_RANGE_CLOEXEC: usize = 4;
const SIGKILL: usize = 9;
const POLLIN: i16 = 1;
/// What a pipe holds at most, 64 KiB, comes in this many portions (pipe(7)).
const PORTIONS: usize = 128;
const PORTION: usize = 512;

/// A hook, as pointers into the words that the engine passed.
struct Hook {
    path: *const u8,
    arguments: *const *const u8,
    environment: *const *const u8,
    /// Seconds; 0 for as long as it takes.
    timeout: usize,
}

#[repr(C)]
struct PollFd {
    descriptor: i32,
    events: i16,
    returned: i16,
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// How a hook came to an end.
enum End {
    Ended,
    TimedOut,
    Lost(isize),
}

/// Runs the hooks whose words begin at `words`, and returns what comes after them. `tail` keeps the last words of the one
/// that failed.
///
/// # Safety
/// `words` must be the initial stack's argument pointers, with the words of `count` hooks as `nucleus_sys::last_stage`
/// writes them.
pub unsafe fn run_all(
    mut words: *mut *const u8,
    count: usize,
    state: usize,
    tail: &mut Tail,
) -> Result<*const *const u8, Failure> {
    let mut index = 0;
    while index < count {
        // SAFETY: the caller's promise.
        let (hook, rest) = unsafe { read(words) };
        tail.clear();
        run(&hook, state, tail).map_err(|(kind, value)| Failure { kind, hook: index, value })?;
        words = rest;
        index += 1;
    }
    Ok(words)
}

/// `<number of arguments>,<number of variables>,<timeout>`, the path, the arguments, a word to be made null, the
/// variables, a word to be made null.
///
/// # Safety
/// As for [`run_all`].
unsafe fn read(words: *mut *const u8) -> (Hook, *mut *const u8) {
    // SAFETY: the words are there as counted; the array lies on the initial stack, which is this process's own.
    unsafe {
        let [arguments, variables, timeout] = numbers(*words);
        let first = words.add(2);
        let environment = first.add(arguments + 1);
        *first.add(arguments) = core::ptr::null();
        *environment.add(variables) = core::ptr::null();
        let hook = Hook { path: *words.add(1), arguments: first, environment, timeout };
        (hook, environment.add(variables + 1))
    }
}

/// # Safety
/// `word` must end with NUL.
unsafe fn numbers(mut word: *const u8) -> [usize; 3] {
    let mut numbers = [0; 3];
    let mut at = 0;
    // SAFETY: the loop ends at the NUL.
    while let byte @ 1.. = unsafe { *word } {
        match byte {
            b'0'..=b'9' if at < 3 => numbers[at] = numbers[at] * 10 + (byte - b'0') as usize,
            _ => at += 1,
        }
        // SAFETY: this byte is not the NUL.
        word = unsafe { word.add(1) };
    }
    numbers
}

/// What a hook and we have between us.
struct Channels {
    /// The container's state, for the hook's standard input.
    state: usize,
    /// What the hook writes: both ends of a pipe.
    output: [usize; 2],
    /// The number of the error if it can't be executed: both ends of a pipe.
    failure: [usize; 2],
}

fn run(hook: &Hook, state: usize, tail: &mut Tail) -> Result<(), (Kind, usize)> {
    let channels = Channels { state, output: pipe()?, failure: pipe()? };
    // Each reads the state from its beginning.
    call(number::LSEEK, [state, 0, 0, 0]);
    let mut process = -1i32;
    let child = arch::fork_with_descriptor(&mut process);
    if child == 0 {
        become_hook(hook, &channels);
    }
    close(channels.output[1]);
    close(channels.failure[1]);
    let verdict = if child < 0 {
        Err(not_run(child))
    } else {
        attend(hook, child as usize, process, &channels, tail)
    };
    close(channels.output[0]);
    close(channels.failure[0]);
    verdict
}

fn pipe() -> Result<[usize; 2], (Kind, usize)> {
    let mut ends = [0i32; 2];
    match call(number::PIPE2, [ends.as_mut_ptr() as usize, O_CLOEXEC, 0, 0]) {
        0 => Ok([ends[0] as usize, ends[1] as usize]),
        failure => Err(not_run(failure)),
    }
}

fn close(descriptor: usize) {
    call(number::CLOSE, [descriptor, 0, 0, 0]);
}

fn not_run(failure: isize) -> (Kind, usize) {
    (Kind::NotRun, failure.unsigned_abs())
}

fn become_hook(hook: &Hook, channels: &Channels) -> ! {
    call(number::SETPGID, [0, 0, 0, 0]);
    for (from, to) in [(channels.state, 0), (channels.output[1], 1), (channels.output[1], 2)] {
        call(number::DUP3, [from, to, 0, 0]);
    }
    // The workload's own descriptors are none of a hook's concern.
    call(number::CLOSE_RANGE, [3, u32::MAX as usize, CLOSE_RANGE_CLOEXEC, 0]);
    let (path, arguments, environment) =
        (hook.path as usize, hook.arguments as usize, hook.environment as usize);
    let failure = call(number::EXECVE, [path, arguments, environment, 0]);
    call(number::WRITE, [channels.failure[1], (&raw const failure) as usize, size_of::<isize>(), 0]);
    exit(NOT_FOUND)
}

fn attend(
    hook: &Hook,
    child: usize,
    process: i32,
    channels: &Channels,
    tail: &mut Tail,
) -> Result<(), (Kind, usize)> {
    // Done by both sides: neither knows which runs first.
    call(number::SETPGID, [child, child, 0, 0]);
    let end = wait(hook.timeout, process, channels.output[0], tail);
    if !matches!(end, End::Ended) {
        call(number::KILL, [child.wrapping_neg(), SIGKILL, 0, 0]);
    }
    close(process as usize);
    let mut status = 0i32;
    while call(number::WAIT4, [child, (&raw mut status) as usize, 0, 0]) == EINTR {}
    match end {
        End::TimedOut => Err((Kind::TimedOut, hook.timeout)),
        End::Lost(failure) => Err(not_run(failure)),
        End::Ended => judge(status, channels.failure[0]),
    }
}

fn judge(status: i32, failure: usize) -> Result<(), (Kind, usize)> {
    let mut errno = 0isize;
    if call(number::READ, [failure, (&raw mut errno) as usize, size_of::<isize>(), 0]) > 0 {
        return Err(not_run(errno));
    }
    match (status & 0x7f, status >> 8 & 0xff) {
        (0, 0) => Ok(()),
        (0, code) => Err((Kind::Exited, code as usize)),
        (signal, _) => Err((Kind::Signalled, signal as usize)),
    }
}

/// Reads the hook's output until it ends. What a daemon that it left behind writes later is not waited for.
fn wait(timeout: usize, process: i32, output: usize, tail: &mut Tail) -> End {
    // Linux writes the time that is left here (ppoll(2), "C library/kernel differences").
    let mut left = Timespec { seconds: timeout as i64, nanoseconds: 0 };
    let limit = if timeout == 0 { 0 } else { (&raw mut left) as usize };
    let mut watched = [
        PollFd { descriptor: process, events: POLLIN, returned: 0 },
        PollFd { descriptor: output as i32, events: POLLIN, returned: 0 },
    ];
    loop {
        match call(number::PPOLL, [watched.as_mut_ptr() as usize, watched.len(), limit, 0]) {
            EINTR => continue,
            0 => return End::TimedOut,
            failure if failure < 0 => return End::Lost(failure),
            _ => {}
        }
        if watched[0].returned != 0 {
            drain(output, tail);
            return End::Ended;
        }
        // A negative number is passed over: the hook has closed its output.
        if take(output, tail) == 0 {
            watched[1].descriptor = -1;
        }
    }
}

fn drain(output: usize, tail: &mut Tail) {
    let mut watched = PollFd { descriptor: output as i32, events: POLLIN, returned: 0 };
    let mut now = Timespec { seconds: 0, nanoseconds: 0 };
    for _ in 0..PORTIONS {
        let ready = call(number::PPOLL, [(&raw mut watched) as usize, 1, (&raw mut now) as usize, 0]);
        if ready <= 0 || take(output, tail) == 0 {
            return;
        }
    }
}

fn take(output: usize, tail: &mut Tail) -> usize {
    let mut portion = MaybeUninit::<[u8; PORTION]>::uninit();
    let start = portion.as_mut_ptr().cast::<u8>();
    let length = call(number::READ, [output, start as usize, PORTION, 0]);
    let length = if length < 0 { 0 } else { length as usize };
    for index in 0..length {
        // SAFETY: the kernel wrote `length` bytes.
        tail.push(unsafe { start.add(index).read() });
    }
    length
}
