//! Telling that the out-of-memory killer has struck.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How often the count is looked at again after a notice. cgroup v1 gives the notice before the killer chooses its victim
/// (`mem_cgroup_oom` of mm/memcontrol-v1.c), and the count rises after that.
const LOOKS: u32 = 8;

/// The pause before the second look; each further one is twice as long. All together last a quarter of a second.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// The count of processes that the killer has ended in a container.
#[derive(Debug)]
pub(super) struct Kills {
    known: u64,
}

impl Kills {
    /// Counts from `known` on.
    pub(super) fn from(known: Option<u64>) -> Self {
        Self { known: known.unwrap_or(0) }
    }

    /// Whether the count has risen since it was last looked at.
    pub(super) fn rose_to(&mut self, count: Option<u64>) -> bool {
        let rose = count.is_some_and(|count| count > self.known);
        self.known = count.map_or(self.known, |count| count.max(self.known));
        rose
    }

    /// After a notice: waits a little for the count to rise. `count` gives `None` when nothing counts any more.
    pub(super) fn settle(&mut self, mut count: impl FnMut() -> Option<u64>) -> bool {
        let mut pause = FIRST_PAUSE;
        for _ in 0..LOOKS {
            let now = count();
            if self.rose_to(now) {
                return true;
            }
            if now.is_none() {
                return false;
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        false
    }
}

/// Throws away what a notice holds. True when there will be no further one.
pub(super) fn discard(watch: &OwnedFd) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    match rustix::io::read(watch, &mut buffer) {
        Ok(0) => Ok(true),
        Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rise_is_told_once() {
        let mut kills = Kills::from(Some(2));
        assert!(!kills.rose_to(Some(2)));
        assert!(kills.rose_to(Some(4)));
        assert!(!kills.rose_to(Some(4)));
        assert!(!kills.rose_to(None));
        assert!(kills.rose_to(Some(5)));
    }

    #[test]
    fn a_count_that_rises_after_the_notice_is_waited_for() {
        let mut counts = [Some(0), Some(0), Some(1)].into_iter();
        let mut kills = Kills::from(Some(0));
        assert!(kills.settle(|| counts.next().flatten()));
        assert!(!kills.settle(|| None));
    }
}
