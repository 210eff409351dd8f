//! A bundle whose root file system shows the programs of the host, so that nothing needs to be installed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A bundle on disk.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) directory: PathBuf,
    pub(crate) config: Value,
}

impl Bundle {
    /// Runs `sh -c SCRIPT`, with all namespaces but those of users and time.
    pub(crate) fn new(directory: PathBuf, script: &str) -> std::io::Result<Self> {
        let rootfs = directory.join("rootfs");
        for name in ["proc", "dev", "sys", "tmp", "etc", "data", "root", "run"] {
            fs::create_dir_all(rootfs.join(name))?;
        }
        let mut mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
            json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}),
            json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}),
            json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}),
        ];
        for name in ["usr", "bin", "sbin", "lib", "lib64"] {
            let host = Path::new("/").join(name);
            if let Ok(target) = host.read_link() {
                symlink(target, rootfs.join(name))?;
            } else if host.is_dir() {
                fs::create_dir(rootfs.join(name))?;
                mounts.push(
                    json!({"destination": host, "type": "bind", "source": host, "options": ["rbind", "ro"]}),
                );
            }
        }
        Ok(Self { directory, config: config(script, &mounts) })
    }

    /// Sets the field at a JSON pointer; objects on the way that are missing are made.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        *place(&mut self.config, pointer) = value;
        self
    }

    /// Appends to the list at a JSON pointer.
    pub(crate) fn push(mut self, pointer: &str, value: Value) -> Self {
        if let Value::Array(list) = place(&mut self.config, pointer) {
            list.push(value);
        }
        self
    }

    /// Shows a directory of the trial in the container, as `/data`.
    pub(crate) fn with_data(self, options: &[&str]) -> std::io::Result<Self> {
        let source = self.directory.join("data");
        fs::create_dir_all(&source)?;
        let mount = json!({"destination": "/data", "type": "bind", "source": source, "options": options});
        Ok(self.push("/mounts", mount))
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(crate) fn write(&self) -> std::io::Result<()> {
        fs::write(self.directory.join("config.json"), self.config.to_string())
    }
}

fn place<'a>(config: &'a mut Value, pointer: &str) -> &'a mut Value {
    pointer.split('/').skip(1).fold(config, |place, name| &mut place[name])
}

fn config(script: &str, mounts: &[Value]) -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "kit",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sh", "-c", script],
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "noNewPrivileges": true,
        },
        "mounts": mounts,
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
        },
    })
}
