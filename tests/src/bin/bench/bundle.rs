//! The OCI bundle that crun and runc run: the same container that nucleus makes.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Limits that every measured runtime sets.
pub(crate) const MEMORY: u64 = 256 << 20;
/// See [`MEMORY`].
pub(crate) const PIDS: u32 = 128;

/// Lays a bundle at `path` and returns its path. `seccomp` is the filter, as `linux.seccomp`.
pub(crate) fn lay(path: PathBuf, cgroup: &str, seccomp: Option<&Value>) -> io::Result<PathBuf> {
    let root = path.join("rootfs");
    for directory in ["usr", "proc", "dev", "sys", "etc", "tmp"] {
        fs::create_dir_all(root.join(directory))?;
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        let _ = symlink(Path::new("usr").join(link), root.join(link));
    }
    fs::write(path.join("config.json"), config(cgroup, seccomp).to_string())?;
    Ok(path)
}

fn config(cgroup: &str, seccomp: Option<&Value>) -> Value {
    let none: [&str; 0] = [];
    let namespaces = ["pid", "mount", "network", "uts", "ipc", "cgroup"].map(|kind| json!({"type": kind}));
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "cwd": "/", "args": ["/bin/true"], "env": ["PATH=/usr/bin:/bin"],
            "user": {"uid": 0, "gid": 0}, "noNewPrivileges": true,
            "capabilities": {
                "bounding": none, "effective": none, "permitted": none, "inheritable": none, "ambient": none,
            },
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "bench",
        "mounts": mounts(),
        "linux": {
            "cgroupsPath": cgroup,
            "resources": {"memory": {"limit": MEMORY}, "pids": {"limit": PIDS}},
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    if let Some(filter) = seccomp {
        config["linux"]["seccomp"] = filter.clone();
    }
    config
}

fn mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro", "nosuid", "nodev"]},
    ])
}
