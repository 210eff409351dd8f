//! The OCI reading: nucleus as engines call it.

mod checkpoint;
mod command_line;
mod events;
mod exec;
mod handles;
mod hooks;
mod life;
mod pause;
mod profile;
mod ps;
mod races;
mod update;

use std::path::PathBuf;

use nucleus_tests::{Host, Running};

use crate::DEV;

/// A container that an operator runs in the foreground, for the verbs that take its id.
struct Operated {
    id: String,
    running: Running,
    /// The directory that the workload sees as `/files`.
    files: PathBuf,
}

impl Operated {
    /// Runs a script, and waits until it has made `file` in `/files`.
    #[track_caller]
    fn run(host: &Host, script: &str, file: &str) -> Self {
        let id = host.fresh_id();
        let files = crate::open_directory(host, "files");
        let mut running = host
            .nucleus("run")
            .profile(DEV)
            .args(["--id", &id, "--no-tty", "--volume", &crate::writable(&files, "/files")])
            .command(["/bin/sh", "-c", script])
            .spawn();
        running.wait_for_file(&files.join(file));
        Self { id, running, files }
    }
}
