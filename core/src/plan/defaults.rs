//! Named defaults that follow published lists.

use super::network::NetworkPlan;

/// What `maskedPaths` is unless the profile lists its own: the list of Docker (moby `oci/defaults.go`).
pub(super) const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What `readonlyPaths` is unless the profile lists its own: the list of Docker (moby `oci/defaults.go`).
pub(super) const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// `PATH` of a workload whose profile sets none.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `TERM` of a workload with a terminal of its own whose profile sets none.
pub(super) const TERM: &str = "xterm";

/// Kernel parameters that belong to a namespace of the container: Kubernetes' safe set and what the IPC and UTS
/// namespaces own (`ipc_namespaces(7)`, `uts_namespaces(7)`). A name that ends in a dot is a prefix.
const SYSCTLS: [&str; 11] = [
    "fs.mqueue.",
    "kernel.domainname",
    "kernel.hostname",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// Whether a kernel parameter, in dotted form, belongs to the container alone.
///
/// `net.*` belongs to the network namespace, so it is safe only where the container has one of its own.
pub(super) fn is_namespaced_sysctl(name: &str, network: &NetworkPlan) -> bool {
    let listed = |known: &str| if known.ends_with('.') { name.starts_with(known) } else { name == known };
    SYSCTLS.iter().any(|known| listed(known)) || (network.is_new() && name.starts_with("net."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_namespace_owns_is_safe() {
        for name in ["kernel.shmmax", "kernel.sem", "fs.mqueue.msg_max", "kernel.hostname"] {
            assert!(is_namespaced_sysctl(name, &NetworkPlan::Host), "{name}");
        }
        for name in ["kernel.core_pattern", "kernel.shmm", "vm.swappiness", "kernel.semaphore", "fs.mqueue"] {
            assert!(!is_namespaced_sysctl(name, &NetworkPlan::None), "{name}");
        }
    }

    #[test]
    fn network_parameters_are_safe_in_a_network_of_ones_own_only() {
        assert!(is_namespaced_sysctl("net.ipv4.ip_forward", &NetworkPlan::None));
        assert!(!is_namespaced_sysctl("net.ipv4.ip_forward", &NetworkPlan::Host));
    }
}
