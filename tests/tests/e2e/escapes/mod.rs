//! Known escapes, each as a named test. Where a trap could be blunt, a test beside it shows that it falls on a naive
//! stand-in: what a runtime without the defence would do, a few lines of shell in a mount namespace of their own.

mod capabilities;
mod descriptors;
mod dev_races;
mod executable;
mod interfaces;
mod links;
mod masks;
mod places;
mod procfs;
mod setuid;
mod targets;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nucleus_tests::canary::Canary;
use nucleus_tests::racer::Racer;
use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::{Host, Nucleus};

use crate::DEV;

/// A directory of the host, with a file in it, that traps lead to.
pub(crate) struct Bait {
    pub(crate) path: PathBuf,
    canaries: [Canary; 2],
}

impl Bait {
    pub(crate) fn lay(host: &Host) -> Self {
        let path = host.path("bait");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), "sings").unwrap();
        let canaries = [Canary::watch(&path), Canary::watch(path.join("file"))];
        Self { path, canaries }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path.join("file")
    }

    pub(crate) fn is_untouched(&self) -> bool {
        self.canaries.iter().all(Canary::lives)
    }

    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        self.canaries.iter().for_each(Canary::assert_alive);
    }
}

fn in_root(host: &Host, root: &Rootfs, script: &str) -> Nucleus {
    host.shell(DEV, script).arg("--rootfs").arg(root.path())
}

/// How often containers start in a race.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Starts {
    /// As many are enough.
    pub(crate) enough: usize,
    /// As many there must be.
    pub(crate) least: usize,
    /// After this time there are no more.
    pub(crate) patience: Duration,
}

/// Of what starts in milliseconds.
pub(crate) const MANY: Starts = Starts { enough: 60, least: 20, patience: Duration::from_secs(20) };

/// Two paths change places all the time while containers start: until there were enough swaps and starts to lose a race,
/// and no longer than somebody waits. Returns how the starts ended.
pub(crate) fn race(one: &Path, other: &Path, start: impl FnMut() -> Option<i32>) -> Vec<Option<i32>> {
    race_of(MANY, one, other, start)
}

/// [`race`] with another number of starts.
pub(crate) fn race_of(
    starts: Starts,
    one: &Path,
    other: &Path,
    mut start: impl FnMut() -> Option<i32>,
) -> Vec<Option<i32>> {
    let racer = Racer::swap(one, other);
    let until = Instant::now() + starts.patience;
    let mut codes = Vec::new();
    while (codes.len() < starts.enough || racer.swaps() < 2000) && Instant::now() < until {
        codes.push(start());
    }
    assert!(racer.swaps() >= 2000, "only {} swaps", racer.swaps());
    assert!(codes.len() >= starts.least, "only {} starts in the time", codes.len());
    codes
}

/// Runs a naive stand-in for a runtime: a script of `sh`, with paths as its arguments.
fn stand_in(script: &str, paths: &[&Path]) -> Output {
    let mut command = Command::new("unshare");
    command.args(["--mount", "/bin/bash", "-c", script, "stand-in"]).args(paths);
    command.output().expect("start a stand-in")
}
