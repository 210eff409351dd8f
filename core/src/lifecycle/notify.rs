//! `NOTIFY_SOCKET`, `sd_notify(3)`: a workload tells the service manager that it is ready.
//!
//! The manager believes only processes of its service, and the container cannot reach its socket. So the container gets a
//! directory of its own with a socket in it, and whoever starts the container passes on that it is ready.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::socket::send_descriptor;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::{Value, json};

/// The variable that names the manager's socket.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// Where the container finds its directory.
const INSIDE: &str = "/run/notify";
const SOCKET: &str = "notify.sock";

/// Longest message that is read, in bytes: the manager's own limit.
const LONGEST: usize = 4096;

/// How long the manager may take to read what it was told.
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// The directory of a container's socket, below the container's own.
fn directory(container: &Path) -> PathBuf {
    container.join("notify")
}

/// What a container needs to be able to speak.
pub(super) struct Speaking {
    /// For its `process.env`.
    pub(super) variable: String,
    /// For its `mounts`.
    pub(super) mount: Value,
}

/// Makes the directory of a container's socket.
///
/// # Errors
/// `system-call`.
pub(super) fn prepare(container: &Path) -> Result<Speaking> {
    let path = directory(container);
    // Any user of the container is to find the socket in it.
    DirBuilder::new()
        .mode(0o755)
        .create(&path)
        .map_err(|error| failed("make the directory for the notify socket", &path, &error))?;
    Ok(Speaking {
        variable: format!("{VARIABLE}={INSIDE}/{SOCKET}"),
        mount: json!({
            "destination": INSIDE,
            "type": "bind",
            "source": path,
            "options": ["bind", "nosuid", "noexec", "nodev", "ro"],
        }),
    })
}

/// The way from a container's socket to the manager's.
#[derive(Debug)]
pub(super) struct Messenger {
    container: UnixDatagram,
    manager: UnixDatagram,
}

/// What a message said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// That the workload is ready; the manager knows it now.
    Ready,
    /// Something else, which is not passed on.
    Other,
}

impl Messenger {
    /// Opens the way, for a container that was made with one; `None` for others.
    ///
    /// # Errors
    /// `host-unfit` when the manager's socket does not answer; `system-call`.
    pub(super) fn open(container: &Path, manager: Option<&OsStr>) -> Result<Option<Self>> {
        let (path, Some(manager)) = (directory(container), manager) else { return Ok(None) };
        if !path.exists() {
            return Ok(None);
        }
        let bound = bind(&path).map_err(|error| failed("make the notify socket", &path, &error))?;
        let connected = connect(manager).map_err(|error| {
            Error::new(ErrorCode::HostUnfit, "reach the service manager")
                .on(format!("{VARIABLE}={}", manager.display()))
                .because(error)
        })?;
        Ok(Some(Self { container: bound, manager: connected }))
    }

    /// Passes one message on, if it says that the workload is ready; `pid` becomes the service's main process.
    pub(super) fn pass_on(&self, pid: u32) -> io::Result<Heard> {
        let mut message = [0; LONGEST];
        let length = match self.container.recv(&mut message) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(Heard::Other);
            }
            length => length?,
        };
        // Nothing but readiness is passed on: the container must not speak for the service in anything else.
        let Some(ready) =
            message[..length].split(|byte| *byte == b'\n').find(|line| line.starts_with(b"READY="))
        else {
            return Ok(Heard::Other);
        };
        self.manager.send(&[ready, b"\n"].concat())?;
        self.manager.send(format!("MAINPID={pid}\n").as_bytes())?;
        self.barrier()?;
        Ok(Heard::Ready)
    }

    /// Waits until the workload is ready or has ended.
    pub(super) fn until_ready(&self, pid: u32, ended: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            let mut fds = [PollFd::new(self, PollFlags::IN), PollFd::from_borrowed_fd(ended, PollFlags::IN)];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                ready => ready?,
            };
            let [message, end] = fds.map(|fd| !fd.revents().is_empty());
            if (message && self.pass_on(pid)? == Heard::Ready) || (end && !message) {
                return Ok(());
            }
        }
    }

    /// Waits until the manager has read all (`sd_notify_barrier(3)`): it asks the kernel whose messages they are, and we may
    /// be gone by then.
    fn barrier(&self) -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        send_descriptor(self.manager.as_fd(), b"BARRIER=1", writer.as_fd())?;
        drop(writer);
        let mut fds = [PollFd::new(&reader, PollFlags::HUP)];
        match poll(&mut fds, Some(&PATIENCE)) {
            // One that never reads is no reason to fail a container that runs.
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Messenger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.container.as_fd()
    }
}

/// Binds by descriptor: an address has room for 108 bytes, and a state root may lie deeper.
fn bind(directory: &Path) -> io::Result<UnixDatagram> {
    let opened = OwnedFd::from(fs::File::open(directory)?);
    let path = directory.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixDatagram::bind(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A name that begins with `@` is an abstract one, unix(7).
fn connect(manager: &OsStr) -> io::Result<UnixDatagram> {
    let address = match manager.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(manager)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

fn failed(step: &'static str, path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, step).on(path.display()).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_passed_on_and_nothing_else() {
        let container = std::env::temp_dir().join(format!("nucleus-notify-{}", std::process::id()));
        let deep = container.join("x".repeat(120));
        fs::create_dir_all(&deep).unwrap();
        let host = container.join("host.sock");
        let manager = UnixDatagram::bind(&host).unwrap();
        assert!(
            Messenger::open(&deep, Some(host.as_os_str())).unwrap().is_none(),
            "the container was made without"
        );
        prepare(&deep).unwrap();
        assert!(Messenger::open(&deep, None).unwrap().is_none());
        let messenger = Messenger::open(&deep, Some(host.as_os_str())).unwrap().unwrap();
        let inside = UnixDatagram::unbound().unwrap();
        let directory = fs::File::open(directory(&deep)).unwrap();
        inside.connect(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd())).unwrap();
        inside.send(b"STATUS=warming up\nMAINPID=1").unwrap();
        assert_eq!(messenger.pass_on(7).unwrap(), Heard::Other);
        inside.send(b"STATUS=fine\nREADY=1\n").unwrap();
        let reading = std::thread::spawn(move || {
            let mut message = [0; 64];
            let mut texts = Vec::new();
            for _ in 0..3 {
                let length = manager.recv(&mut message).unwrap();
                texts.push(String::from_utf8_lossy(&message[..length]).into_owned());
            }
            texts
        });
        assert_eq!(messenger.pass_on(7).unwrap(), Heard::Ready);
        assert_eq!(reading.join().unwrap(), ["READY=1\n", "MAINPID=7\n", "BARRIER=1"]);
        fs::remove_dir_all(container).unwrap();
    }
}
