//! The container that a process is executed in.

use std::path::PathBuf;

use nucleus_abi::{Error, ErrorCode, ExecRequest, Process, Result, Status, WhenPaused};
use nucleus_sys::Pid;
use nucleus_sys::clone::Child;
use nucleus_sys::namespace::{self, Namespace, NamespaceSet};
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::procfs::{ProcBase, ProcFs};

use super::STEP;
use crate::fault::OrFail;
use crate::hooks::{Moment, Subject};
use crate::joining::Target;
use crate::record::Record;
use crate::seccomp::Agent;
use crate::{cgroups, identity};

/// A container whose first process has not ended.
pub(super) struct Container {
    /// Its first process, whose namespaces are the container's.
    pub(super) process: Process,
    first: PidFd,
    /// Its groups, one for each hierarchy.
    pub(super) groups: Vec<PathBuf>,
    /// What an agent is told, where the filter asks one.
    subject: Option<Subject>,
}

impl Container {
    /// # Errors
    /// `wrong-state` when it does not run or is paused.
    pub(super) fn find(request: &ExecRequest) -> Result<Self> {
        let wrong = |cause: &str| Error::new(ErrorCode::WrongState, STEP).on(&request.id).because(cause);
        let ended = || wrong("its first process has ended");
        let record = Record::read(&request.directory)?.ok_or_else(ended)?;
        let first =
            identity::open(record.process).or_fail("look at the container's first process", &request.id)?;
        let first = first.ok_or_else(ended)?;
        if request.when_paused == WhenPaused::Refuse && cgroups::is_frozen(&record.cgroups)? {
            return Err(wrong("it is paused").hint("resume it first"));
        }
        let subject = record.callbacks.map(|callbacks| callbacks.subject);
        Ok(Self { process: record.process, first, groups: record.cgroups, subject })
    }

    fn base(&self) -> ProcBase {
        let pid = i32::try_from(self.process.pid).ok().and_then(Pid::from_raw);
        ProcBase::Process(pid.expect("the process was opened by this id"))
    }

    /// The kinds of namespaces in which it stands apart from us.
    pub(super) fn foreign_namespaces(&self, proc: &ProcFs) -> Result<NamespaceSet> {
        namespace::differing(proc, self.base())
            .or_fail("compare the container's namespaces with ours", self.process.pid)
    }

    /// Joins its namespaces of these kinds, as far as that concerns the caller.
    pub(super) fn join(&self, proc: &ProcFs, kinds: NamespaceSet) -> Result<()> {
        match namespace::join_all_of(&self.first, kinds) {
            Ok(()) => Ok(()),
            Err(_) => self.join_one_by_one(proc, kinds),
        }
    }

    /// For kernels before 5.8, for a namespace that does not belong to the container's user namespace, and to know which
    /// one it is that can't be joined. The user namespace comes last: who enters it has no rights over others any more.
    fn join_one_by_one(&self, proc: &ProcFs, kinds: NamespaceSet) -> Result<()> {
        let (user, others): (Vec<_>, Vec<_>) = Namespace::ALL
            .into_iter()
            .filter(|kind| kinds.contains(kind.flag()))
            .partition(|kind| *kind == Namespace::User);
        // All are opened before the mount namespace takes the host's procfs away.
        let targets = others.into_iter().chain(user).map(|kind| self.target(proc, kind));
        let targets = targets.collect::<Result<Vec<_>>>()?;
        if identity::is_ending(self.process) {
            return Err(self.ended());
        }
        targets.iter().try_for_each(Target::join)
    }

    fn target(&self, proc: &ProcFs, kind: Namespace) -> Result<Target> {
        let path = format!("/proc/{}/ns/{}", self.process.pid, kind.proc_name());
        let file =
            namespace::open(proc, self.base(), kind).or_fail("open a namespace of the container", &path)?;
        Ok(Target { kind, file, path: path.into() })
    }

    /// Gives the listener of a process's filter to the agent.
    pub(super) fn introduce(&self, child: &Child, agent: &Agent, number: i32) -> Result<()> {
        let subject = self.subject.as_ref().ok_or_else(|| {
            Error::new(ErrorCode::RecordUnreadable, "find the seccomp agent in the backend's record")
        })?;
        let moment = Moment { status: Status::Running, pid: Some(self.process.pid) };
        let pid = child.pid.as_raw_nonzero().get().cast_unsigned();
        agent.introduce(&child.pidfd, pid, number, subject.at(moment))
    }

    fn ended(&self) -> Error {
        Error::new(ErrorCode::WrongState, STEP)
            .on(format!("process {}", self.process.pid))
            .because("the container's first process has ended meanwhile")
    }

    /// What the kernel says of a container that is about to end (ESRCH, ENOMEM, a killed child) helps nobody.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error.code {
            ErrorCode::SystemCall if identity::is_ending(self.process) => self.ended(),
            _ => error,
        }
    }
}
