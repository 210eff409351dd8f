//! The entry of a program, without what the standard library does before `main`.
//!
//! Its runtime asks the C library where the main thread's stack ends, which reads and parses `/proc/self/maps`: 5 % of the
//! instructions of a start, for a message about overflown stacks. Everything else that it sees to is seen to here.

use std::ffi::c_int;
use std::io::{self, Write as _};
use std::panic::catch_unwind;

/// What a program ends with after a panic, as with the standard library's runtime.
const PANICKED: u8 = 101;

/// Runs `main` as the C library's `main` should: with standard descriptors that are open (a file opened later must not become
/// standard output), with `SIGPIPE` ignored, so that writing to a reader that has gone is an error and no death, and with
/// standard output flushed at the end. A panic is status 101.
pub fn enter(main: fn() -> u8) -> c_int {
    open_standard_descriptors();
    // SAFETY: no other thread exists yet, and ignoring a signal runs nothing.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let status = catch_unwind(main).unwrap_or(PANICKED);
    let _ = io::stdout().flush();
    c_int::from(status)
}

/// Opens `/dev/null` for each of the descriptors 0 to 2 that is closed. The lowest free number is the one that open(2) gives.
fn open_standard_descriptors() {
    let ask = |fd| libc::pollfd { fd, events: 0, revents: 0 };
    let mut asked = [ask(0), ask(1), ask(2)];
    // SAFETY: three entries of ours; a timeout of zero waits for nothing.
    let answered = unsafe { libc::poll(asked.as_mut_ptr(), 3, 0) };
    let closed =
        if answered < 0 { 0 } else { asked.iter().filter(|fd| fd.revents & libc::POLLNVAL != 0).count() };
    for _ in 0..closed {
        // SAFETY: the path is a constant string; the descriptor is meant to stay open for life.
        if unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } < 0 {
            // Nothing may be opened under a number that a program takes for its output.
            std::process::abort();
        }
    }
}

/// Unmaps the pages of the program's code and constants that were used so far; what is used again comes back from the page
/// cache. Most of what has read a command line and a profile is never called again, and a process that stays for the life of a
/// container should not hold it.
pub fn let_go_of_code() {
    unsafe extern "C" {
        // Where the linker says that the program begins, and where its code ends (end(3)).
        static __executable_start: u8;
        static etext: u8;
    }
    let (start, end) = (&raw const __executable_start, &raw const etext);
    let length = end.addr().saturating_sub(start.addr());
    // SAFETY: the range holds what the linker made read-only: its pages are the file's own, and the kernel reads them again
    // from the file, which cannot be written to while it is executed (ETXTBSY). Holes between segments are skipped.
    unsafe { libc::madvise(start.cast_mut().cast(), length, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kilobytes of files that are mapped into this process's memory (`RssFile` of `proc_pid_status(5)`).
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn code_that_was_let_go_is_not_held_and_runs_again() {
        let before = resident();
        let_go_of_code();
        let after = resident();
        assert!(after < before, "{after} of {before} kB are still there");
    }
}
