//! `exec`: another process in a container that runs.

mod home;
mod process;
mod user;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use nucleus_abi::{
    ContainerId, Error, ErrorCode, ExecReply, ExecRequest, ExitStatus, Reply, Result, SCHEMA, Status,
    WhenPaused,
};
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::signal::Signal;
use nucleus_sys::terminal::window_size;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Pid;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::foreground::{Console, Foreground};
use super::found::Found;
use super::handles::Handles;
use super::held;
use super::making::Made;
use super::operation::Operation;
use super::state_root::StateRoot;
use crate::bundle::Terminal;
use crate::plugins::Registry;

pub use process::{ProcessChanges, ProcessSource};
pub use user::ExecUser;

const STEP: &str = "execute a process in the container";

/// What is to run, and how.
#[derive(Debug)]
pub struct Exec {
    /// The process.
    pub process: ProcessSource,
    /// Variables that come to those of the process, however it is described.
    pub environment: Vec<String>,
    /// A group below the container's own to put it into.
    pub cgroup: Option<PathBuf>,
    /// Such groups in single hierarchies of cgroup v1, by the name of a controller.
    pub cgroups: BTreeMap<String, PathBuf>,
    /// What to do in a paused container.
    pub when_paused: WhenPaused,
    /// Whether to stand by.
    pub stay: Stay,
    /// What the caller holds of it, and gives to it.
    pub handles: Handles,
}

/// Whether to stand by while the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// Forward signals and the terminal, and tell how it ended.
    Foreground,
    /// Return as soon as it runs.
    Detached,
}

/// What has become of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executed {
    /// It has ended, or never ran.
    Ended {
        /// Its program.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// It runs.
    Running,
}

/// Runs a process in a container.
///
/// # Errors
/// `container-not-found`; `wrong-state` when the container does not run, or is paused; `config-invalid` for the document of
/// the process, naming the field; what the backend reports.
pub fn exec(
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    exec: &Exec,
    warn: &dyn Fn(&str),
) -> Result<Executed> {
    let container = Found::open(id, root, registry)?;
    refuse_ended(&container)?;
    let joining = Joining::new(&container, exec, warn)?;
    let operation = Operation::beside_others(id, root)?;
    // A process of a paused container waits for `resume`, which in turn must not wait for us.
    let operation = (exec.refuse_state(&container)? != Status::Paused).then_some(operation);
    let foreground = match exec.stay {
        Stay::Foreground => Some(Foreground::begin()?),
        Stay::Detached => None,
    };
    let made = joining.make()?;
    drop(operation);
    match foreground {
        Some(foreground) => joining.stand_by(&made, &foreground),
        None => joining.leave(&made),
    }
}

/// Asked before anything of the container is looked at.
fn refuse_ended(container: &Found<'_>) -> Result<()> {
    match container.state()?.status {
        Status::Stopped => {
            Err(container.wrong_state(STEP, "cannot exec in a stopped container: container not running"))
        }
        _ => Ok(()),
    }
}

impl Exec {
    /// Refuses a container that cannot take a process, and says what it is doing.
    fn refuse_state(&self, container: &Found<'_>) -> Result<Status> {
        let status = container.state()?.status;
        match (status, self.when_paused) {
            (Status::Stopped, _) => refuse_ended(container).map(|()| status),
            (Status::Creating, _) => Err(container.wrong_state(STEP, "the container is being made")),
            (Status::Paused, WhenPaused::Refuse) => Err(container
                .wrong_state(STEP, "cannot exec in a paused container")
                .hint("resume it, or let the process wait for that with --ignore-paused")),
            (Status::Created | Status::Running | Status::Paused, _) => Ok(status),
        }
    }
}

/// A process on its way into a container.
struct Joining<'a> {
    container: &'a Found<'a>,
    exec: &'a Exec,
    warn: &'a dyn Fn(&str),
    config: Box<RawValue>,
    process: Value,
}

impl<'a> Joining<'a> {
    /// Settles what the process is.
    fn new(container: &'a Found<'a>, exec: &'a Exec, warn: &'a dyn Fn(&str)) -> Result<Self> {
        let config = config_of(container)?;
        let own: Value = serde_json::from_str(config.get()).map_err(|error| unreadable(&error))?;
        let mut process = process::document(&exec.process, &own)?;
        held::process(&container.record, &own, &mut process, warn)?;
        process::add_variables(&mut process, &exec.environment)?;
        let process = process::with_home(process, |uid| home::of(container, uid))?;
        let this = Self { container, exec, warn, config, process };
        match exec.stay {
            Stay::Detached => exec.handles.check_terminal(this.terminal())?,
            Stay::Foreground => exec.handles.refuse_console_socket()?,
        }
        Ok(this.with_size())
    }

    fn terminal(&self) -> Terminal {
        match self.process.get("terminal") {
            Some(Value::Bool(true)) => Terminal::Own,
            _ => Terminal::None,
        }
    }

