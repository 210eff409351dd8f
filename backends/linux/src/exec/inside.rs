//! The child's side: from the caller's namespaces into the container's, and on to the workload.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};

use nucleus_abi::Result;
use nucleus_sys::in_root::Root;
use nucleus_sys::last_stage::Role;
use nucleus_sys::namespace::NamespaceSet;
use nucleus_sys::procfs::{ProcBase, ProcFs};
use nucleus_sys::socket::Socket;
use nucleus_sys::{Mode, OFlags, process};

use super::container::Container;
use crate::cgroups::Entrance;
use crate::config::{Execution, Terminal};
use crate::fault::OrFail;
use crate::gate::{self, Message};
use crate::init::namespaces;
use crate::workload::{Given, Handover, labels, rights, scheduling, stdio};

/// What the child gets from its parent, by being a copy of it.
pub(super) struct Inside<'a> {
    pub(super) execution: &'a Execution,
    pub(super) container: &'a Container,
    /// The namespaces to join.
    pub(super) kinds: NamespaceSet,
    pub(super) entrance: Entrance,
    pub(super) given: Given<'a>,
    /// Writing end of the failure pipe.
    pub(super) errors: OwnedFd,
    /// The host's.
    pub(super) proc: ProcFs,
    /// The container's id.
    pub(super) id: &'a str,
}

/// The child's life. Returns the status to exit with, if it does not become the workload.
pub(super) fn run(inside: &Inside<'_>, mut gate: Socket) -> i32 {
    let Err(error) = inside.given.keep_clear(&mut gate).and_then(|()| inside.become_workload(&gate));
    // If nobody listens any more, nobody is there to tell.
    let _ = gate::send(&gate, &Message::Failed(error), &[]);
    1
}

impl Inside<'_> {
    /// The order is the kernel's: what asks for rights over the host comes before the namespaces, the cgroup namespace
    /// after the groups, and what the container's user shall own after we are root in its user namespace.
    fn become_workload(&self, gate: &Socket) -> Result<Infallible> {
        let wanted = &self.execution.process;
        process::set_umask(Mode::empty());
        self.entrance.enter()?;
        if let Some(processors) = &wanted.affinity.last {
            scheduling::confine("process.execCPUAffinity.final", processors)?;
        }
        scheduling::schedule(None, wanted)?;
        if let Some(value) = wanted.oom_score_adj {
            self.proc
                .write(ProcBase::Itself, "oom_score_adj", value.to_string().as_bytes())
                .or_fail("adjust the out-of-memory score", value)?;
        }
        labels::ask_for(&self.proc, &wanted.labels)?;
        if self.kinds.contains(NamespaceSet::USER) {
            rights::raise_limits(None, wanted)?;
        }
        // The parent entered the pid namespace for us: we were born in it.
        self.container.join(&self.proc, self.kinds - NamespaceSet::PID)?;
        if self.kinds.contains(NamespaceSet::USER) {
            namespaces::become_root()?;
        }
        namespaces::new_session(self.id, self.execution.keyring, self.execution.seccomp.as_ref())?;
        let handover = Handover {
            process: wanted,
            each_process: &self.execution.each_process,
            seccomp: self.execution.seccomp.as_ref(),
            landlock: self.execution.landlock.as_deref(),
            role: Role::Workload,
            pty: wanted.terminal.map(open_terminal).transpose()?,
            given: &self.given,
            // Those of the first process are its own.
            secrets: None,
            start: None,
            report: None,
            hooks: None,
            errors: self.errors.try_clone().or_fail("duplicate the failure pipe", self.id)?,
        };
        handover.become_last_stage(gate)
    }
}

/// Our root is the container's already.
fn open_terminal(terminal: Terminal) -> Result<nucleus_sys::terminal::Pty> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).or_fail("open a terminal", "/")?;
    stdio::open_terminal(Root::new(root.as_fd()), terminal)
}
