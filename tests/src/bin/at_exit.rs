//! Runs a program, and writes down all that its memory holds in the instant before it ends: `at_exit FILE PROGRAM [ARGUMENT…]`.
//!
//! Only its first process is looked at, and every of its mappings that can be read. It ends with the status of the program, or
//! 128 and the number of the signal that killed it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use libc::{c_int, c_long, pid_t};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let [file, program, arguments @ ..] = words.as_slice() else {
        eprintln!("at_exit FILE PROGRAM [ARGUMENT…]");
        return ExitCode::from(2);
    };
    let mut command = Command::new(program);
    command.args(arguments);
    // SAFETY: between fork and exec it makes one system call.
    unsafe { command.pre_exec(|| trace(libc::PTRACE_TRACEME, 0, 0)) };
    let status = command
        .spawn()
        .and_then(|child| File::create(file).map(|dump| (child, dump)))
        .and_then(|(child, dump)| follow(child.id().cast_signed(), dump));
    status.unwrap_or_else(|error| {
        eprintln!("at_exit: {}: {error}", program.display());
        ExitCode::from(2)
    })
}

/// Lets it run to its end.
fn follow(pid: pid_t, mut dump: File) -> io::Result<ExitCode> {
    let mut status = wait(pid)?;
    trace(libc::PTRACE_SETOPTIONS, pid, libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_EXITKILL)?;
    while libc::WIFSTOPPED(status) {
        let at_exit = status >> 8 == libc::SIGTRAP | (libc::PTRACE_EVENT_EXIT << 8);
        if at_exit {
            write_memory(pid, &mut dump)?;
        }
        // A stop of ptrace(2) itself is no signal of anybody's.
        let signal = if libc::WSTOPSIG(status) == libc::SIGTRAP { 0 } else { libc::WSTOPSIG(status) };
        trace(libc::PTRACE_CONT, pid, signal)?;
        status = wait(pid)?;
    }
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(2)))
}

fn write_memory(pid: pid_t, dump: &mut File) -> io::Result<()> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut memory = File::open(format!("/proc/{pid}/mem"))?;
    for line in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r')))
    {
        let ends = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(io::Error::other);
        let (start, end) = ends.ok_or(io::ErrorKind::InvalidData)?;
        let (start, end) = (number(start)?, number(end)?);
        let mut bytes = Vec::new();
        memory.seek(SeekFrom::Start(start))?;
        // Some of the kernel's own ([vvar]) cannot be read.
        let _ = Read::by_ref(&mut memory).take(end - start).read_to_end(&mut bytes);
        dump.write_all(&bytes)?;
    }
    Ok(())
}

fn wait(pid: pid_t) -> io::Result<c_int> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes to `status` only, which outlives the call.
        match unsafe { libc::waitpid(pid, &raw mut status, 0) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            _ => return Ok(status),
        }
    }
}

fn trace(request: libc::c_uint, pid: pid_t, data: c_int) -> io::Result<()> {
    // SAFETY: none of these requests has the kernel write to this process.
    let result = unsafe { libc::ptrace(request, pid, 0_usize, c_long::from(data)) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
