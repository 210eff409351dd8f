//! The freezer of a container: `cgroup.freeze` of cgroup v2, or the freezer hierarchy of v1.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nucleus_abi::{Error, ErrorCode, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Version;
use crate::fault::OrFail;

/// How long processes may take to stop: one that is stuck in the kernel freezes only when it comes out.
const PATIENCE: Duration = Duration::from_secs(10);

/// The group that freezes a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freezer<'a> {
    version: Version,
    directory: &'a Path,
}

/// Whether a container is paused: whether one of its groups is frozen, or is about to be.
///
/// # Errors
/// What reading the freezer's files reports. Groups that are gone are not frozen.
pub(crate) fn is_frozen(directories: &[PathBuf]) -> Result<bool> {
    match Freezer::of(directories) {
        Some(freezer) => freezer.is_frozen(),
        None => Ok(false),
    }
}

/// Lets killed processes of a paused container die. cgroup v2 kills what is frozen by itself; in v1 it waits for the thaw.
///
/// # Errors
/// What writing the freezer's file reports.
pub(crate) fn let_die(directories: &[PathBuf]) -> Result<()> {
    match Freezer::of(directories) {
        Some(freezer) if freezer.version == Version::V1 && freezer.is_frozen()? => freezer.thaw(),
        _ => Ok(()),
    }
}

impl<'a> Freezer<'a> {
    /// The freezer among a container's groups. On a hybrid host it is that of v1, as for every other runtime there.
    pub(crate) fn of(directories: &'a [PathBuf]) -> Option<Self> {
        let having = |version: Version| {
            let found = directories.iter().find(|directory| directory.join(switch(version)).exists())?;
            Some(Freezer { version, directory: found })
        };
        having(Version::V1).or_else(|| having(Version::V2))
    }

    pub(crate) fn directory(self) -> &'a Path {
        self.directory
    }

    pub(crate) fn is_frozen(self) -> Result<bool> {
        let file = self.directory.join(switch(self.version));
        let read = || fs::read_to_string(&file).map(|text| is_on(&text));
        or_gone(read()).or_fail("ask whether the container is paused", file.display())
    }

    /// Freezes the group and those below it, and returns when all processes stand still.
    ///
    /// # Errors
    /// `system-call` when they don't within ten seconds; then none of them is frozen.
    pub(crate) fn freeze(self) -> Result<()> {
        let frozen = match self.version {
            Version::V1 => self.freeze_v1(),
            Version::V2 => self.freeze_v2(),
        };
        frozen.map_err(|error| {
            // Half a pause would look like a hang of the workload.
            let _ = self.thaw();
            match error.kind() {
                io::ErrorKind::TimedOut => Error::new(ErrorCode::SystemCall, "pause the container")
                    .on(self.directory.display())
                    .because("some of its processes did not stop within ten seconds")
                    .hint("a process in uninterruptible sleep freezes only when it wakes: see `ps -o pid,state,wchan`"),
                _ => crate::fault::system("pause the container", &error).on(self.directory.display()),
            }
        })
    }

    /// Lets the processes go on. A group that is gone holds none.
    ///
    /// # Errors
    /// What writing the freezer's file reports.
    pub(crate) fn thaw(self) -> Result<()> {
        let value = match self.version {
            Version::V1 => "THAWED",
            Version::V2 => "0",
        };
        let file = self.directory.join(switch(self.version));
        or_gone(fs::write(&file, value)).or_fail("resume the container", file.display())
    }

    /// The kernel signals a change of `cgroup.events` as an exceptional condition (cgroup-v2.rst, "Populated Notification").
    fn freeze_v2(self) -> io::Result<()> {
        let mut events = File::open(self.directory.join("cgroup.events"))?;
        fs::write(self.directory.join(switch(Version::V2)), "1")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut text = String::new();
            events.rewind()?;
            events.read_to_string(&mut text)?;
            if text.lines().any(|line| line == "frozen 1") {
                return Ok(());
            }
            let left = deadline.checked_duration_since(Instant::now()).ok_or(io::ErrorKind::TimedOut)?;
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&left))?;
        }
    }

    /// v1 signals nothing, and may stay in FREEZING while processes are being made; writing FROZEN again makes it look anew,
    /// and a short thaw lets those go on that others wait for (freezer-subsystem.rst; runc does the same).
    fn freeze_v1(self) -> io::Result<()> {
        let file = self.directory.join(switch(Version::V1));
        let deadline = Instant::now() + PATIENCE;
        for round in 1_u32.. {
            fs::write(&file, "FROZEN")?;
            if fs::read_to_string(&file)?.trim_end() == "FROZEN" {
                return Ok(());
            }
            if Instant::now() > deadline {
                break;
            }
            if round.is_multiple_of(50) {
                fs::write(&file, "THAWED")?;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

const fn switch(version: Version) -> &'static str {
    match version {
        Version::V1 => "freezer.state",
        Version::V2 => "cgroup.freeze",
    }
}

fn is_on(text: &str) -> bool {
    matches!(text.trim_end(), "1" | "FROZEN" | "FREEZING")
}

/// A group may go at any time, with the last process or with `delete`; what is gone says what an empty one would say.
fn or_gone<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => Ok(T::default()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_tell_their_state_in_their_own_words() {
        assert!(["1\n", "FROZEN\n", "FREEZING\n"].into_iter().all(is_on));
        assert!(!["0\n", "THAWED\n", ""].into_iter().any(is_on));
    }

    #[test]
    fn groups_without_a_freezer_are_not_frozen() {
        assert!(!is_frozen(&[]).unwrap());
        assert!(!is_frozen(&["/sys/fs/cgroup/nucleus-no-such-group".into()]).unwrap());
    }
}
