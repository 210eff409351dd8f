//! Joining a user namespace by its path: the one case that takes a second clone.
//!
//! Nobody returns from a user namespace, so the caller can't enter it; and what the container's process makes must belong
//! to it, so that process can't enter it later either. A process in between enters it, clones the container's process as a
//! child of the caller, and goes.

use std::os::fd::{AsFd, BorrowedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::clone::{Child, Clone3, Parentage, spawn};
use nucleus_sys::namespace::NamespaceSet;
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::socket::Socket;
use nucleus_sys::{Pid, process};

use crate::fault::OrFail;
use crate::gate::{self, Message};
use crate::init::{self, Inside};
use crate::joining::ForTheChild;

const STEP: &str = "start the container's first process in the joined user namespace";

/// Clones the container's process in the user namespace `inside.joins[user]`.
pub(crate) fn clone(
    inside: Inside<'_>,
    user: usize,
    namespaces: NamespaceSet,
    cgroup: Option<BorrowedFd<'_>>,
    gate: impl FnOnce() -> Socket,
) -> Result<Child> {
    let (outer, inner) = Socket::pair().or_fail("make a pair of sockets", "the process in between")?;
    let id = inside.id;
    let between = spawn(Clone3 { cgroup, ..Clone3::default() }, move || {
        let message = match enter_and_clone(inside, user, namespaces, gate) {
            Ok(child) => return i32::from(introduce(&inner, &child).is_err()),
            Err(error) => Message::Failed(error),
        };
        i32::from(gate::send(&inner, &message, &[]).is_err())
    });
    let between = between.or_fail(STEP, id)?;
    let introduced = gate::receive(outer.as_fd());
    // It has nothing more to do; its status says nothing that the message did not.
    let _ = between.pidfd.wait();
    child(introduced?)
}

fn enter_and_clone(
    inside: Inside<'_>,
    user: usize,
    namespaces: NamespaceSet,
    gate: impl FnOnce() -> Socket,
) -> Result<Child> {
    process::set_non_dumpable().or_fail("become non-dumpable", "the process in between")?;
    // Entered for good: this process ends here.
    std::mem::forget(ForTheChild::enter(&inside.joins, &inside.configuration.namespaces)?);
    inside.joins[user].join()?;
    process::become_user(0, 0, &[]).or_fail("become root of the user namespace", "uid 0, gid 0")?;
    let args = Clone3 { namespaces, parentage: Parentage::CallersParent, ..Clone3::default() };
    spawn(args, move || init::run(inside, gate())).or_fail(STEP, "clone3")
}

/// The id is the same for the caller, in whose pid namespace the process in between stands.
fn introduce(inner: &Socket, child: &Child) -> Result<()> {
    let message =
        Message::Process { pid: child.pid.as_raw_nonzero().get().cast_unsigned(), warnings: Vec::new() };
    gate::send(inner, &message, &[child.pidfd.as_fd()])
}

fn child(introduced: Option<(Message, Vec<std::os::fd::OwnedFd>)>) -> Result<Child> {
    let gone =
        || Error::new(ErrorCode::SystemCall, STEP).because("the process in between ended without a word");
    match introduced {
        Some((Message::Failed(error), _)) => Err(error),
        Some((Message::Process { pid, .. }, mut descriptors)) if !descriptors.is_empty() => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
            Ok(Child { pid, pidfd: PidFd::from(descriptors.remove(0)) })
        }
        _ => Err(gone()),
    }
}
