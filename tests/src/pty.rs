//! A program on a terminal, driven as a person would drive it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A program whose controlling terminal is a pty that the test holds.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    child: Child,
    seen: String,
    /// How far [`Self::expect`] has read.
    read: usize,
    patience: Duration,
}

impl Terminal {
    /// Starts `words` on a new terminal of that many rows and columns, as leader of its session.
    pub fn start(words: &[OsString], rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("open a terminal");
        grantpt(&master).expect("grant the terminal");
        unlockpt(&master).expect("unlock the terminal");
        let peer = ioctl_tiocgptpeer(&master, flags).expect("open the terminal's other side");
        let window = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, window).expect("size the terminal");
        let child = start_session(words, &peer);
        Self { master: master.into(), child, seen: String::new(), read: 0, patience: Duration::from_secs(20) }
    }

    /// Types text, control characters included.
    pub fn send(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("type");
    }

    /// Changes the window; the kernel tells the foreground group by SIGWINCH.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let window = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, window).expect("size the terminal");
    }

    /// Reads on until `text` stands on the terminal after what was expected before. Returns what stood between.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(at) = self.seen[self.read..].find(text) {
                let between = self.seen[self.read..self.read + at].to_owned();
                self.read += at + text.len();
                return between;
            }
            let more = self.read_before(deadline);
            assert!(more, "`{text}` did not come; the terminal shows:\n{}", self.seen);
        }
    }

    /// Everything that was written so far.
    pub fn seen(&self) -> &str {
        &self.seen
    }

    /// Reads to the end and waits for the program.
    #[track_caller]
    pub fn wait(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for the program") {
                while self.read_before(Instant::now() + Duration::from_millis(50)) {}
                return (status, std::mem::take(&mut self.seen));
            }
            self.read_before(Instant::now() + Duration::from_millis(20));
            assert!(
                Instant::now() < deadline,
                "the program does not end; the terminal shows:\n{}",
                self.seen
            );
        }
    }

    /// Reads what there is; false when time is over or the other side has closed.
    fn read_before(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("a short time");
        let mut ready = [PollFd::new(&self.master, PollFlags::IN)];
        if poll(&mut ready, Some(&left)).expect("wait for the terminal") == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        // EIO: nobody holds the other side any more (tty_ioctl of Linux; read(2)).
        let Ok(count) = self.master.read(&mut bytes) else {
            return false;
        };
        self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    }
}

/// `setsid --ctty` makes the session and takes the terminal in the new process, which needs no code after fork here.
fn start_session(words: &[OsString], peer: &OwnedFd) -> Child {
    let side = || Stdio::from(peer.try_clone().expect("copy the terminal's descriptor"));
    let mut command = Command::new("setsid");
    command.arg("--ctty").args(words).stdin(side()).stdout(side()).stderr(side());
    command.spawn().unwrap_or_else(|error| panic!("start {} on a terminal: {error}", words[0].display()))
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_on_the_terminal_answers_and_ends() {
        let words = ["/bin/sh", "-c", "stty size; read line; echo got $line; test -t 0"];
        let mut terminal = Terminal::start(&words.map(OsString::from), 33, 99);
        terminal.expect("33 99");
        terminal.send("hello\n");
        terminal.expect("got hello");
        assert!(terminal.wait().0.success());
    }
}