    /// Nothing holds the process back once it is made: its terminal must have its size before.
    fn with_size(mut self) -> Self {
        let operators = window_size(io::stdin().as_fd());
        if let (Stay::Foreground, Terminal::Own, Ok(size)) = (self.exec.stay, self.terminal(), operators)
            && self.process.get("consoleSize").is_none_or(Value::is_null)
        {
            self.process["consoleSize"] = json!({"height": size.ws_row, "width": size.ws_col});
        }
        self
    }

    fn make(&self) -> Result<Made> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let mut descriptors: Vec<BorrowedFd<'_>> = vec![stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        descriptors.extend(self.exec.handles.extra.iter().map(AsFd::as_fd));
        let request = ExecRequest {
            schema: SCHEMA,
            id: self.container.id().clone(),
            directory: self.container.backend_directory(),
            config: self.config.clone(),
            beyond: self.container.record.beyond.clone(),
            process: to_raw_value(&self.process).map_err(|error| unreadable(&error))?,
            cgroup: self.exec.cgroup.clone(),
            cgroups: self.exec.cgroups.clone(),
            stdio: [0, 1, 2],
            extra: (3..descriptors.len()).collect(),
            when_paused: self.exec.when_paused,
            shortfall: held::shortfall(&self.container.record),
        };
        let reply = self.container.client.exec(&request, &descriptors);
        let reply = reply.map_err(|error| held::name_line(&self.container.record, error))?;
        for warning in &reply.document.warnings {
            (self.warn)(warning);
        }
        made(reply)
    }

    /// Stands by until it has ended.
    fn stand_by(&self, made: &Made, foreground: &Foreground) -> Result<Executed> {
        let process = open(made.pid);
        self.hand_out_or_end(|| self.exec.handles.write_pid_file(made.pid), made)?;
        let console = made.console.as_ref().map(Console::take).transpose()?;
        foreground
            .until_ended(made.wait.as_fd(), console.as_ref(), |signal| forward(process.as_ref(), signal))?;
        drop(console);
        self.ended(made)
    }

    /// Leaves it to itself as soon as its program runs.
    fn leave(&self, made: &Made) -> Result<Executed> {
        if !runs(made)? {
            return self.ended(made);
        }
        self.hand_out_or_end(|| self.exec.handles.hand_out(made), made)?;
        Ok(Executed::Running)
    }

    /// A process that nobody can get hold of must not stay.
    fn hand_out_or_end(&self, hand_out: impl FnOnce() -> Result<()>, made: &Made) -> Result<()> {
        hand_out().inspect_err(|_| {
            forward(open(made.pid).as_ref(), Signal::KILL);
            if let Err(error) = self.ended(made) {
                tracing::debug!(%error, "the process that was ended is not reaped");
            }
        })
    }

    fn ended(&self, made: &Made) -> Result<Executed> {
        let program = self.process.pointer("/args/0").and_then(Value::as_str).unwrap_or_default().to_owned();
        let status = made.wait(&self.container.client, self.container.request())?;
        Ok(Executed::Ended { program, status })
    }
}

fn made(reply: Reply<ExecReply>) -> Result<Made> {
    let mut descriptors: Vec<_> = reply.descriptors.into_iter().map(Some).collect();
    let mut take = |index| Reply::<ExecReply>::take(&mut descriptors, index);
    let nameless = || Error::new(ErrorCode::NotSupported, STEP).because("the backend has no process to name");
    Ok(Made {
        pid: reply.document.pid.ok_or_else(nameless)?,
        wait: take(reply.document.wait)?,
        failure: reply.document.failure.map(&mut take).transpose()?,
        console: reply.document.console.map(&mut take).transpose()?,
        started: true,
        opened: None,
    })
}

/// Waits until the program runs, or cannot be executed: then the descriptor of failure holds why, otherwise it just ends.
fn runs(made: &Made) -> Result<bool> {
    let Some(failure) = &made.failure else { return Ok(true) };
    let mut fds = [PollFd::new(failure, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut fds, None))
        .map_err(|errno| Error::new(ErrorCode::SystemCall, STEP).because(io::Error::from(errno)))?;
    Ok(!fds[0].revents().contains(PollFlags::IN))
}

/// The process, unless it has been reaped already.
fn open(pid: u32) -> Option<PidFd> {
    PidFd::open(Pid::from_raw(pid.try_into().ok()?)?).ok()
}

/// A process that has just ended cannot take a signal any more; that is no failure of ours.
fn forward(process: Option<&PidFd>, signal: Signal) {
    if let Some(Err(error)) = process.map(|process| process.send_signal(signal)) {
        tracing::debug!(%error, "the signal was not forwarded");
    }
}

/// The container's effective `config.json`.
pub(super) fn config_of(container: &Found<'_>) -> Result<Box<RawValue>> {
    let text = fs::read_to_string(container.config_path()).map_err(|error| unreadable(&error))?;
    RawValue::from_string(text).map_err(|error| unreadable(&error))
}

fn unreadable(cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::RecordUnreadable, "use the container's configuration").because(cause)
}
