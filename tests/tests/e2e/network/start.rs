//! A container that runs while the test looks.

use std::path::PathBuf;

use nucleus_tests::{Host, Running, Town};

use crate::{open_directory, writable};

/// A container of the town that runs until it is dropped.
pub(super) struct Guest {
    pub(super) id: String,
    running: Option<Running>,
    /// How it is ended, if not by a signal.
    end: Option<nucleus_tests::Nucleus>,
}

impl Guest {
    /// Starts a program in it, and waits until that has made `/ready/now`.
    #[track_caller]
    pub(super) fn start(host: &Host, town: &Town, profile: &PathBuf, command: &[&str]) -> Self {
        Self::start_as(host, town, profile, &["--init"], command)
    }

    /// The same without an init, for backends that have none: it is killed in the end.
    #[track_caller]
    pub(super) fn start_plain(host: &Host, town: &Town, profile: &PathBuf, command: &[&str]) -> Self {
        let mut guest = Self::start_as(host, town, profile, &[], command);
        // runsc listens in the network namespace that it was started in.
        guest.end = Some(town.nucleus(host.nucleus("kill").args([guest.id.as_str(), "KILL"])));
        guest
    }

    #[track_caller]
    fn start_as(host: &Host, town: &Town, profile: &PathBuf, flags: &[&str], command: &[&str]) -> Self {
        let id = host.fresh_id();
        let directory = open_directory(host, &format!("ready-{id}"));
        let volume = writable(&directory, "/ready");
        let call = host
            .nucleus("run")
            .profile(profile)
            .args(["--id", &id, "--no-tty", "--volume", &volume])
            .args(flags);
        let mut running = town.nucleus(call.command(command)).spawn();
        running.wait_for_file(&directory.join("now"));
        Self { id, running: Some(running), end: None }
    }

    /// One that does nothing.
    #[track_caller]
    pub(super) fn idle(host: &Host, town: &Town, profile: &PathBuf) -> Self {
        Self::start(host, town, profile, &["/bin/sh", "-c", "touch /ready/now; exec sleep 1000"])
    }

    /// One that serves at ports of its own, as the town's places do.
    #[track_caller]
    pub(super) fn server(host: &Host, town: &Town, profile: &PathBuf, name: &str, ports: &[&str]) -> Self {
        let program =
            nucleus_tests::town::SERVE.replace("print('ready', flush=True)", "open('/ready/now', 'w')");
        let mut words = vec!["/usr/bin/python3", "-c", &program, name];
        words.extend(ports);
        Self::start(host, town, profile, &words)
    }

    /// What a script prints in it.
    #[track_caller]
    pub(super) fn shell(&self, host: &Host, script: &str) -> String {
        let call = host.nucleus("exec").arg(&self.id).args(["/bin/sh", "-c", script]);
        call.output().assert_success().text().to_owned()
    }

    /// The process of its nucleus.
    pub(super) fn nucleus(&self) -> rustix::process::Pid {
        self.running.as_ref().expect("it runs").pid()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            match self.end.take() {
                Some(kill) => drop(kill.output().assert_success()),
                None => running.signal(rustix::process::Signal::TERM),
            }
            let _ = running.wait();
        }
    }
}

impl Guest {
    /// Its nucleus has been killed: there is nobody to end.
    pub(super) fn forget(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.wait();
        }
    }
}
