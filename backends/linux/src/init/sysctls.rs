//! Kernel parameters, through a procfs that nobody can have put anything over (CVE-2025-52881).

use nucleus_abi::Result;
use nucleus_sys::procfs::{ProcBase, ProcFs};

use crate::config::Sysctl;
use crate::fault::OrFail;

pub(super) fn write(sysctls: &[Sysctl]) -> Result<()> {
    if sysctls.is_empty() {
        return Ok(());
    }
    let proc = ProcFs::private().or_fail("open a private procfs", "proc")?;
    sysctls.iter().try_for_each(|sysctl| {
        proc.write(ProcBase::Root, &sysctl.path, sysctl.value.as_bytes())
            .or_fail(format!("set a kernel parameter to `{}`", sysctl.value), &sysctl.path)
    })
}
