//! containerd, with a store and a socket of its own, driven by `ctr`.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::server::Server;
use super::{Call, IMAGE, image, remove_cgroups, runtime};
use crate::host::Host;

/// How long a task may take to change.
const PATIENCE: Duration = Duration::from_secs(30);

/// A containerd whose runtime is nucleus. When it is dropped, it removes its tasks and ends.
#[derive(Debug)]
pub struct Containerd<'host> {
    host: &'host Host,
    server: Option<Server>,
    /// What the shim calls.
    binary: PathBuf,
}

impl<'host> Containerd<'host> {
    /// Starts containerd for this test, and loads the image.
    #[track_caller]
    pub fn enter(host: &'host Host) -> Self {
        let configuration = host.file("containerd.toml", configuration(host));
        let words = ["containerd", "--config", configuration.to_str().expect("a plain path")];
        let server = Server::start(host, &words, || ctr(host, &["version"]));
        let this = Self { host, server: Some(server), binary: runtime() };
        let archive = image::archive(host);
        this.ctr(&["image", "import", archive.to_str().expect("a plain path")]).text();
        this
    }

    /// With a criu that is not installed: `ctr` has no place to name it, so the runtime is called by a script that does.
    pub fn with_criu(mut self, criu: &Path) -> Self {
        let script =
            format!("#!/bin/sh\nexec '{}' --criu '{}' \"$@\"\n", self.binary.display(), criu.display());
        let binary = self.host.file("with-criu", script);
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755))
            .expect("make it executable");
        self.binary = binary;
        self
    }

    /// `ctr WORDS…`, in a namespace of containerd that is called like the test's scope: cgroups are too, then.
    pub fn ctr(&self, words: &[&str]) -> Call {
        ctr(self.host, words)
    }

    /// `ctr run FLAGS… IMAGE ID COMMAND…`, with nucleus as the binary of the runc shim.
    pub fn run(&self, id: &str, flags: &[&str], command: &[&str]) -> Call {
        let (binary, root) = (self.binary.clone(), self.host.root());
        let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
        let (binary, root) = (text(&binary), text(&root));
        let runtime = ["run", "--runc-binary", &binary, "--runc-root", &root];
        self.ctr(&[&runtime, flags, &[IMAGE, id], command].concat())
    }

    /// Starts a task in the background that sleeps until it gets a signal.
    #[track_caller]
    pub fn sleeper(&self, id: &str, flags: &[&str]) {
        let script = "trap 'exit 0' TERM; sleep 1000 & wait";
        self.run(id, &[&["--detach"], flags].concat(), &["/bin/sh", "-c", script]).text();
    }

    /// The state that `ctr task ls` shows for a task; `None` when there is no such task.
    #[track_caller]
    pub fn status(&self, id: &str) -> Option<String> {
        let list = self.ctr(&["task", "ls"]).text();
        let mut lines = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.find(|fields| fields[0] == id).map(|fields| fields[2].to_owned())
    }

    /// Waits until the task has this state.
    #[track_caller]
    pub fn wait_for_status(&self, id: &str, status: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.status(id).as_deref() != Some(status) {
            assert!(Instant::now() < deadline, "{id} is {:?} and not {status}", self.status(id));
            sleep(Duration::from_millis(20));
        }
    }

    /// Names of what `ctr KIND ls --quiet` lists.
    fn names(&self, kind: &str) -> Vec<String> {
        let output = self.ctr(&[kind, "ls", "--quiet"]).output();
        output.text().lines().map(str::to_owned).collect()
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        for task in self.names("task") {
            self.ctr(&["task", "delete", "--force", &task]).output();
        }
        for container in self.names("container") {
            self.ctr(&["container", "delete", &container]).output();
        }
        drop(self.server.take());
        remove_cgroups(self.host);
        // The shim makes a directory for its namespace below the runtime's, and leaves it.
        let _ = std::fs::remove_dir(self.host.root().join(self.host.scope()));
    }
}

fn ctr(host: &Host, words: &[&str]) -> Call {
    let mut call: Vec<OsString> = vec!["ctr".into(), "--address".into(), socket(host).into()];
    call.extend(["--namespace", host.scope()].map(OsString::from));
    call.extend(words.iter().map(OsString::from));
    Call::new(host, call)
}

fn socket(host: &Host) -> PathBuf {
    host.path("containerd.sock")
}

/// Only what `ctr` needs: neither the Kubernetes plugin, which wants a network, nor snapshotters that look for disks.
fn configuration(host: &Host) -> String {
    let path = |name: &str| host.path(name).display().to_string();
    format!(
        r#"
version = 2
root = "{}"
state = "{}"
disabled_plugins = [
    "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing",
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{}"
[ttrpc]
address = "{}"
"#,
        path("containerd-root"),
        path("containerd-state"),
        socket(host).display(),
        path("containerd.ttrpc"),
    )
}
