//! Labels of security modules that processes and mounts get in place of those that they had.

use nucleus_abi::{Error, ErrorCode, RestoreRequest, Result};
use nucleus_sys::procfs::ProcFs;

use crate::fault::OrFail;
use crate::workload::labels::{has_apparmor, has_selinux};

const PROFILE: &str = "--lsm-profile";
const MOUNT_CONTEXT: &str = "--lsm-mount-context";

/// Refuses what criu would refuse in the middle of its work, or pass over.
///
/// # Errors
/// `not-supported` in a kernel without the module; `invalid-argument` for one that criu does not know.
pub(super) fn check(request: &RestoreRequest) -> Result<()> {
    if let Some(profile) = &request.lsm_profile {
        check_profile(profile)?;
    }
    match &request.lsm_mount_context {
        Some(_) => need(MOUNT_CONTEXT, "SELinux", runs_selinux()?),
        None => Ok(()),
    }
}

fn check_profile(profile: &str) -> Result<()> {
    match profile.split_once(':').filter(|(_, name)| !name.is_empty()) {
        Some(("apparmor", _)) => need(PROFILE, "AppArmor", has_apparmor()),
        Some(("selinux", _)) => need(PROFILE, "SELinux", runs_selinux()?),
        _ => Err(Error::new(ErrorCode::InvalidArgument, "use --lsm-profile")
            .on(profile)
            .because("it is no TYPE:NAME whose type is `apparmor` or `selinux`")),
    }
}

fn runs_selinux() -> Result<bool> {
    ProcFs::open().or_fail("open the host's procfs", "/proc").map(|proc| has_selinux(&proc))
}

fn need(option: &'static str, module: &'static str, is_there: bool) -> Result<()> {
    if is_there {
        return Ok(());
    }
    Err(Error::new(ErrorCode::NotSupported, "give the processes another label")
        .on(option)
        .because(format!("this kernel runs without {module}")))
}
