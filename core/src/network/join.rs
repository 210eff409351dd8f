//! The network of another container.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nucleus_abi::{ContainerId, Error, ErrorCode, Result};
use nucleus_sys::namespace::{self, Namespace};
use nucleus_sys::procfs::{ProcBase, ProcFs};

use super::fault::OrFail;
use super::files::{self, ProvidedFile};
use super::namespace::{identity, own};

/// The network of a container that runs.
#[derive(Debug)]
pub(crate) struct Joined {
    namespace: OwnedFd,
    /// The files that tell of it.
    pub(crate) files: Vec<ProvidedFile>,
}

impl Joined {
    /// Opens the network namespace of a container's first process.
    ///
    /// # Errors
    /// `wrong-state` for one that has the host's network.
    pub(crate) fn open(root: &Path, other: &ContainerId, first: u32) -> Result<Self> {
        const STEP: &str = "join the network of another container";
        let pid = i32::try_from(first).ok().and_then(nucleus_sys::Pid::from_raw);
        let opened = ProcFs::open().and_then(|proc| {
            let pid = pid.ok_or(std::io::ErrorKind::NotFound)?;
            namespace::open(&proc, ProcBase::Process(pid), Namespace::Network)
        });
        let namespace = opened.or_fail(STEP, other)?;
        let is_hosts = own().and_then(|own| Ok(identity(own.as_fd())? == identity(namespace.as_fd())?));
        if is_hosts.or_fail(STEP, other)? {
            return Err(Error::new(ErrorCode::WrongState, STEP)
                .on(other)
                .because("it has the host's network")
                .hint("for the host's network say `network: {mode: host, allowHost: true}`"));
        }
        let files = files::of(&root.join(other.as_str()))?;
        Ok(Self { namespace, files })
    }

    /// A path that leads to it for as long as this process lives and holds it.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd()).into()
    }
}
