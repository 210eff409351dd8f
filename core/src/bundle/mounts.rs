//! The mounts of a container, in the order in which they are made.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::config::{Mapping, mappings};
use crate::network::ProvidedFile;
use crate::plan::{
    Access, ContextMode, ContextPlan, Execution, Plan, RootfsPlan, RuntimeKind, Submounts, TmpfsPlan,
    VolumeIds, VolumePlan, tmpfs_numbers,
};

/// One entry of `mounts` in `config.json` (runtime specification, config.md#mounts).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// User ids by which owners are shown; empty: their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<Mapping>,
    /// Group ids by which owners are shown; empty: their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<Mapping>,
    /// Whether `source` is a path of the host that must be opened before the container is made.
    #[serde(skip)]
    pub origin: MountOrigin,
}

/// Where the content of a mount comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MountOrigin {
    /// The kernel.
    Kernel,
    /// A path of the host that the root file system shows.
    Host,
    /// A volume, by its place in the plan.
    Volume(usize),
    /// A tmpfs, by its place in the plan.
    Tmpfs(usize),
    /// A secret, by its place in the plan: it arrives as a descriptor, and its source says nothing.
    Secret(usize),
    /// The context, or its copy.
    Context,
    /// A file of nucleus' own that tells of the network, by its place among those.
    Provided(usize),
}

impl MountOrigin {
    /// Whether the profile names the mount.
    pub(super) fn is_own(self) -> bool {
        !matches!(self, Self::Kernel | Self::Host)
    }
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
    let volumes = plan.volumes.iter().enumerate();
    mounts.extend(volumes.map(|(index, volume)| volume_mount(index, &volume.value)));
    mounts.extend(plan.context.iter().map(|context| context_mount(&context.value)));
    mounts.extend(plan.tmpfs.iter().enumerate().map(|(index, tmpfs)| tmpfs_mount(index, &tmpfs.value)));
    mounts.extend(secret_mounts(plan));
    sort(&mut mounts);
    // Last, for it needs the container's cgroups, which are made while the rest is being mounted.
    mounts.push(kernel(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    ));
    mounts
}

/// Adds files of nucleus' own, but where the plan mounts something else.
pub(super) fn add_provided(mounts: &mut Vec<Mount>, files: &[ProvidedFile]) {
    let Some(cgroup) = mounts.pop() else { return };
    for (index, provided) in files.iter().enumerate() {
        let target = Path::new(provided.target);
        if mounts.iter().any(|mount| mount.origin.is_own() && target.starts_with(&mount.destination)) {
            continue;
        }
        let options = &["bind", "ro", "nosuid", "nodev", "noexec"];
        mounts.push(Mount {
            origin: MountOrigin::Provided(index),
            ..bind(Path::new("network"), target, options)
        });
    }
    sort(mounts);
    mounts.push(cgroup);
}

/// The plan's own mounts, which stand together: parents before children, whichever list they come from, and secrets last, for
/// nothing may cover them.
pub(super) fn sort(mounts: &mut [Mount]) {
    let own = |mount: &Mount| mount.origin.is_own();
    if let (Some(first), Some(last)) = (mounts.iter().position(own), mounts.iter().rposition(own)) {
        mounts[first..=last].sort_by_key(|mount| {
            (matches!(mount.origin, MountOrigin::Secret(_)), mount.destination.components().count())
        });
    }
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
    let options = options.iter().map(|option| Cow::Borrowed(*option)).collect();
    Mount { options, ..kernel_named(Path::new(destination), kind, source) }
}

fn kernel_named(destination: &Path, kind: &'static str, source: &str) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind,
        source: source.into(),
        options: Vec::new(),
        uid_mappings: Vec::new(),
        gid_mappings: Vec::new(),
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
        uid_mappings: Vec::new(),
        gid_mappings: Vec::new(),
        origin: MountOrigin::Host,
    }
}

