//! How the workload is scheduled: done by whoever has the host's rights, for they are asked for there.

use std::io;

use nucleus_abi::{Error, Result};
use nucleus_sys::Pid;
use nucleus_sys::scheduling::{self, CpuSet, Policy};

use crate::config::Process;
use crate::fault::{system, unsupported};

/// Schedules a process (`None`: the caller) as wanted. It must be in its groups: in cgroup v1 they say who may have real
/// time.
pub(crate) fn schedule(process: Option<Pid>, wanted: &Process) -> Result<()> {
    if let Some(schedule) = &wanted.schedule {
        scheduling::set_schedule(process, schedule).map_err(|error| {
            refused("process.scheduler", &error).hint(match schedule.policy {
                // sched(7), "CFS/real-time group scheduling" with CONFIG_RT_GROUP_SCHED: EPERM.
                Policy::Fifo | Policy::RoundRobin => {
                    "real time takes CAP_SYS_NICE; a new cpu group of cgroup v1 has no time for it either \
                     (cpu.rt_runtime_us is 0): give it some by `linux.resources.cpu.realtimeRuntime`"
                }
                _ => "deadlines and a lower nice value take CAP_SYS_NICE",
            })
        })?;
    }
    if let Some(wanted) = &wanted.io_priority {
        scheduling::set_io_priority(process, wanted.class, wanted.priority).map_err(|error| {
            refused("process.ioPriority", &error).hint("the class IOPRIO_CLASS_RT takes CAP_SYS_NICE")
        })?;
    }
    Ok(())
}

/// Confines the caller to processors.
pub(crate) fn confine(field: &str, processors: &CpuSet) -> Result<()> {
    scheduling::set_affinity(processors).map_err(|error| {
        refused(field, &error)
            .hint("name processors that exist and that `linux.resources.cpu.cpus` allows: see /sys/devices/system/cpu/online")
    })
}

/// The error for a value that the kernel did not take.
pub(super) fn refused(field: &str, error: &io::Error) -> Error {
    if let Some(libc::ENOSYS | libc::EOPNOTSUPP) = error.raw_os_error() {
        return unsupported(field, "this kernel does not have it");
    }
    system("give the workload what its configuration asks for", error).on(format!("config.json: {field}"))
}
