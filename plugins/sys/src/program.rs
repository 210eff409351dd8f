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
