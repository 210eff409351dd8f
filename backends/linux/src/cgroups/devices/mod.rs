//! The device rules of a container, in the two forms that the kernel takes: lists of cgroup v1, a program of v2.
//!
//! Both mean the same: everything is denied but what a rule allows, the last rule that speaks of an access decides it, and
//! an access of several kinds (open for reading and writing) needs all of them.

pub(super) mod list;
pub(super) mod program;

use nucleus_abi::{Error, Result};
use nucleus_sys::bpf;
use rustix::fd::BorrowedFd;

use crate::config::{DEFAULT_RULES, DeviceRule};
use crate::fault::system;

/// An engine's rules and those that every container has; theirs come last, as in runc.
pub(super) fn complete(rules: &[DeviceRule]) -> Vec<DeviceRule> {
    [rules, &DEFAULT_RULES].concat()
}

/// Whether the kernel takes programs that restrict devices.
///
/// # Errors
/// What bpf(2) reports for one that denies everything.
pub(crate) fn available() -> std::io::Result<()> {
    bpf::load_device_program(&program::compile(&[])).map(drop)
}

/// Loads the program of the rules and attaches it to a group of cgroup v2.
pub(super) fn attach(rules: &[DeviceRule], directory: BorrowedFd<'_>) -> Result<()> {
    let failed = |error: &std::io::Error| -> Error {
        system("restrict the container's devices", error).on("config.json: linux.resources.devices")
    };
    let program = bpf::load_device_program(&program::compile(rules)).map_err(|error| failed(&error))?;
    bpf::attach_device_program(directory, &program).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests;
