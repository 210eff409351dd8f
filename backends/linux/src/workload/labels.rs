//! Labels of security modules. They take effect with the next exec, that of the last stage, and hold from there on.

use std::fs;
use std::io;

use nucleus_abi::{Error, Result};
use nucleus_sys::procfs::{ProcBase, ProcFs};

use crate::config::Labels;
use crate::fault::{system, unsupported};

const APPARMOR: &str = "process.apparmorProfile";
const SELINUX: &str = "process.selinuxLabel";
/// What `AppArmor` calls a process without a profile.
const UNCONFINED: &str = "unconfined";

/// Asks for them, through the host's procfs, where nobody can have put anything over these files (CVE-2019-16884,
/// CVE-2025-52881).
///
/// # Errors
/// `not-supported` in a kernel without the module; `system-call`.
pub(crate) fn ask_for(proc: &ProcFs, labels: &Labels) -> Result<()> {
    if let Some(profile) = &labels.apparmor {
        apparmor(proc, profile)?;
    }
    if let Some(context) = &labels.selinux {
        selinux(proc, context)?;
    }
    Ok(())
}

/// `apparmor(7)`; before Linux 5.8 the file is shared with other modules.
fn apparmor(proc: &ProcFs, profile: &str) -> Result<()> {
    if !has_apparmor() {
        return match profile {
            UNCONFINED => Ok(()),
            _ => Err(unsupported(APPARMOR, "this kernel runs without AppArmor")),
        };
    }
    let line = format!("exec {profile}");
    let write = |file| proc.write(ProcBase::Thread, file, line.as_bytes());
    let written = match write("attr/apparmor/exec") {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => write("attr/exec"),
        result => result,
    };
    written.map_err(|error| refused(APPARMOR, profile, &error, "load the profile with apparmor_parser(8)"))
}

/// Whether this kernel runs with `AppArmor`.
pub(crate) fn has_apparmor() -> bool {
    fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.trim() == "Y")
}

/// Whether this kernel runs with `SELinux`, whose file system is registered only then (security/selinux/selinuxfs.c).
pub(crate) fn has_selinux(proc: &ProcFs) -> bool {
    let systems = proc.read_to_string(ProcBase::Root, "filesystems").unwrap_or_default();
    systems.lines().any(|line| line.ends_with("\tselinuxfs"))
}

fn selinux(proc: &ProcFs, context: &str) -> Result<()> {
    if !has_selinux(proc) {
        return Err(unsupported(SELINUX, "this kernel runs without SELinux"));
    }
    proc.write(ProcBase::Thread, "attr/exec", context.as_bytes())
        .map_err(|error| refused(SELINUX, context, &error, "the loaded policy must know the context"))
}

fn refused(field: &str, label: &str, error: &io::Error, hint: &str) -> Error {
    system(format!("label the workload `{label}`"), error).on(format!("config.json: {field}")).hint(hint)
}
