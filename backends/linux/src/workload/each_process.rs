//! Execution domain and memory policy: both stay over the exec.

use nucleus_abi::Result;
use nucleus_sys::{memory_policy, process};

use super::scheduling::refused;
use crate::config::EachProcess;

pub(crate) fn take_on(wanted: &EachProcess) -> Result<()> {
    if let Some(domain) = wanted.domain {
        process::set_domain(domain).map_err(|error| refused("linux.personality", &error))?;
    }
    if let Some(memory) = &wanted.memory {
        memory_policy::set(memory.mode, memory.flags, memory.nodes.iter().copied()).map_err(|error| {
            refused("linux.memoryPolicy", &error).hint(
                "name nodes that exist and that `linux.resources.cpu.mems` allows: see /sys/devices/system/node/online",
            )
        })?;
    }
    Ok(())
}
