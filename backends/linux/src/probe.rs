//! The capability report: each entry is answered from knowledge of this engine *and* a look at the host, and nothing is
//! looked at that was not asked.

use std::cell::OnceCell;
use std::path::Path;

use nucleus_abi::{Capability, CapabilityReport, NetworkNamespace, Verdict};
use nucleus_sys::namespace::Namespace;
use nucleus_sys::{calls, landlock};

use crate::cgroups::{self, Controller, Layout, Version};
use crate::fault::explain;

/// A fact that stands in the way, or the means.
type Answer = Result<String, String>;

/// What was found out so far.
struct Host {
    privileges: OnceCell<Result<(), String>>,
    mount_api: OnceCell<Result<(), String>>,
    layout: Layout,
}

pub(crate) fn report(asked: &[Capability]) -> CapabilityReport {
    let host = Host { privileges: OnceCell::new(), mount_api: OnceCell::new(), layout: Layout::of_host() };
    let report = CapabilityReport::of(asked, |capability| {
        match host.privileged().and_then(|()| host.answer(capability)) {
            Ok(by) => Verdict::yes(by),
            Err(reason) => Verdict::no(reason),
        }
    });
    CapabilityReport { network: NetworkNamespace::Owned, ..report }
}

impl Host {
    fn answer(&self, capability: Capability) -> Answer {
        match capability {
            Capability::NamespacePid => namespace(Namespace::Pid),
            Capability::NamespaceMount => namespace(Namespace::Mount).and_then(|by| self.with_mounts(&by)),
            Capability::NamespaceNetwork | Capability::NetworkNone => namespace(Namespace::Network),
            Capability::NamespaceIpc => namespace(Namespace::Ipc),
            Capability::NamespaceUts | Capability::Hostname => namespace(Namespace::Uts),
            Capability::NamespaceCgroup => namespace(Namespace::Cgroup),
            Capability::NamespaceUser => user_namespace(),
            Capability::NamespaceTime => namespace(Namespace::Time),
            Capability::NamespaceJoin => Ok("setns(2)".to_owned()),
            Capability::Rootfs => self.with_mounts("move_mount(2) and pivot_root(2)"),
            Capability::RootfsReadonly
            | Capability::RootfsNodev
            | Capability::VolumesReadonly
            | Capability::MountFlags => self.with_mounts("mount_setattr(2) before the mount is attached"),
            Capability::VolumesIdmapped => {
                user_namespace().and_then(|_| self.with_mounts("mount_setattr(2) with MOUNT_ATTR_IDMAP"))
            }
            Capability::Volumes => self.with_mounts("open_tree(2) and move_mount(2)"),
            Capability::Tmpfs => self.with_mounts("tmpfs through fsopen(2)"),
            Capability::Devices => self.devices(),
            Capability::Secrets => self.with_mounts("move_mount(2) of mounts that hang nowhere"),
            Capability::SecretEnvironment => Ok("a descriptor that the last stage's exec reads".to_owned()),
            Capability::MaskedPaths => self.with_mounts("mounts of /dev/null and of an empty tmpfs"),
            Capability::ReadonlyPaths => self.with_mounts("read-only mounts"),
            Capability::User => Ok("setresuid(2), setresgid(2) and setgroups(2)".to_owned()),
            Capability::Umask => Ok("umask(2)".to_owned()),
            Capability::Rlimits => Ok("prlimit(2)".to_owned()),
            Capability::OomScoreAdj => Ok("/proc/<pid>/oom_score_adj".to_owned()),
            Capability::Terminal => self.with_mounts("a devpts of its own"),
            Capability::Init => Ok("the last stage as pid 1".to_owned()),
            Capability::Sysctls => Ok("a private procfs".to_owned()),
            Capability::Capabilities => Ok("capset(2) and prctl(2)".to_owned()),
            Capability::NoNewPrivileges => Ok("prctl(PR_SET_NO_NEW_PRIVS)".to_owned()),
            Capability::Seccomp => seccomp(),
            Capability::Landlock => landlock(),
            Capability::SealedRuntime => Ok("a last stage in a sealed memfd".to_owned()),
            Capability::Memory => self.cgroup_file(Controller::Memory, "memory.limit_in_bytes", "memory.max"),
            Capability::Swap => self.swap(),
            Capability::Cpu => self.cgroup_file(Controller::Cpu, "cpu.cfs_quota_us", "cpu.max"),
            Capability::CpuShares => self.cgroup_file(Controller::Cpu, "cpu.shares", "cpu.weight"),
            Capability::Cpuset => self.cgroup_file(Controller::Cpuset, "cpuset.cpus", "cpuset.cpus"),
            Capability::Pids => self.cgroup_file(Controller::Pids, "pids.max", "pids.max"),
            Capability::Io => self.cgroup_file(Controller::Io, "blkio.throttle.*", "io.max"),
            Capability::NetworkAttached => {
                namespace(Namespace::Network).map(|by| format!("{by}, which the core attaches"))
            }
            Capability::NetworkHost => Ok("the host's network namespace is kept".to_owned()),
            // The vocabulary may grow; what this release does not know, it does not promise.
            _ => Err("this release does not know it".to_owned()),
        }
    }

