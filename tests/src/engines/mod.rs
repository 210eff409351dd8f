//! Container engines from Debian, with nucleus as the runtime below them.
//!
//! Each test has an engine of its own: store, state, sockets, locks and configuration lie in the test's directory, and
//! its cgroups below one that carries the test's scope. Nothing under `/etc`, `/var/lib` or `/run` is touched, but for
//! containerd's shim, which insists on `/run/containerd/s` for its sockets, and Docker, which makes `/run/docker/plugins`.

pub mod containerd;
pub mod docker;
pub mod image;
pub mod podman;
mod server;

pub use containerd::Containerd;
pub use docker::Docker;
pub use podman::Podman;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::nucleus::{self, Input, Output, Running, Sink};

/// Names another runtime to put below the engines: with `/usr/sbin/runc` the tests show that they are right themselves.
pub const RUNTIME: &str = "NUCLEUS_TEST_RUNTIME";

/// How long a call may take: an emulated guest is some fifty times slower than its host.
const PATIENCE: Duration = Duration::from_mins(5);

/// The image that each engine has.
pub const IMAGE: &str = "localhost/box:latest";

/// The runtime under test: what [`RUNTIME`] names, else nucleus.
pub fn runtime() -> PathBuf {
    env::var_os(RUNTIME).map_or_else(|| nucleus::binary().to_owned(), PathBuf::from)
}

/// Writes a program that calls the runtime with the test's state directory. Podman gives its runtimes no `--root`; they
/// would keep their state in a place that all tests share.
fn runtime_with_root(host: &Host) -> PathBuf {
    let script =
        format!("#!/bin/sh\nexec '{}' --root '{}' \"$@\"\n", runtime().display(), host.root().display());
    let path = host.file("runtime", script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("make the runtime executable");
    path
}

/// A call of an engine that is being put together.
#[derive(Debug)]
#[must_use = "a call does nothing until it is run"]
pub struct Call {
    words: Vec<OsString>,
    directory: PathBuf,
    input: Input,
}

impl Call {
    fn new(host: &Host, words: Vec<OsString>) -> Self {
        Self { words, directory: host.path(""), input: Input::Empty }
    }

    /// Bytes for standard input, which ends after them.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// The directory that the engine is called in, in place of the test's own.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// The words of the call, for [`crate::pty::Terminal`].
    pub fn words(self) -> Vec<OsString> {
        self.words
    }

    /// Starts, and hands over the running process.
    #[track_caller]
    pub fn spawn(self) -> Running {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).current_dir(self.directory);
        Running::start(command, self.input, &Sink::Pipe, PATIENCE)
    }

    /// Runs to the end.
    #[track_caller]
    pub fn output(self) -> Output {
        self.spawn().wait()
    }

    /// Runs to the end, which must be a good one, and returns what was written, without space at its end.
    #[track_caller]
    pub fn text(self) -> String {
        self.output().assert_code(0).text().to_owned()
    }
}

/// Removes the directories that an engine made for its containers' cgroups. Waits a little for the engine's monitors,
/// which live on for a moment; what is still busy then stays, and is found by the leak check.
fn remove_cgroups(host: &Host) {
    let deadline = Instant::now() + Duration::from_secs(4);
    let hierarchies =
        fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let unified = PathBuf::from("/sys/fs/cgroup");
    for directory in hierarchies.chain([unified]).map(|hierarchy| hierarchy.join(host.scope())) {
        while directory.exists() && !remove_empty(&directory) && Instant::now() < deadline {
            sleep(Duration::from_millis(10));
        }
    }
}

/// Removes a directory of cgroups, deepest first; false when something lives in one.
fn remove_empty(directory: &Path) -> bool {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    fs::remove_dir(directory).is_ok()
}
