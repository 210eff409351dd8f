//! Properties that the specification has and this engine has not: each is refused by name.

use nucleus_abi::Result;
use oci_spec::runtime::{Hooks, Linux, LinuxResources, Mount, Process, Spec};

use crate::fault::unsupported;

pub(super) fn check(spec: &Spec) -> Result<()> {
    first(&[
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("hooks", spec.hooks().as_ref().is_some_and(has_hooks)),
    ])?;
    spec.process().as_ref().map_or(Ok(()), process)?;
    spec.mounts().iter().flatten().try_for_each(mount)?;
    spec.linux().as_ref().map_or(Ok(()), linux)
}

/// Hooks are run by the core; those that belong into the container's namespaces have no place to be run yet.
fn has_hooks(hooks: &Hooks) -> bool {
    let lists = [hooks.create_runtime(), hooks.create_container(), hooks.start_container()];
    lists.into_iter().flatten().any(|list| !list.is_empty())
}

fn process(process: &Process) -> Result<()> {
    let set = |label: &Option<String>| label.as_deref().is_some_and(|text| !text.is_empty());
    first(&[
        ("process.apparmorProfile", set(process.apparmor_profile())),
        ("process.selinuxLabel", set(process.selinux_label())),
        ("process.ioPriority", process.io_priority().is_some()),
        ("process.scheduler", process.scheduler().is_some()),
        ("process.execCPUAffinity", process.exec_cpu_affinity().is_some()),
    ])
}

fn mount(mount: &Mount) -> Result<()> {
    let mapped = mount.uid_mappings().is_some() || mount.gid_mappings().is_some();
    first(&[("mounts[].uidMappings", mapped)])
}

fn linux(linux: &Linux) -> Result<()> {
    first(&[
        ("linux.mountLabel", linux.mount_label().as_deref().is_some_and(|label| !label.is_empty())),
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
        ("linux.personality", linux.personality().is_some()),
        ("linux.netDevices", linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty())),
    ])?;
    linux.resources().as_ref().map_or(Ok(()), resources)
}

/// `resources.devices` is not among them: the root is `nodev` and the nodes in `/dev` are ours, so "deny all" holds, and
/// a rule that allows more has nothing to act on.
fn resources(resources: &LinuxResources) -> Result<()> {
    let memory = resources.memory().as_ref();
    let cpu = resources.cpu().as_ref();
    first(&[
        (
            "linux.resources.hugepageLimits",
            resources.hugepage_limits().as_ref().is_some_and(|l| !l.is_empty()),
        ),
        ("linux.resources.network", resources.network().is_some()),
        ("linux.resources.rdma", resources.rdma().as_ref().is_some_and(|limits| !limits.is_empty())),
        ("linux.resources.memory.kernel", memory.is_some_and(|memory| memory.kernel().is_some())),
        ("linux.resources.memory.kernelTCP", memory.is_some_and(|memory| memory.kernel_tcp().is_some())),
        ("linux.resources.cpu.realtimeRuntime", cpu.is_some_and(|cpu| cpu.realtime_runtime().is_some())),
        ("linux.resources.cpu.realtimePeriod", cpu.is_some_and(|cpu| cpu.realtime_period().is_some())),
    ])
}

fn first(fields: &[(&'static str, bool)]) -> Result<()> {
    match fields.iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(unsupported(field, "`native-namespace` does not have this yet")),
        None => Ok(()),
    }
}
