//! Hooks: programs that are called at points of the container's life.
//!
//! | point | called by | namespaces | path resolves | working directory | status told |
//! |---|---|---|---|---|---|
//! | prestart, createRuntime | `create` | the runtime's | in the runtime's | the bundle | creating |
//! | createContainer | the child, before the pivot | the container's | in the runtime's | the container's root | creating |
//! | startContainer | the last stage, after the start | the container's | in the container's | `process.cwd` | created |
//! | poststart | `start`, after the workload's exec | the runtime's | in the runtime's | the bundle | running |
//! | poststop | `delete` | the runtime's | in the runtime's | the bundle | stopped |
//!
//! Namespaces and paths are the specification's (config.md, "POSIX-platform Hooks"); on the working directory it is silent,
//! and ours are runc's.

mod process;
pub(crate) mod started;
mod state;

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result, Status};
use nucleus_sys::last_stage::{self, HookFailure};
use nucleus_sys::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::config::{Hook, Hooks, Point};
use crate::fault::{OrFail, explain};
pub(crate) use state::{State, Subject};

/// The hooks of a container, and what they and the seccomp agent are told about it: remembered from `sandbox` to
/// `delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Callbacks {
    pub(crate) hooks: Hooks,
    pub(crate) subject: Subject,
}

/// The container at the moment of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) status: Status,
    /// Its first process, as seen from where the hook runs.
    pub(crate) pid: Option<u32>,
}

impl Callbacks {
    /// Calls the hooks of a point of the runtime's, one after the other, up to the first that fails.
    pub(crate) fn call(&self, point: Point, moment: Moment) -> Result<()> {
        if self.hooks.at(point).is_empty() {
            return Ok(());
        }
        self.call_in(point, moment, self.bundle()?.as_fd())
    }

    /// As [`Self::call`], in a directory of the caller's choice.
    pub(crate) fn call_in(&self, point: Point, moment: Moment, directory: BorrowedFd<'_>) -> Result<()> {
        let mut calls = self.calls(point, moment, directory)?;
        calls.try_for_each(|outcome| outcome)
    }

    /// Calls all hooks of a point of the runtime's, whatever comes of them; returns what failed.
    pub(crate) fn call_all(&self, point: Point, moment: Moment) -> Vec<Error> {
        if self.hooks.at(point).is_empty() {
            return Vec::new();
        }
        let failures = self.bundle().and_then(|bundle| {
            let calls = self.calls(point, moment, bundle.as_fd())?;
            Ok(calls.filter_map(Result::err).collect())
        });
        failures.unwrap_or_else(|error| vec![error])
    }

    fn calls<'a>(
        &'a self,
        point: Point,
        moment: Moment,
        directory: BorrowedFd<'a>,
    ) -> Result<impl Iterator<Item = Result<()>> + 'a> {
        let state = self.subject.state(moment)?;
        let hooks = self.hooks.at(point).iter().enumerate();
        Ok(hooks.map(move |(index, hook)| {
            let outcome = process::run(hook, state.as_fd(), directory).or_fail("run a hook", &hook.path)?;
            outcome.map_err(|failed| failed.error(point, index, hook))
        }))
    }

    /// A bundle that is gone by now is no reason to keep a hook from cleaning up.
    fn bundle(&self) -> Result<OwnedFd> {
        let open = |path: &std::path::Path| {
            rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        };
        match open(&self.subject.bundle) {
            Err(Errno::NOENT) => open("/".as_ref()),
            result => result,
        }
        .or_fail("open the bundle", self.subject.bundle.display())
    }

    /// Whether `start` has to learn what becomes of the workload.
    pub(crate) fn follow_the_start(&self) -> bool {
        [Point::StartContainer, Point::Poststart].into_iter().any(|point| !self.hooks.at(point).is_empty())
    }

    /// What the last stage needs for the hooks that it runs; `None` if there are none. `pid` as seen in the container.
    pub(crate) fn of_last_stage(&self, pid: u32) -> Result<Option<ForLastStage>> {
        let hooks = self.hooks.at(Point::StartContainer);
        if hooks.is_empty() {
            return Ok(None);
        }
        let moment = Moment { status: Status::Created, pid: Some(pid) };
        Ok(Some(ForLastStage { list: hooks.iter().map(words).collect(), state: self.subject.state(moment)? }))
    }

    /// The error of a startContainer hook, from the last stage's report.
    fn reported(&self, index: usize, failed: &Failed) -> Error {
        match self.hooks.at(Point::StartContainer).get(index) {
            Some(hook) => failed.error(Point::StartContainer, index, hook),
            None => Error::new(ErrorCode::Protocol, "understand the last stage's report"),
        }
    }
}

/// The startContainer hooks.
#[derive(Debug)]
pub(crate) struct ForLastStage {
    pub(crate) list: Vec<last_stage::Hook>,
    pub(crate) state: OwnedFd,
}

fn words(hook: &Hook) -> last_stage::Hook {
    last_stage::Hook {
        executable: text(&hook.path),
        argv: texts(&hook.arguments),
        environment: texts(&hook.environment),
        timeout: hook.timeout.unwrap_or(0),
    }
}

fn text(text: &str) -> CString {
    CString::new(text).expect("config::hooks refuses NUL")
}

fn texts(list: &[String]) -> Vec<CString> {
    list.iter().map(|entry| text(entry)).collect()
}

/// A hook that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    failure: HookFailure,
    /// The last bytes that it wrote.
    output: Vec<u8>,
}

impl Failed {
    fn error(&self, point: Point, index: usize, hook: &Hook) -> Error {
        let cause = match self.failure {
            HookFailure::Exited(status) => format!("it left with status {status}"),
            HookFailure::Signalled(signal) => format!("signal {signal} ended it"),
            HookFailure::TimedOut => {
                format!("it took longer than its timeout of {} s", hook.timeout.unwrap_or(0))
            }
            HookFailure::NotRun(errno) => {
                format!("it could not be run: {}", explain(&std::io::Error::from_raw_os_error(errno)))
            }
        };
        let words = String::from_utf8_lossy(&self.output);
        let cause = match words.trim() {
            "" => cause,
            words => format!("{cause}, and said: {words}"),
        };
        let subject = format!("config.json: hooks.{point}[{index}]: {}", hook.path);
        let failed =
            Error::new(ErrorCode::HookFailed, format!("run the {point} hook")).on(subject).because(cause);
        match (point, self.failure) {
            (Point::StartContainer, HookFailure::NotRun(libc::ENOENT)) => {
                failed.hint("startContainer hooks are looked up in the container (config.md)")
            }
            (_, HookFailure::TimedOut) => {
                failed.hint("raise the hook's `timeout`, or find out what it waits for")
            }
            _ => failed,
        }
    }
}
