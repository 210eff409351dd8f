//! `exec`: runs another process in a container.
//!
//! ```text
//! first process by its pidfd → its pid namespace for our next child → clone3 ─┬→ back in our own; listen
//!   child: groups of cgroup v1, all other namespaces at once, session, terminal → as the first process did
//! ```
//! From before the first of its namespaces is entered until the last stage runs, nobody in the container can look into us
//! or the child (CVE-2016-9962). What fails half way, and we ourselves when killed, leave nothing: the child dies of the
//! closed gate.

mod affinity;
mod container;
mod inside;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Descriptors, Error, ErrorCode, ExecReply, ExecRequest, Reply, Result};
use nucleus_sys::clone::{self, Child, Clone3};
use nucleus_sys::namespace::NamespaceSet;
use nucleus_sys::procfs::ProcFs;
use nucleus_sys::socket::Socket;

use crate::cgroups::{self, Below, Entrance};
use crate::config::Execution;
use crate::died::died;
use crate::fault::{OrFail, system};
use crate::gate::{self, Message, Word};
use crate::joining::ForTheChild;
use crate::unfinished::Unfinished;
use crate::workload::Given;

use affinity::Confined;
use container::Container;
use inside::Inside;

const STEP: &str = "execute a process in the container";

pub(crate) fn exec(request: &ExecRequest, descriptors: Descriptors<'_>) -> Result<Reply<ExecReply>> {
    let execution = Execution::parse(request.config.get(), request.process.get(), &request.beyond)?;
    let container = Container::find(request)?;
    execute(request, &container, &execution, descriptors).map_err(|error| container.explain(error))
}

fn execute(
    request: &ExecRequest,
    container: &Container,
    execution: &Execution,
    descriptors: Descriptors<'_>,
) -> Result<Reply<ExecReply>> {
    let id = request.id.as_str();
    let proc = ProcFs::open().or_fail("open the host's procfs", "/proc")?;
    let gates = gate::Ends::make(id)?;
    let (failure, errors) = std::io::pipe().or_fail("make a pipe", id)?;
    let inside = Inside {
        execution,
        container,
        kinds: container.foreign_namespaces(&proc)?,
        entrance: Entrance::open(&container.groups, &Below::of(request))?,
        given: Given::find(request.stdio, &request.extra, descriptors)?,
        errors: errors.into(),
        proc,
        id,
    };
    let child = Unfinished::new(spawn(&inside, &gates, request)?);
    drop(inside);
    let (outer, inner) = gates.both();
    drop(inner);
    let console = listen(&outer, child.get(), container, request)?;
    Ok(reply(child.finish(), failure.into(), console, execution.warnings.clone()))
}

/// Clones with the pid namespace for our next child, and goes back.
fn spawn(inside: &Inside<'_>, gates: &gate::Ends, request: &ExecRequest) -> Result<Child> {
    let _confined = Confined::to(inside.execution.process.affinity.initial.as_ref())?;
    let mut entered = ForTheChild::hidden()?;
    if inside.kinds.contains(NamespaceSet::PID) {
        entered.pid_namespace(&inside.proc, || inside.container.join(&inside.proc, NamespaceSet::PID))?;
    }
    let clone = |cgroup: Option<BorrowedFd<'_>>| {
        clone::spawn(Clone3 { cgroup, ..Clone3::default() }, || inside::run(inside, gates.inner_only()))
    };
    let child = match clone(inside.entrance.unified()) {
        Err(error) if request.cgroup.is_none() && is_closed_group(&error) => {
            clone(Some(cgroups::unified_of(inside.container.process.pid)?.as_fd()))
        }
        result => result,
    };
    child.map_err(|error| clone_failed(&error, inside.container, request))
}

/// The workload may have handed controllers down to groups of its own: then no process may stand in the container's group
/// itself (EBUSY, cgroups(7), "no internal processes"), or it is no domain any more (EOPNOTSUPP); an init may have moved
/// out and removed it. The first process stands where processes may.
fn is_closed_group(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EOPNOTSUPP | libc::ENOENT | libc::ENODEV))
}

fn clone_failed(error: &std::io::Error, container: &Container, request: &ExecRequest) -> Error {
    let failed = system(STEP, error).on(&request.id);
    match error.raw_os_error() {
        Some(libc::EAGAIN) if !container.groups.is_empty() => failed.hint(
            "the container has as many processes as `linux.resources.pids.limit` allows, or the host has too many",
        ),
        Some(libc::EBUSY) if request.cgroup.is_some() => {
            failed.hint("the group hands controllers down: name one below it, which may hold processes")
        }
        _ if error.kind() == std::io::ErrorKind::ResourceBusy => failed.hint(
            "a thread holds locks that the process would inherit: a plugin or library started it",
        ),
        _ => failed,
    }
}

/// Until the exec of the last stage closes the gate. Returns the terminal's outer side.
fn listen(
    gate: &Socket,
    child: &Child,
    container: &Container,
    request: &ExecRequest,
) -> Result<Option<OwnedFd>> {
    let mut ready = None;
    while let Some((message, descriptors)) = gate::receive(gate.as_fd())? {
        match message {
            Message::Ready => ready = Some(descriptors.into_iter().next()),
            Message::Listener { number, agent } => {
                container.introduce(child, &agent, number)?;
                gate::tell(gate, Word::Listened, &[])?;
            }
            Message::Failed(error) => return Err(error),
            Message::Process { .. } | Message::Mounted => {
                return Err(Error::new(ErrorCode::Protocol, "understand the message at the gate"));
            }
        }
    }
    ready.ok_or_else(|| died(STEP, &request.id, child.pidfd.wait().ok()))
}

fn reply(
    child: Child,
    failure: OwnedFd,
    console: Option<OwnedFd>,
    warnings: Vec<String>,
) -> Reply<ExecReply> {
    let document = ExecReply {
        pid: Some(child.pid.as_raw_nonzero().get().cast_unsigned()),
        wait: 0,
        failure: Some(1),
        console: console.as_ref().map(|_| 2),
        warnings,
    };
    let descriptors = [OwnedFd::from(child.pidfd), failure].into_iter().chain(console).collect();
    Reply { document, descriptors }
}
