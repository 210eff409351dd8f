//! `events`: what a container uses, again and again, and when the out-of-memory killer strikes.

mod oom;

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nucleus_abi::{ContainerId, Error, ErrorCode, Reply, Result, Stats, WatchOomReply};
use nucleus_sys::pidfd::PidFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::found::Found;
use super::state_root::StateRoot;
use crate::plugins::Registry;
use oom::Kills;

/// Something that happens to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What it uses now.
    Stats(Box<Stats>),
    /// The out-of-memory killer has ended one of its processes, or several at once.
    Oom,
}

/// What a container uses now.
///
/// # Errors
/// `container-not-found`; `wrong-state` when it has ended.
pub fn stats(id: &ContainerId, root: &StateRoot, registry: &Registry) -> Result<Stats> {
    Found::alive(id, root, registry, "tell what the container uses")?.stats()
}

/// Tells each event of a container until it ends, or until `tell` breaks off; statistics every `interval`.
///
/// Sleeps in between: until the next moment, the end of the container, or a notice of the out-of-memory killer. `warn` hears
/// why there are no such notices, where there are none.
///
/// # Errors
/// As for [`stats`]; what the backend or `tell` reports.
pub fn events(
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    interval: Duration,
    warn: &dyn Fn(&str),
    tell: &mut dyn FnMut(Event) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let container = Found::alive(id, root, registry, "watch the container")?;
    let (ended, _) = container.first_process()?;
    let notices = notices(&container, warn)?;
    let kills = Kills::from(container.stats()?.memory.oom_kills);
    Watch { container, ended, notices, kills }.until_ended(interval, tell)
}

/// A container without a memory group has none; everything else about it can be watched.
fn notices(container: &Found<'_>, warn: &dyn Fn(&str)) -> Result<Option<OwnedFd>> {
    match container.client.watch_oom(&container.request()) {
        Ok(reply) => {
            let mut descriptors: Vec<Option<OwnedFd>> = reply.descriptors.into_iter().map(Some).collect();
            let watch = Reply::<WatchOomReply>::take(&mut descriptors, reply.document.watch)?;
            rustix::io::ioctl_fionbio(&watch, true).map_err(|errno| failed(&errno.into()))?;
            Ok(Some(watch))
        }
        Err(error) if matches!(error.code, ErrorCode::HostUnfit | ErrorCode::NotSupported) => {
            warn(&format!("nothing will tell of the out-of-memory killer: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

struct Watch<'a> {
    container: Found<'a>,
    ended: PidFd,
    notices: Option<OwnedFd>,
    kills: Kills,
}

impl Watch<'_> {
    fn until_ended(
        mut self,
        interval: Duration,
        tell: &mut dyn FnMut(Event) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut next = Instant::now() + interval;
        loop {
            let woken = self.wait(Some(next))?;
            if self.struck(&woken)? && tell(Event::Oom)?.is_break() {
                return Ok(());
            }
            if woken.ended {
                return Ok(());
            }
            if Instant::now() >= next {
                let Some(stats) = self.stats()? else { return Ok(()) };
                next += interval;
                if tell(Event::Stats(Box::new(stats)))?.is_break() {
                    return Ok(());
                }
            }
        }
    }

    /// Whether the killer has struck since this was last asked.
    fn struck(&mut self, woken: &Woken) -> Result<bool> {
        let Some(notices) = &self.notices else { return Ok(false) };
        // The group of a container that has just ended may be gone already.
        let container = &self.container;
        let count = || container.stats().ok().and_then(|stats| stats.memory.oom_kills);
        if woken.ended {
            // cgroup v2 holds notices back for a moment (`cgroup_file_notify` of kernel/cgroup/cgroup.c): the first process
            // may be dead before one comes. Whom the killer ends was counted before.
            return Ok(self.kills.rose_to(count()));
        }
        if !woken.noticed {
            return Ok(false);
        }
        if oom::discard(notices).map_err(|error| failed(&error))? {
            self.notices = None;
        }
        Ok(self.kills.settle(count))
    }

    /// `None` when the container has ended meanwhile, so that nothing counts for it any more.
    fn stats(&self) -> Result<Option<Stats>> {
        match self.container.stats() {
            Ok(stats) => Ok(Some(stats)),
            Err(_) if self.wait(None)?.ended => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sleeps until `moment`, the end or a notice; without a moment, it only looks.
    fn wait(&self, moment: Option<Instant>) -> Result<Woken> {
        loop {
            let left =
                moment.map_or(Duration::ZERO, |moment| moment.saturating_duration_since(Instant::now()));
            let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
            let watched: Vec<BorrowedFd<'_>> =
                std::iter::once(self.ended.as_fd()).chain(self.notices.as_ref().map(AsFd::as_fd)).collect();
            let mut fds: Vec<PollFd<'_>> =
                watched.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
            match poll(&mut fds, Some(&left)) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(&errno.into())),
                Ok(_) => {
                    let has = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
                    return Ok(Woken { ended: has(0), noticed: has(1) });
                }
            }
        }
    }
}

/// Why the watch woke up; neither when its moment has come.
struct Woken {
    ended: bool,
    noticed: bool,
}

fn failed(error: &io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, "watch the container").because(error)
}