/// What holds for a volume holds for all that comes along with it, where the words of the whole tree are used.
fn volume_mount(index: usize, volume: &VolumePlan) -> Mount {
    let tree = volume.submounts == Submounts::Included;
    let word = |own: &'static str, of_tree: &'static str| if tree { of_tree } else { own };
    let mut options = vec![word("bind", "rbind"), word("nosuid", "rnosuid"), word("nodev", "rnodev")];
    options.push(match volume.access {
        Access::ReadOnly => word("ro", "rro"),
        Access::ReadWrite => "rw",
    });
    if volume.execution == Execution::Denied {
        options.push(word("noexec", "rnoexec"));
    }
    if volume.id_map.is_some() {
        options.push(word("idmap", "ridmap"));
    }
    let mount =
        Mount { origin: MountOrigin::Volume(index), ..bind(&volume.source, &volume.target, &options) };
    match &volume.id_map {
        Some(VolumeIds::Maps(maps)) => {
            Mount { uid_mappings: mappings(&maps.uid_map), gid_mappings: mappings(&maps.gid_map), ..mount }
        }
        Some(VolumeIds::Container) | None => mount,
    }
}

/// Joined ids are not known here: the backend maps what it is given.
fn secret_mounts(plan: &Plan) -> impl Iterator<Item = Mount> {
    let joined = plan.namespaces.joined.contains_key("user");
    let options: &[&'static str] = if joined {
        &["bind", "ro", "nosuid", "nodev", "noexec", "idmap"]
    } else {
        &["bind", "ro", "nosuid", "nodev", "noexec"]
    };
    plan.secrets.targets().map(|(index, target)| Mount {
        origin: MountOrigin::Secret(index),
        ..bind(Path::new("secret"), target, options)
    })
}

/// Where the copy of a context lies in the bundle; a source that is no absolute path counts from there.
pub(super) const CONTEXT: &str = "context";

fn context_mount(context: &ContextPlan) -> Mount {
    let options: &[&'static str] = match context.execution {
        Execution::Denied => &["bind", "ro", "nosuid", "nodev", "noexec"],
        Execution::Allowed => &["bind", "ro", "nosuid", "nodev"],
    };
    let source = match context.mode {
        ContextMode::Copy => Path::new(CONTEXT),
        ContextMode::Bind => &context.source,
    };
    Mount { origin: MountOrigin::Context, ..bind(source, &context.target, options) }
}

fn tmpfs_mount(index: usize, tmpfs: &TmpfsPlan) -> Mount {
    let mut options = vec![Cow::Borrowed("nosuid"), Cow::Borrowed("nodev")];
    if tmpfs.execution == Execution::Denied {
        options.push(Cow::Borrowed("noexec"));
    }
    options.push(Cow::Owned(format!("size={}", tmpfs.size)));
    options.push(Cow::Owned(format!("mode={:04o}", tmpfs.mode)));
    options.extend(tmpfs_numbers(tmpfs).map(|(key, value)| Cow::Owned(format!("{key}={value}"))));
    Mount { options, origin: MountOrigin::Tmpfs(index), ..kernel_named(&tmpfs.target, "tmpfs", "tmpfs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_what_lies_on_them_and_secrets_last_of_the_plans_own() {
        use MountOrigin::{Context, Kernel, Secret, Tmpfs, Volume};
        let mount = |(origin, place): (MountOrigin, &str)| Mount {
            origin,
            ..kernel_named(Path::new(place), "any", "any")
        };
        let given = [
            (Kernel, "/sys"),
            (Secret(0), "/key"),
            (Volume(0), "/srv/data/deep/er"),
            (Context, "/srv/data"),
            (Tmpfs(0), "/srv"),
        ];
        let mut mounts: Vec<Mount> = given.into_iter().map(mount).collect();
        sort(&mut mounts);
        let places: Vec<_> = mounts.iter().map(|mount| mount.destination.to_str().unwrap()).collect();
        assert_eq!(places, ["/sys", "/srv", "/srv/data", "/srv/data/deep/er", "/key"]);
    }
}
