//! nucleus is never installed setuid: everything that it reads from its caller would be an attack.

use nucleus_abi::{Error, ErrorCode, Result};
use rustix::process::{getegid, geteuid, getgid, getuid};

/// Refuses to work for a caller whose privileges are not those of the process (CVE-2016-8659, CVE-2020-5291).
///
/// # Errors
/// `host-unfit`.
pub(crate) fn refuse_setuid() -> Result<()> {
    if getuid() == geteuid() && getgid() == getegid() {
        return Ok(());
    }
    Err(Error::new(ErrorCode::HostUnfit, "work with the privileges of a setuid program")
        .on(format!("real uid {}, effective uid {}", getuid().as_raw(), geteuid().as_raw()))
        .because(
            "nucleus trusts its caller's profiles, environment and descriptors, so it must be the caller",
        )
        .hint("remove the setuid and setgid bits from the program"))
}
