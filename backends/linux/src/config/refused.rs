//! Properties that the specification has and this engine has not: each is refused by name.

use nucleus_abi::Result;

use super::document::{Linux, Process, Spec, Text};
use crate::fault::unsupported;

pub(super) fn check(spec: &Spec<'_>) -> Result<()> {
    first(&[
        ("solaris", spec.solaris.is_some()),
        ("windows", spec.windows.is_some()),
        ("vm", spec.vm.is_some()),
        ("zos", spec.zos.is_some()),
        ("freebsd", spec.freebsd.is_some()),
    ])?;
    spec.process.as_ref().map_or(Ok(()), process)?;
    linux(&spec.linux)
}

pub(super) fn process(process: &Process<'_>) -> Result<()> {
    first(&[
        ("process.apparmorProfile", says(process.apparmor_profile.as_ref())),
        ("process.selinuxLabel", says(process.selinux_label.as_ref())),
        ("process.ioPriority", process.io_priority.is_some()),
        ("process.scheduler", process.scheduler.is_some()),
        ("process.execCPUAffinity", process.exec_cpu_affinity.is_some()),
    ])
}

fn linux(linux: &Linux<'_>) -> Result<()> {
    first(&[
        ("linux.intelRdt", linux.intel_rdt.is_some()),
        ("linux.memoryPolicy", linux.memory_policy.is_some()),
        ("linux.personality", linux.personality.is_some()),
    ])
}

fn says(label: Option<&Text<'_>>) -> bool {
    label.is_some_and(|text| !text.is_empty())
}

fn first(fields: &[(&'static str, bool)]) -> Result<()> {
    match fields.iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(unsupported(field, "`native-namespace` does not have this yet")),
        None => Ok(()),
    }
}