    fn privileged(&self) -> Result<(), String> {
        self.privileges.get_or_init(privileges).clone()
    }

    fn with_mounts(&self, by: &str) -> Answer {
        let available = || calls::missing(&calls::MOUNT).map_or(Ok(()), |call| Err(call.to_string()));
        self.mount_api.get_or_init(available).clone().map(|()| by.to_owned())
    }

    fn cgroup_file(&self, controller: Controller, v1: &str, v2: &str) -> Answer {
        let hierarchy = self.layout.find(controller).map_err(|error| error.cause.unwrap_or_default())?;
        match hierarchy.version {
            Version::V1 => Ok(format!("cgroup v1 {v1}")),
            Version::V2 => match cgroups::obstacle(&hierarchy.mount, controller) {
                None => Ok(format!("cgroup v2 {v2}")),
                Some(obstacle) => Err(obstacle),
            },
        }
    }

    fn devices(&self) -> Answer {
        let hierarchy = self.layout.find_devices().map_err(|error| error.cause.unwrap_or_default())?;
        let means = match hierarchy.version {
            Version::V1 => "cgroup v1 devices.allow".to_owned(),
            Version::V2 => cgroups::device_programs()
                .map(|()| "a BPF program on the cgroup".to_owned())
                .map_err(|error| format!("the kernel takes no device program: {}", explain(&error)))?,
        };
        self.with_mounts(&format!("mknod(2) and {means}"))
    }

    fn swap(&self) -> Answer {
        let memory = self.layout.find(Controller::Memory).map_err(|error| error.cause.unwrap_or_default())?;
        match memory.version {
            Version::V2 => self.cgroup_file(Controller::Memory, "", "memory.swap.max"),
            Version::V1 if memory.mount.join("memory.memsw.limit_in_bytes").exists() => {
                Ok("cgroup v1 memory.memsw.limit_in_bytes".to_owned())
            }
            Version::V1 => Err("the kernel does not account for swap (boot with swapaccount=1)".to_owned()),
        }
    }
}

/// `CAP_SYS_ADMIN` stands for the set that root has; what else is missing is named by the call that misses it.
pub(crate) fn privileges() -> Result<(), String> {
    let sets = rustix::thread::capabilities(None).map_err(|error| explain(&error.into()))?;
    if sets.effective.contains(rustix::thread::CapabilitySet::SYS_ADMIN) {
        return Ok(());
    }
    Err("CAP_SYS_ADMIN is missing: this backend runs as root".to_owned())
}

fn namespace(kind: Namespace) -> Answer {
    let name = kind.proc_name();
    // The link's own name says it; following it would make an inode of the namespace.
    if Path::new("/proc/self/ns").join(name).symlink_metadata().is_ok() {
        return Ok(format!("{} namespace", kind.oci_name()));
    }
    Err(format!("the kernel has no {} namespaces", kind.oci_name()))
}

fn user_namespace() -> Answer {
    let limit = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    match limit.trim() {
        "0" => Err("/proc/sys/user/max_user_namespaces is 0".to_owned()),
        _ => namespace(Namespace::User),
    }
}

fn seccomp() -> Answer {
    if nucleus_sys::seccomp::knows_action(libc::SECCOMP_RET_ERRNO) {
        return Ok("seccomp(2)".to_owned());
    }
    Err("the kernel is built without CONFIG_SECCOMP_FILTER".to_owned())
}

fn landlock() -> Answer {
    match landlock::abi_version() {
        Ok(abi) => Ok(format!("Landlock ABI {abi}")),
        Err(error) => {
            Err(format!("Landlock is not switched on (boot with lsm=landlock,…): {}", explain(&error)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_vocabulary_has_an_answer() {
        let report = report(&Capability::ALL);
        for capability in Capability::ALL {
            if let Verdict::No { reason } = report.verdict(capability) {
                assert!(!reason.contains("does not know"), "{capability}: {reason}");
            }
        }
    }

    #[test]
    fn what_is_not_asked_is_not_answered() {
        assert_eq!(report(&[Capability::Umask]).entries.len(), 1);
    }
}
