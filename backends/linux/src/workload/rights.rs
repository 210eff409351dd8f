//! Giving up rights, in the order that the kernel's rules leave (capabilities(7), seccomp(2)).

use std::io;

use nucleus_abi::{Error, Result};
use nucleus_sys::capability::{self, CapabilitySet};
use nucleus_sys::{Mode, Pid, process, rlimit};
use rustix::process::Resource;

use crate::config::Process;
use crate::fault::{OrFail, system};

/// Resource limits and umask; raising a hard limit needs the rights that go next.
pub(super) fn limit(process: &Process) -> Result<()> {
    for (resource, soft, hard) in &process.limits {
        rlimit::set(None, *resource, *soft, *hard)
            .map_err(|error| limit_refused(*resource, *hard, &error))?;
    }
    process::set_umask(Mode::from(process.umask.unwrap_or(0o022)));
    Ok(())
}

/// Raises the hard limits of a process (`None`: the caller) to those of the workload. Only the host's root may do so, thus
/// before the process enters a user namespace; they are set exactly by [`limit`].
pub(crate) fn raise_limits(process: Option<Pid>, wanted: &Process) -> Result<()> {
    for (resource, _, hard) in &wanted.limits {
        let now = rustix::process::getrlimit(*resource);
        if now.maximum.is_some_and(|maximum| maximum < *hard) {
            rlimit::set(process, *resource, now.current.unwrap_or(u64::MAX), *hard)
                .map_err(|error| limit_refused(*resource, *hard, &error))?;
        }
    }
    Ok(())
}

fn limit_refused(resource: Resource, hard: u64, error: &io::Error) -> Error {
    let refused = system("set a resource limit", error)
        .on(format!("config.json: process.rlimits: {resource:?}, hard limit {hard}"));
    match error.raw_os_error() {
        // getrlimit(2): asked for in the host's user namespace.
        Some(libc::EPERM) => {
            refused.hint("a hard limit above that of nucleus takes CAP_SYS_RESOURCE on the host")
        }
        _ => refused,
    }
}

/// Becomes the workload's user. The permitted capabilities stay for now; effective is what the workload will have, so that
/// working directory and program are looked up with no more than its rights.
pub(super) fn become_user(wanted: &Process) -> Result<CapabilitySet> {
    let capabilities = &wanted.capabilities;
    capability::drop_bounding(capabilities.bounding)
        .or_fail("limit the bounding capability set", "process.capabilities")?;
    process::keep_capabilities().or_fail("keep capabilities over the change of user", wanted.uid)?;
    process::become_user(wanted.uid, wanted.gid, &wanted.groups).or_fail(
        "become the workload's user",
        format!("uid {}, gid {}, groups {:?}", wanted.uid, wanted.gid, wanted.groups),
    )?;
    let before = rustix::thread::capabilities(None).or_fail("read the capability sets", "capget")?;
    let permitted = CapabilitySet::from_bits(before.permitted.bits());
    // What we don't have can't be given: the specification calls for a warning, not an error.
    let effective = capabilities.effective.intersection(permitted);
    capability::capset(effective, permitted, CapabilitySet::EMPTY)
        .or_fail("lower the capability sets", "capset")?;
    Ok(permitted)
}

/// Makes all that is permitted effective once more: loading a filter without `no_new_privs` needs `CAP_SYS_ADMIN`.
pub(super) fn raise(permitted: CapabilitySet) -> Result<()> {
    capability::capset(permitted, permitted, CapabilitySet::EMPTY)
        .or_fail("raise the capability sets", "capset")
}

/// The workload's own sets. The inheritable set holds what the kernel demands for the ambient set and nothing else
/// (CVE-2022-24769).
pub(super) fn settle(wanted: &Process, permitted: CapabilitySet) -> Result<()> {
    let within = |set: CapabilitySet| set.intersection(permitted);
    let capabilities = &wanted.capabilities;
    let ambient = within(capabilities.ambient);
    capability::capset(within(capabilities.effective), within(capabilities.permitted), ambient)
        .or_fail("set the capability sets", "process.capabilities")?;
    capability::clear_ambient()
        .and_then(|()| capability::raise_ambient(ambient))
        .or_fail("set the ambient capability set", "process.capabilities.ambient")
}
