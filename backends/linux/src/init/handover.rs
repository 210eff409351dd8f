//! From the builder to the workload: rights are given up, the core is told, and the sealed last stage takes over.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Init, Result};
use nucleus_sys::last_stage::{self, Arguments, Role};
use nucleus_sys::{process, signal};

use super::{Build, command, rights, stdio};
use crate::config::{Escalation, Process};
use crate::fault::OrFail;
use crate::gate::{self, Message};

/// What the last stage and the workload hold on to.
pub(super) struct Ends<'a> {
    pub(super) start: OwnedFd,
    pub(super) errors: OwnedFd,
    pub(super) stdio: [BorrowedFd<'a>; 3],
}

/// Becomes the last stage; returns only errors.
pub(super) fn become_last_stage(build: &Build<'_>, ends: &Ends<'_>) -> Result<Infallible> {
    let wanted = &build.configuration.process;
    let stage = last_stage::sealed().or_fail("seal the last stage", "memfd")?;
    let ruleset = build.landlock()?;
    rights::limit(wanted)?;
    stdio::connect(build.pty.as_ref(), ends.stdio)?;
    stdio::give(build.pty.as_ref(), ends.stdio, wanted)?;
    let permitted = rights::become_user(wanted)?;
    enter_directory(wanted)?;
    let executable = command::find(wanted)?;
    let arguments = arguments(build, ends, &executable)?;
    match wanted.escalation {
        Escalation::Denied => {
            rights::settle(wanted, permitted)?;
            process::set_no_new_privs().or_fail("set no_new_privs", "prctl")?;
        }
        // Landlock and seccomp then need CAP_SYS_ADMIN, so it goes last.
        Escalation::Allowed => rights::raise(permitted)?,
    }
    if let Some(ruleset) = ruleset {
        ruleset.restrict_self().or_fail("restrict the workload with Landlock", "landlock_restrict_self")?;
    }
    reset(ends)?;
    let console = build.pty.as_ref().map(|pty| pty.controller.as_fd());
    gate::send(&build.gate, &Message::Ready, console.as_slice())?;
    if let Some(program) = &build.configuration.seccomp {
        nucleus_sys::seccomp::load(program.filter(), program.flags)
            .or_fail("load the system call filter", "seccomp")?;
    }
    if wanted.escalation == Escalation::Allowed {
        rights::settle(wanted, permitted)?;
    }
    process::exec_fd(stage.as_fd(), &arguments, &wanted.environment)
        .or_fail("execute the last stage", "execveat")
}

/// What a runtime passes on is what the plan names and nothing else: default signals, an empty mask, no descriptors but
/// the standard three and the two of the last stage (CVE-2024-21626).
fn reset(ends: &Ends<'_>) -> Result<()> {
    signal::reset_dispositions().or_fail("reset signal dispositions", "sigaction")?;
    signal::set_mask(signal::SignalSet::EMPTY).or_fail("reset the signal mask", "sigprocmask")?;
    process::close_on_exec_from(3).or_fail("mark descriptors close-on-exec", "close_range")?;
    for end in [&ends.start, &ends.errors] {
        process::set_inheritable(end.as_fd()).or_fail("hand a descriptor to the last stage", "fcntl")?;
    }
    Ok(())
}

fn arguments(build: &Build<'_>, ends: &Ends<'_>, executable: &CString) -> Result<Vec<CString>> {
    let arguments = Arguments {
        gate: Some(ends.start.as_fd()),
        errors: Some(ends.errors.as_fd()),
        role: match build.configuration.init {
            Init::Workload => Role::Workload,
            Init::Reaper => Role::Init,
        },
        executable,
        argv: &build.configuration.process.arguments,
    };
    arguments.to_argv().or_fail("write the arguments of the last stage", "process.args")
}

fn enter_directory(wanted: &Process) -> Result<()> {
    let subject = wanted.directory.to_string_lossy();
    let step = "enter the working directory";
    process::change_directory(&wanted.directory).or_fail(step, &subject).map_err(|error| {
        let cause = error.cause.clone().unwrap_or_default();
        match cause.as_str() {
            cause if cause.contains("EXDEV") => error
                .because("it lies outside the container's root file system (CVE-2024-21626)")
                .hint("name a directory of the container in `workload.cwd`"),
            cause if cause.contains("ENOENT") => {
                error.hint("make the directory in the image, or change `workload.cwd`")
            }
            _ => error,
        }
    })
}
