//! The scope of one test on this host; see the crate's documentation for how tests stay apart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::leak::{self, Snapshot};
use crate::nucleus::Nucleus;
use crate::workspace;

/// Each scope begins with this word; two numbers follow.
pub(crate) const PREFIX: &str = "e2e-";

/// How long something is waited for that a container does; far beyond what it takes.
const PATIENCE: Duration = Duration::from_secs(20);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static ENTERED: AtomicU32 = AtomicU32::new(0);

/// One test's place on this host. When it is dropped, the test fails if anything is left.
#[derive(Debug)]
pub struct Host {
    scope: String,
    directory: PathBuf,
    before: Snapshot,
    containers: AtomicU32,
    _alone: MutexGuard<'static, ()>,
}

impl Host {
    /// Takes a fresh scope and remembers what the host looks like.
    pub fn enter() -> Self {
        assert!(rustix::process::geteuid().is_root(), "end-to-end tests make containers: run them as root");
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // 1 means "on"; the call's type is a pid for historical reasons.
        rustix::process::set_child_subreaper(Some(rustix::process::Pid::INIT)).expect("become a subreaper");
        let scope = format!("{PREFIX}{}-{}", process::id(), ENTERED.fetch_add(1, Ordering::Relaxed));
        let directory = Path::new("/run/nucleus-test").join(&scope);
        let before = Snapshot::take();
        fs::create_dir_all(directory.join("files")).expect("make the test's directory");
        Self { scope, directory, before, containers: AtomicU32::new(0), _alone: alone }
    }

    /// The name that stands in everything this test makes.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The state directory that this test's nucleus gets as `--root`.
    pub fn root(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// A path for the test's own files (not under `--root`).
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join("files").join(name)
    }

    /// Writes a file of the test and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        path
    }

    /// Writes a profile that extends `parent` (a path in the checkout) with more YAML, and returns its path.
    pub fn profile(&self, parent: &str, yaml: &str) -> PathBuf {
        let parent = workspace().join(parent);
        let name = format!("profile-{}.yaml", self.containers.fetch_add(1, Ordering::Relaxed));
        self.file(&name, format!("apiVersion: nucleus/v1\nextends: {}\n{yaml}\n", parent.display()))
    }

    /// A container id of this scope that was not used before.
    pub fn fresh_id(&self) -> String {
        format!("{}-c{}", self.scope, self.containers.fetch_add(1, Ordering::Relaxed))
    }

    /// `nucleus --root … VERB`.
    pub fn nucleus(&self, verb: &str) -> Nucleus {
        Nucleus::new(&self.root(), verb)
    }

    /// `nucleus --root … --profile PROFILE run --id … --no-tty -- COMMAND…`.
    pub fn run(&self, profile: impl AsRef<Path>, command: &[&str]) -> Nucleus {
        self.nucleus("run").profile(profile).args(["--id", &self.fresh_id(), "--no-tty"]).command(command)
    }

    /// `run`, with a shell script as the command.
    pub fn shell(&self, profile: impl AsRef<Path>, script: &str) -> Nucleus {
        self.run(profile, &["/bin/sh", "-c", script])
    }

    /// Waits until something is so, and fails the test when that does not come.
    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "it never came: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a file exists that a workload makes when it is ready.
    #[track_caller]
    pub fn wait_for_file(&self, path: &Path) {
        self.wait_until(&path.display().to_string(), || path.exists());
    }

    /// What is still there that was not there when the test began; empty when all is well. Waits a little for the
    /// kernel, which takes dead cgroups and mounts apart in its own time.
    pub fn leaks(&self) -> Vec<String> {
        leak::wait_for_none(&self.before, &self.scope, &self.root())
    }

    /// What is still there at this moment.
    pub fn leaks_now(&self) -> Vec<String> {
        leak::left(&self.before, &self.scope, &self.root())
    }

    /// Fails, naming each thing that is left.
    #[track_caller]
    pub fn assert_no_leak(&self) {
        let leaks = self.leaks();
        assert!(leaks.is_empty(), "nucleus left behind:\n  {}", leaks.join("\n  "));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let leaks = self.leaks();
        leak::sweep(&self.scope);
        let _ = fs::remove_dir_all(&self.directory);
        // A test that already failed keeps its own message; a second panic would hide it.
        if !thread::panicking() {
            assert!(leaks.is_empty(), "nucleus left behind:\n  {}", leaks.join("\n  "));
        }
    }
}
