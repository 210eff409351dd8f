//! OCI bundles made for one test, and the containers that engines would make of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::host::Host;
use crate::nucleus::{Nucleus, Output};
use crate::rootfs::Rootfs;

/// How long [`Container::wait_for`] waits; far beyond what a container takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bundle: a busybox root file system, and a `config.json` that is written by [`Self::write`].
#[derive(Debug, Clone)]
pub struct Bundle {
    path: PathBuf,
    config: Value,
}

impl Bundle {
    /// A bundle in a directory of the test, whose workload is a shell script. Its `config.json` is a small one of the kind
    /// that engines write: five namespaces, `/proc`, `/dev`, a few capabilities, and no terminal.
    pub fn shell(host: &Host, name: &str, script: &str) -> Self {
        Self::new(host, name, &["/bin/sh", "-c", script])
    }

    /// The same, with a command.
    pub fn new(host: &Host, name: &str, command: &[&str]) -> Self {
        let path = host.path(name);
        Rootfs::busybox(path.join("rootfs"));
        Self { path, config: config(command) }
    }

    /// Sets the field at a JSON pointer; objects on the way that are missing are made.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *place(&mut self.config, pointer) = value.into();
        self
    }

    /// Appends to the list at a JSON pointer, which is made where it is missing.
    pub fn push(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let list = place(&mut self.config, pointer);
        if list.is_null() {
            *list = json!([]);
        }
        list.as_array_mut().expect("the pointer leads to a list").push(value.into());
        self
    }

    /// Removes the field at a JSON pointer.
    pub fn remove(mut self, pointer: &str) -> Self {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
        if let Some(object) = self.config.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(field);
        }
        self
    }

    /// Shows a directory of the host in the container.
    pub fn bind(self, source: &Path, destination: &str) -> Self {
        let mount =
            json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "rw"]});
        self.push("/mounts", mount)
    }

    /// The whole `config.json`.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// The bundle's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// Writes `config.json`.
    pub fn write(self) -> Self {
        let text = serde_json::to_vec_pretty(&self.config).expect("JSON can be written");
        fs::write(self.path.join("config.json"), text).expect("write config.json");
        self
    }
}

fn config(command: &[&str]) -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": command,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "nucleus",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        ],
        "linux": {"namespaces": namespaces},
    })
}

/// The place that a pointer names; what is missing on the way is made.
fn place<'a>(config: &'a mut Value, pointer: &str) -> &'a mut Value {
    let names = pointer.split('/').skip(1);
    names.fold(config, |place, name| match (name.parse::<usize>(), place) {
        (Ok(index), Value::Array(list)) => &mut list[index],
        (_, place) => &mut place[name],
    })
}

/// A container of the OCI reading. Nothing happens when this is dropped: a test that leaves its container fails.
#[derive(Debug)]
pub struct Container<'a> {
    host: &'a Host,
    /// Its id.
    pub id: String,
}

impl<'a> Container<'a> {
    /// An id of the test's that nobody has taken.
    pub fn fresh(host: &'a Host) -> Self {
        Self::named(host, &host.fresh_id())
    }

    /// A container of this id.
    pub fn named(host: &'a Host, id: &str) -> Self {
        Self { host, id: id.to_owned() }
    }

    /// Makes a container of a bundle, and fails the test unless that works.
    #[track_caller]
    pub fn create(host: &'a Host, bundle: &Bundle) -> Self {
        let this = Self::fresh(host);
        this.creating(bundle).output().assert_success();
        this
    }

    /// `nucleus create --bundle … ID`, with nothing on its standard output: what the workload writes is lost.
    pub fn creating(&self, bundle: &Bundle) -> Nucleus {
        self.host.nucleus("create").arg("--bundle").arg(bundle.path()).arg(&self.id).detached()
    }

    /// `nucleus VERB ID`.
    pub fn verb(&self, verb: &str) -> Nucleus {
        self.host.nucleus(verb).arg(&self.id)
    }

    /// Starts it, and fails the test unless that works.
    #[track_caller]
    pub fn start(&self) {
        self.verb("start").output().assert_success();
    }

    /// `nucleus kill ID SIGNAL`.
    #[track_caller]
    pub fn kill(&self, signal: &str) -> Output {
        self.verb("kill").arg(signal).output()
    }

    /// `nucleus state`, as JSON.
    #[track_caller]
    pub fn state(&self) -> Value {
        self.verb("state").output().assert_success().json()
    }

    /// Its status.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().expect("a status is text").to_owned()
    }

    /// The id of its first process on the host.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.state()["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid is a number")
    }

    /// Waits until it has this status.
    #[track_caller]
    pub fn wait_for(&self, status: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.status() != status {
            assert!(Instant::now() < deadline, "it never became {status}: {}", self.state());
            sleep(Duration::from_millis(5));
        }
    }

    /// Removes it after its end, and fails the test unless that works.
    #[track_caller]
    pub fn delete(self) {
        self.verb("delete").output().assert_success();
    }

    /// Kills and removes it.
    #[track_caller]
    pub fn delete_by_force(self) {
        self.verb("delete").arg("--force").output().assert_success();
    }
}
