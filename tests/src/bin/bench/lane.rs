//! A thread that runs contestants, one after the other, and takes their times.

use std::ffi::OsString;
use std::io;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

/// What the runtimes of a lane see of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// The host as it is.
    Host,
    /// The host without `/sys/fs/cgroup/unified`: crun 1.8 refuses hosts that mount cgroup v2 beside v1. The mount is
    /// taken away once, in a mount namespace of the lane's own, so that the runs pay nothing for it.
    WithoutUnified,
}

/// Runs commands in one [`View`].
#[derive(Debug)]
pub(crate) struct Lane {
    requests: Sender<Vec<OsString>>,
    times: Receiver<io::Result<Duration>>,
}

impl Lane {
    /// Opens a lane; it closes when this is dropped.
    pub(crate) fn open(view: View) -> Self {
        let (requests, inbox) = channel::<Vec<OsString>>();
        let (outbox, times) = channel();
        thread::spawn(move || {
            let ready = enter(view);
            for words in inbox {
                let time = ready.as_ref().map_err(|error| io::Error::other(error.to_string()));
                if outbox.send(time.and_then(|()| time_of(&words))).is_err() {
                    return;
                }
            }
        });
        Self { requests, times }
    }

    /// Runs a command to its end. Its first run should be one that is not counted.
    pub(crate) fn time(&self, words: &[OsString]) -> io::Result<Duration> {
        let closed = || io::Error::other("the measuring thread ended");
        self.requests.send(words.to_vec()).map_err(|_| closed())?;
        self.times.recv().map_err(|_| closed())?
    }
}

fn enter(view: View) -> io::Result<()> {
    if view == View::Host {
        return Ok(());
    }
    unshare_mounts()?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    match unmount("/sys/fs/cgroup/unified", UnmountFlags::DETACH) {
        // EINVAL: not a mount; ENOENT: not there. Both mean that this host is no hybrid.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Gives the calling thread a mount namespace of its own; the processes it starts inherit it.
fn unshare_mounts() -> io::Result<()> {
    // SAFETY: CLONE_NEWNS (which implies CLONE_FS) changes the calling thread's view of mounts and its working
    // directory only; no memory or descriptor table is unshared.
    Ok(unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }?)
}

fn time_of(words: &[OsString]) -> io::Result<Duration> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.spawn()?.wait()?;
    let time = start.elapsed();
    if status.success() { Ok(time) } else { Err(explain(words)) }
}

/// Runs a failing command once more to hear what it says.
fn explain(words: &[OsString]) -> io::Error {
    let said = match Command::new(&words[0]).args(&words[1..]).output() {
        Ok(Output { status, stderr, .. }) => format!("{status}: {}", String::from_utf8_lossy(&stderr).trim()),
        Err(error) => error.to_string(),
    };
    io::Error::other(said)
}
