//! An engine's daemon, as a child of the test.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Call;
use crate::host::Host;

/// How long a daemon may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that writes its log into the test's directory. It is ended when this is dropped; after a failed test its
/// log is shown.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a daemon and waits until `question` gets an answer.
    #[track_caller]
    pub(super) fn start(host: &Host, words: &[&str], question: impl Fn() -> Call) -> Self {
        let log = host.path(&format!("{}.log", words[0]));
        let sink =
            || Stdio::from(File::options().create(true).append(true).open(&log).expect("open the log"));
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(sink()).stderr(sink());
        let child = command.spawn().unwrap_or_else(|error| panic!("start {}: {error}", words[0]));
        let this = Self { child, log };
        let deadline = Instant::now() + PATIENCE;
        while question().output().code() != Some(0) {
            assert!(Instant::now() < deadline, "{} does not come up", words[0]);
            sleep(Duration::from_millis(20));
        }
        this
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("{}:\n{log}", self.log.display());
        }
    }
}
