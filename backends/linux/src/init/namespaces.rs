//! Steps that concern namespaces and the session.

use std::io;

use nucleus_abi::{Keyring, Result};
use nucleus_sys::namespace::{NamespaceSet, unshare};
use nucleus_sys::{keyring, loopback, process};

use crate::config::Configuration;
use crate::fault::OrFail;
use crate::seccomp::Program;

pub(super) fn hide() -> Result<()> {
    process::set_non_dumpable().or_fail("become non-dumpable", "the container's first process")
}

pub(crate) fn become_root() -> Result<()> {
    process::become_user(0, 0, &[]).or_fail("become root of the user namespace", "uid 0, gid 0")
}

/// A session of its own has no controlling terminal: nothing can be typed into the caller's (CVE-2017-5226). A session
/// keyring of its own keeps the caller's keys out of reach.
pub(crate) fn new_session(id: &str, keyring: Keyring, filter: Option<&Program>) -> Result<()> {
    process::new_session().or_fail("start a new session", id)?;
    new_keyring(id, keyring, filter)
}

/// The session keyring alone.
pub(crate) fn new_keyring(id: &str, keyring: Keyring, filter: Option<&Program>) -> Result<()> {
    if keyring == Keyring::Callers {
        return Ok(());
    }
    let name = std::ffi::CString::new(format!("nucleus-{id}")).unwrap_or_default();
    keyring_of_its_own(keyring::join_new_session(&name), id, filter)
}

/// Without a new keyring the workload would hold the caller's keys: only a filter keeps it from them then, as the default
/// one does by refusing keyctl.
fn keyring_of_its_own(joined: io::Result<()>, id: &str, filter: Option<&Program>) -> Result<()> {
    let errno = joined.as_ref().err().and_then(io::Error::raw_os_error);
    let failed = |joined: io::Result<()>| joined.or_fail("join a new session keyring", id);
    match (errno, filter) {
        // A kernel without keys has none to hide.
        (Some(libc::ENOSYS), _) | (Some(libc::EDQUOT | libc::EPERM), Some(_)) => Ok(()),
        (Some(libc::EDQUOT), None) => failed(joined).map_err(|error| {
            error.because("the user's quota of keys is used up (EDQUOT): the caller's keys would stay in reach").hint(
                "raise kernel.keys.maxkeys (for root kernel.keys.root_maxkeys), or give the workload a seccomp \
                 filter that refuses `keyctl`",
            )
        }),
        (Some(libc::EPERM), None) => failed(joined).map_err(|error| {
            error.because("a filter around nucleus refuses `keyctl` (EPERM): the caller's keys would stay in reach").hint(
                "run nucleus where `keyctl` is allowed, or give the workload a seccomp filter that refuses it",
            )
        }),
        _ => failed(joined),
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

pub(super) fn loopback() -> Result<()> {
    loopback::bring_up().or_fail("bring up the loopback interface", "lo")
}

pub(super) fn cgroup() -> Result<()> {
    unshare(NamespaceSet::CGROUP).or_fail("make a cgroup namespace", "the container's")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(errno: i32, filter: Option<&Program>) -> Result<()> {
        keyring_of_its_own(Err(io::Error::from_raw_os_error(errno)), "web", filter)
    }

    #[test]
    fn the_callers_keys_stay_in_reach_only_behind_a_filter() {
        let profile = serde_json::from_str(r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#).unwrap();
        let filter = crate::seccomp::compile(&profile).unwrap();
        joined(libc::ENOSYS, None).unwrap();
        for errno in [libc::EDQUOT, libc::EPERM] {
            joined(errno, Some(&filter)).unwrap();
            let error = joined(errno, None).unwrap_err();
            assert!(error.cause.unwrap().contains("keys would stay in reach"));
            assert!(error.hint.unwrap().contains("`keyctl`"));
        }
        joined(libc::ENOMEM, Some(&filter)).unwrap_err();
    }
}
