//! From the builder to the workload: rights are given up, the core is told, and the sealed last stage takes over. The
//! container's first process and each that is executed in it later go this way.

mod command;
pub(crate) mod each_process;
mod filter;
pub(crate) mod labels;
mod landlock;
pub(crate) mod rights;
pub(crate) mod scheduling;
pub(crate) mod secrets;
pub(crate) mod stdio;

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{LandlockRule, Result};
use nucleus_sys::last_stage::{self, Arguments, Hooks, Role};
use nucleus_sys::socket::Socket;
use nucleus_sys::terminal::Pty;
use nucleus_sys::{process, signal};

pub(crate) use stdio::Given;

use crate::config::{EachProcess, Escalation, Process};
use crate::fault::OrFail;
use crate::gate::{self, Message};
use crate::hooks::ForLastStage;
use crate::seccomp::Program;

/// What a process that stands in all of the container's namespaces needs to become the workload.
pub(crate) struct Handover<'a> {
    pub(crate) process: &'a Process,
    pub(crate) each_process: &'a EachProcess,
    pub(crate) seccomp: Option<&'a Program>,
    pub(crate) landlock: Option<&'a [LandlockRule]>,
    pub(crate) role: Role,
    pub(crate) pty: Option<Pty>,
    pub(crate) given: &'a Given<'a>,
    /// Variables beside those of the process, for it alone.
    pub(crate) secrets: Option<BorrowedFd<'a>>,
    /// Where the last stage waits for the start; without it the workload starts at once.
    pub(crate) start: Option<OwnedFd>,
    /// Where the last stage tells what keeps the workload from starting.
    pub(crate) report: Option<OwnedFd>,
    /// What it runs between the start and the workload.
    pub(crate) hooks: Option<ForLastStage>,
    /// Writing end of the failure pipe.
    pub(crate) errors: OwnedFd,
}

/// What is needed up to the exec, out of the way of the descriptors that the workload is given.
struct Lasting {
    stage: OwnedFd,
    start: Option<OwnedFd>,
    report: Option<OwnedFd>,
    hooks: Option<ForLastStage>,
    errors: OwnedFd,
    /// The terminal's outer side, for the core.
    console: Option<OwnedFd>,
}

impl Handover<'_> {
    /// Becomes the last stage; returns only errors. `gate` must be out of the way of the workload's descriptors
    /// ([`Given::keep_clear`]).
    pub(crate) fn become_last_stage(self, gate: &Socket) -> Result<Infallible> {
        let wanted = self.process;
        // Before the limits: RLIMIT_FSIZE holds for it too.
        let stage = last_stage::sealed().or_fail("seal the last stage", "memfd")?;
        each_process::take_on(self.each_process)?;
        let ruleset = self.landlock.map(landlock::ruleset).transpose()?;
        rights::limit(wanted)?;
        stdio::connect(self.pty.as_ref(), self.given)?;
        stdio::give(self.pty.as_ref(), self.given, wanted)?;
        let permitted = rights::become_user(wanted)?;
        enter_directory(wanted)?;
        let executable = command::find(wanted)?;
        match wanted.escalation {
            Escalation::Denied => {
                rights::settle(wanted, permitted)?;
                process::set_no_new_privs().or_fail("set no_new_privs", "prctl")?;
            }
            // Landlock and seccomp then need CAP_SYS_ADMIN, so it goes last.
            Escalation::Allowed => rights::raise(permitted)?,
        }
        if let Some(ruleset) = ruleset {
            ruleset
                .restrict_self()
                .or_fail("restrict the workload with Landlock", "landlock_restrict_self")?;
        }
        let (seccomp, role, given) = (self.seccomp, self.role, self.given);
        let environment = secrets::environment(&wanted.environment, self.secrets)?;
        let lasting = self.lasting(stage)?;
        let arguments = lasting.arguments(role, &executable, wanted)?;
        lasting.leave_nothing_else(given)?;
        gate::send(gate, &Message::Ready, lasting.console.as_ref().map(AsFd::as_fd).as_slice())?;
        if let Some(program) = seccomp {
            filter::load(program, gate)?;
        }
        if wanted.escalation == Escalation::Allowed {
            rights::settle(wanted, permitted)?;
        }
        process::exec_fd(lasting.stage.as_fd(), &arguments, &environment)
            .or_fail("execute the last stage", "execveat")
    }

    fn lasting(self, stage: OwnedFd) -> Result<Lasting> {
        let mut lasting = Lasting {
            stage,
            start: self.start,
            report: self.report,
            hooks: self.hooks,
            errors: self.errors,
            console: self.pty.map(|pty| pty.controller),
        };
        let always = [&mut lasting.stage, &mut lasting.errors];
        let sometimes = [&mut lasting.start, &mut lasting.report, &mut lasting.console];
        let told = lasting.hooks.as_mut().map(|hooks| &mut hooks.state);
        let all = always.into_iter().chain(sometimes.into_iter().flatten()).chain(told);
        all.into_iter().try_for_each(|descriptor| self.given.keep_clear(descriptor))?;
        Ok(lasting)
    }
}

impl Lasting {
    fn arguments(&self, role: Role, executable: &CString, wanted: &Process) -> Result<Vec<CString>> {
        let arguments = Arguments {
            gate: self.start.as_ref().map(AsFd::as_fd),
            errors: Some(self.errors.as_fd()),
            report: self.report.as_ref().map(AsFd::as_fd),
            hooks: self.hooks.as_ref().map(|hooks| Hooks { list: &hooks.list, state: hooks.state.as_fd() }),
            role,
            ..Arguments::new(executable, &wanted.arguments)
        };
        arguments.to_argv().or_fail("write the arguments of the last stage", "process.args")
    }

    /// What a runtime passes on is what the plan names and nothing else: default signals, an empty mask, no descriptors
    /// but the standard three, those that the workload is given, and those of the last stage (CVE-2024-21626).
    fn leave_nothing_else(&self, given: &Given<'_>) -> Result<()> {
        signal::reset_dispositions().or_fail("reset signal dispositions", "sigaction")?;
        signal::set_mask(signal::SignalSet::EMPTY).or_fail("reset the signal mask", "sigprocmask")?;
        process::close_on_exec_from(3).or_fail("mark descriptors close-on-exec", "close_range")?;
        given.pass_on()?;
        let state = self.hooks.as_ref().map(|hooks| &hooks.state);
        for end in [&self.start, &self.report].into_iter().flatten().chain(state).chain([&self.errors]) {
            process::set_inheritable(end.as_fd()).or_fail("hand a descriptor to the last stage", "fcntl")?;
        }
        Ok(())
    }
}

fn enter_directory(wanted: &Process) -> Result<()> {
    let subject = wanted.directory.to_string_lossy();
    let step = "enter the working directory";
    process::change_directory(&wanted.directory).or_fail(step, &subject).map_err(|error| {
        let cause = error.cause.clone().unwrap_or_default();
        match cause.as_str() {
            cause if cause.contains("EXDEV") => error
                .because("it lies outside the container's root file system (CVE-2024-21626)")
                .hint("name a directory of the container in `workload.cwd`"),
            cause if cause.contains("ENOENT") => {
                error.hint("make the directory in the image, or change `workload.cwd`")
            }
            _ => error,
        }
    })
}
