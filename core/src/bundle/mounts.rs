//! The mounts of a container, in the order in which they are made.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::plan::{Access, Execution, Plan, RootfsPlan, RuntimeKind, Submounts, TmpfsPlan, VolumePlan};

/// One entry of `mounts` in `config.json` (runtime specification, config.md#mounts).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Mount {
    /// Where, in the container.
    pub destination: PathBuf,
    /// File system type, or `bind`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// File system source, or a path of the host.
    pub source: PathBuf,
    /// Options of mount(8) and of the runtime specification.
    pub options: Vec<Cow<'static, str>>,
    /// Whether `source` is a path of the host that must be opened before the container is made.
    #[serde(skip)]
    pub origin: MountOrigin,
}

/// Where the content of a mount comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MountOrigin {
    /// The kernel.
    Kernel,
    /// A path of the host.
    Host,
}

/// All mounts of a plan: the kernel's own, the host's programs and libraries, volumes and tmpfs by depth, cgroups.
pub(super) fn mounts(plan: &Plan) -> Vec<Mount> {
    if plan.rootfs.value == RootfsPlan::Joined {
        return Vec::new();
    }
    let mut mounts = kernel_mounts(plan.shm.value);
    if let RootfsPlan::HostRuntime { entries } = &plan.rootfs.value {
        let shown = entries.iter().filter(|entry| !matches!(entry.kind, RuntimeKind::Link(_)));
        mounts.extend(shown.map(|entry| host_runtime(&entry.path)));
    }
    let mut own: Vec<Mount> = plan.volumes.iter().map(|volume| volume_mount(&volume.value)).collect();
    own.extend(plan.tmpfs.iter().map(|tmpfs| tmpfs_mount(&tmpfs.value)));
    // Parents before children, whichever list they come from.
    own.sort_by_key(|mount| mount.destination.components().count());
    mounts.extend(own);
    // Last, for it needs the container's cgroups, which are made while the rest is being mounted.
    mounts.push(kernel(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    ));
    mounts
}

fn kernel_mounts(shm: u64) -> Vec<Mount> {
    vec![
        kernel("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        kernel("/dev", "tmpfs", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]),
        kernel(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        with(
            kernel("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777"]),
            format!("size={shm}"),
        ),
        kernel("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        kernel("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ]
}

fn kernel(destination: &str, kind: &'static str, source: &str, options: &[&'static str]) -> Mount {
    Mount {
        destination: destination.into(),
        kind,
        source: source.into(),
        options: options.iter().map(|option| Cow::Borrowed(*option)).collect(),
        origin: MountOrigin::Kernel,
    }
}

fn with(mut mount: Mount, option: String) -> Mount {
    mount.options.push(Cow::Owned(option));
    mount
}

/// Recursive attributes, for what is mounted below `/usr` must not be writable either.
fn host_runtime(path: &Path) -> Mount {
    bind(path, path, &["rbind", "rro", "rnosuid", "rnodev"])
}

fn bind(source: &Path, destination: &Path, options: &[&'static str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: "bind",
        source: source.to_owned(),
        options: options.iter().map(|option| Cow::Borrowed(*option)).collect(),
        origin: MountOrigin::Host,
    }
}

fn volume_mount(volume: &VolumePlan) -> Mount {
    let options: &[&'static str] = match (volume.submounts, volume.access, volume.execution) {
        (Submounts::LeftOut, Access::ReadOnly, Execution::Denied) => {
            &["bind", "ro", "nosuid", "nodev", "noexec"]
        }
        (Submounts::LeftOut, Access::ReadOnly, Execution::Allowed) => &["bind", "ro", "nosuid", "nodev"],
        (Submounts::LeftOut, Access::ReadWrite, Execution::Denied) => {
            &["bind", "rw", "nosuid", "nodev", "noexec"]
        }
        (Submounts::LeftOut, Access::ReadWrite, Execution::Allowed) => &["bind", "rw", "nosuid", "nodev"],
        (Submounts::Included, Access::ReadOnly, Execution::Denied) => {
            &["rbind", "rro", "rnosuid", "rnodev", "rnoexec"]
        }
        (Submounts::Included, Access::ReadOnly, Execution::Allowed) => &["rbind", "rro", "rnosuid", "rnodev"],
        (Submounts::Included, Access::ReadWrite, Execution::Denied) => {
            &["rbind", "rw", "rnosuid", "rnodev", "rnoexec"]
        }
        (Submounts::Included, Access::ReadWrite, Execution::Allowed) => &["rbind", "rw", "rnosuid", "rnodev"],
    };
    bind(&volume.source, &volume.target, options)
}

fn tmpfs_mount(tmpfs: &TmpfsPlan) -> Mount {
    let mut options = vec![Cow::Borrowed("nosuid"), Cow::Borrowed("nodev")];
    if tmpfs.execution == Execution::Denied {
        options.push(Cow::Borrowed("noexec"));
    }
    options.push(Cow::Owned(format!("size={}", tmpfs.size)));
    options.push(Cow::Owned(format!("mode={:04o}", tmpfs.mode)));
    Mount {
        destination: tmpfs.target.clone(),
        kind: "tmpfs",
        source: "tmpfs".into(),
        options,
        origin: MountOrigin::Kernel,
    }
}
