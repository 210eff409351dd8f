//! The terminal of a container's process: the runtime makes it, and sends the operator's side through a socket
//! (runc's `--console-socket`).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_linux::fault::OrFail;
use nucleus_sys::socket::receive_descriptor;
use nucleus_sys::terminal::{set_window_size, window_size};
use nucleus_sys::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::place::Place;

/// A terminal's size in characters (`process.consoleSize`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) height: u16,
    pub(crate) width: u16,
}

/// The size that a process asks for.
pub(crate) fn size(process: &Value) -> Option<Size> {
    Size::deserialize(&process["consoleSize"]).ok()
}

/// Gives a terminal its size: runsc passes `consoleSize` over, and crun 1.8 in `exec`. Programs that meet a size of nothing may fail.
pub(crate) fn resize(terminal: &OwnedFd, size: Option<Size>, id: &str) -> Result<()> {
    let Some(Size { height, width }) = size else { return Ok(()) };
    let step = "give the terminal its size";
    let old = window_size(terminal.as_fd()).or_fail(step, id)?;
    if (old.ws_row, old.ws_col) == (height, width) {
        return Ok(());
    }
    set_window_size(terminal.as_fd(), nucleus_sys::terminal::Winsize { ws_row: height, ws_col: width, ..old })
        .or_fail(step, id)
}

/// A socket in the engine's directory that waits for a terminal.
pub(crate) struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    /// Listens under a name. It is bound through a descriptor of the directory, whose own path may be longer than a socket's
    /// address can be (108 bytes, unix(7)).
    pub(crate) fn listen(place: &Place, name: &str) -> Result<Self> {
        let directory = directory(place)?;
        let path = place.path().join(name);
        let short = PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()));
        let listener = UnixListener::bind(short).or_fail("listen for the terminal", path.display())?;
        Ok(Self { listener, path })
    }

    /// The terminal, from a runtime that has done what it had to: what it sent waits in the socket.
    pub(crate) fn receive(&self, id: &str) -> Result<OwnedFd> {
        let step = "receive the container's terminal";
        self.listener.set_nonblocking(true).or_fail(step, id)?;
        let missing = || {
            Error::new(ErrorCode::Protocol, step).on(id).because("the runtime was to send one, and did not")
        };
        let (stream, _) = self.listener.accept().map_err(|_| missing())?;
        stream.set_nonblocking(true).or_fail(step, id)?;
        receive_descriptor(stream.as_fd()).ok().flatten().ok_or_else(missing)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The engine's directory, by which a runtime finds the socket.
pub(crate) fn directory(place: &Place) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(place.path(), flags, Mode::empty())
        .or_fail("open the engine's directory", place.path().display())
}

/// The name of the socket of `create`.
pub(crate) const OF_CREATE: &str = "console";

/// The path by which a runtime that holds the directory finds a socket in it.
pub(crate) fn path_in(directory: &OwnedFd, name: &str) -> PathBuf {
    Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name)
}
