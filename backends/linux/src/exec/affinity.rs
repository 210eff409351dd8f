//! The processors on which the new process runs while it is not yet in the container's groups.

use nucleus_abi::Result;
use nucleus_sys::scheduling::{self, CpuSet};

use crate::fault::OrFail;
use crate::workload::scheduling::confine;

/// The caller, confined to the processors that its next child inherits. Dropping it gives it its own back.
pub(super) struct Confined {
    before: Option<CpuSet>,
}

impl Confined {
    pub(super) fn to(initial: Option<&CpuSet>) -> Result<Self> {
        let Some(initial) = initial else { return Ok(Self { before: None }) };
        let before = scheduling::affinity().or_fail("read the processors of nucleus", "sched_getaffinity")?;
        confine("process.execCPUAffinity.initial", initial)?;
        Ok(Self { before: Some(before) })
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // What it may run on has shrunk meanwhile: then it stays where it may.
            let _ = scheduling::set_affinity(before);
        }
    }
}
