//! By what the caller of a detached container gets hold of it: its terminal, its process id, its pidfd; and what it gives
//! the workload beside standard input and output.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::process::inherited;
use nucleus_sys::socket::send_descriptor;
use rustix::fs::{Access, access};

use super::making::Made;
use crate::bundle::Terminal;

/// What was asked for on the command line.
#[derive(Debug, Default)]
pub struct Handles {
    /// Descriptors for the workload: its 3, 4 and so on.
    pub extra: Vec<OwnedFd>,
    /// A socket that receives the outer side of the container's terminal.
    pub console_socket: Option<PathBuf>,
    /// A socket that receives a pidfd of the container's first process.
    pub pidfd_socket: Option<PathBuf>,
    /// A file that the id of the first process is written to.
    pub pid_file: Option<PathBuf>,
    /// The service manager's socket, which is told when the workload is ready.
    pub notify: Option<OsString>,
}

/// The name that travels with a terminal: what its holder may call it.
const TERMINAL: &[u8] = b"/dev/ptmx";

const CONSOLE_STEP: &str = "send the container's terminal";
const PIDFD_STEP: &str = "send the container's pidfd";

/// The name that travels with a pidfd.
const PIDFD: &[u8] = b"pidfd";

impl Handles {
    /// So many descriptors that our caller left open for the workload, from number 3: the service manager's sockets, then those
    /// of `--preserve-fds`.
    ///
    /// # Errors
    /// `invalid-argument` for one that is not open.
    pub fn inherited(count: u16) -> Result<Vec<OwnedFd>> {
        let open = |number| {
            inherited(number).map_err(|error| {
                Error::new(ErrorCode::InvalidArgument, "pass descriptors on")
                    .on(format!("descriptor {number}"))
                    .because(error)
                    .hint("LISTEN_FDS and --preserve-fds count descriptors that are open, from 3 on")
            })
        };
        (3..3 + i32::from(count)).map(open).collect()
    }

    /// Whether a detached container's terminal has somewhere to go, and the socket something to receive.
    ///
    /// # Errors
    /// `invalid-argument`.
    pub fn check_terminal(&self, terminal: Terminal) -> Result<()> {
        let refuse = |cause| {
            Err(Error::new(ErrorCode::InvalidArgument, "make the container's terminal").because(cause))
        };
        match (terminal, &self.console_socket) {
            (Terminal::Own, None) => {
                refuse("cannot allocate a tty for a detached container without --console-socket")
            }
            (Terminal::None, Some(_)) => {
                refuse("--console-socket receives nothing: `process.terminal` of config.json is not true")
            }
            _ => Ok(()),
        }
    }

    /// A container in the foreground has the operator's own terminal.
    ///
    /// # Errors
    /// `invalid-argument`.
    pub fn refuse_console_socket(&self) -> Result<()> {
        match &self.console_socket {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorCode::InvalidArgument, "use --console-socket")
                .because("a container in the foreground has the terminal of whoever runs it")
                .hint("add --detach, or leave the socket out")),
        }
    }

    /// Looks whether what is asked for can be handed out, before processes run that cannot be called back.
    ///
    /// # Errors
    /// `host-unfit`, naming the socket or the file.
    pub(super) fn check(&self) -> Result<()> {
        for (step, socket) in [(CONSOLE_STEP, &self.console_socket), (PIDFD_STEP, &self.pidfd_socket)] {
            let Some(socket) = socket else { continue };
            // Not connected: its listener may take one connection only.
            access(socket, Access::WRITE_OK).map_err(|errno| {
                Error::new(ErrorCode::HostUnfit, step).on(socket.display()).because(io::Error::from(errno))
            })?;
        }
        let Some(path) = &self.pid_file else { return Ok(()) };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        access(directory.unwrap_or(Path::new(".")), Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|errno| no_pid_file(path, &errno.into()))
    }

    /// Hands out all that was asked for; the process id comes last, since its file is taken as a sign that all is done.
    ///
    /// # Errors
    /// `host-unfit`, naming the socket or the file.
    pub(super) fn hand_out(&self, made: &Made) -> Result<()> {
        if let (Some(socket), Some(console)) = (&self.console_socket, &made.console) {
            send(CONSOLE_STEP, socket, TERMINAL, console.as_fd())?;
        }
        if let Some(socket) = &self.pidfd_socket {
            send(PIDFD_STEP, socket, PIDFD, made.wait.as_fd())?;
        }
        self.write_pid_file(made.pid)
    }

    /// Writes the pid file alone, for a container in the foreground.
    ///
    /// # Errors
    /// `host-unfit`, naming the file.
    pub(super) fn write_pid_file(&self, pid: u32) -> Result<()> {
        let Some(path) = &self.pid_file else { return Ok(()) };
        replace(path, &pid.to_string()).map_err(|error| no_pid_file(path, &error))
    }
}

fn no_pid_file(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::HostUnfit, "write the pid file").on(path.display()).because(error)
}

fn send(step: &'static str, socket: &Path, name: &[u8], descriptor: BorrowedFd<'_>) -> Result<()> {
    let sent =
        UnixStream::connect(socket).and_then(|stream| send_descriptor(stream.as_fd(), name, descriptor));
    sent.map_err(|error| Error::new(ErrorCode::HostUnfit, step).on(socket.display()).because(error))
}

/// Whoever waits for the file finds all of it or none.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let replaced = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_stays_beside_it() {
        let directory = std::env::temp_dir().join(format!("nucleus-handles-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("pid");
        fs::write(&path, "old and longer").unwrap();
        replace(&path, "7").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "7");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        assert!(replace(&directory.join("missing/pid"), "7").is_err());
        fs::remove_dir_all(directory).unwrap();
    }
}
