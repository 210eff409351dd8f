//! A network namespace that the parent makes while the child mounts.
//!
//! It is the dearest of the namespaces, a third of a millisecond: clone3 would make both processes wait for it.

use std::os::fd::{AsFd, OwnedFd};

use nucleus_abi::Result;
use nucleus_sys::namespace::{self, Namespace, NamespaceSet};
use nucleus_sys::procfs::{ProcBase, ProcFs};

use crate::config::Namespaces;
use crate::fault::OrFail;

/// Whether the parent can make it: the namespace belongs to the user namespace of whoever makes it, and must belong to
/// the container's: it could not bind port 80 in one of the host's.
pub(crate) fn concerns(namespaces: &Namespaces) -> bool {
    namespaces.new.contains(NamespaceSet::NETWORK)
        && !namespaces.new.contains(NamespaceSet::USER)
        && !namespaces.foreign_user()
}

/// Makes a network namespace and goes back to the caller's own.
pub(crate) fn network() -> Result<OwnedFd> {
    let proc = ProcFs::open().or_fail("open the host's procfs", "/proc")?;
    let open = || namespace::open(&proc, ProcBase::Itself, Namespace::Network);
    let own = open().or_fail("open our own namespace", "net")?;
    namespace::unshare(NamespaceSet::NETWORK).or_fail("make a network namespace", "the container's")?;
    let made = open();
    // Going on in the container's network would attach the wrong one: better not to go on at all.
    namespace::join(own.as_fd(), Namespace::Network).expect("a process can return to its own namespace");
    made.or_fail("open the container's network namespace", "net")
}
