//! Steps that concern namespaces and the session.

use std::os::fd::BorrowedFd;

use nucleus_abi::Result;
use nucleus_sys::namespace::{Namespace, NamespaceSet, join, unshare};
use nucleus_sys::{keyring, loopback, process};

use crate::config::Configuration;
use crate::fault::OrFail;

pub(super) fn hide() -> Result<()> {
    process::set_non_dumpable().or_fail("become non-dumpable", "the container's first process")
}

pub(super) fn become_root() -> Result<()> {
    process::become_user(0, 0, &[]).or_fail("become root of the user namespace", "uid 0, gid 0")
}

/// A session of its own has no controlling terminal: nothing can be typed into the caller's (CVE-2017-5226). A session
/// keyring of its own keeps the caller's keys out of reach.
pub(super) fn new_session(id: &str) -> Result<()> {
    process::new_session().or_fail("start a new session", id)?;
    let name = std::ffi::CString::new(format!("nucleus-{id}")).unwrap_or_default();
    match keyring::join_new_session(&name) {
        // A kernel without keys has none to hide; a quota of keys that is used up (EDQUOT) is no reason not to run either:
        // the default filter has keyctl refused.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EDQUOT | libc::EPERM)) => {
            Ok(())
        }
        result => result.or_fail("join a new session keyring", id),
    }
}

pub(super) fn name(configuration: &Configuration) -> Result<()> {
    if let Some(name) = &configuration.hostname {
        process::set_hostname(name).or_fail("set the host name", name)?;
    }
    if let Some(name) = &configuration.domainname {
        process::set_domainname(name).or_fail("set the domain name", name)?;
    }
    Ok(())
}

pub(super) fn enter_network(network: BorrowedFd<'_>) -> Result<()> {
    join(network, Namespace::Network).or_fail("enter the network namespace", "the container's")
}

pub(super) fn loopback() -> Result<()> {
    loopback::bring_up().or_fail("bring up the loopback interface", "lo")
}

pub(super) fn cgroup() -> Result<()> {
    unshare(NamespaceSet::CGROUP).or_fail("make a cgroup namespace", "the container's")
}
