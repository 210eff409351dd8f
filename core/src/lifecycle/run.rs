//! `run` in the foreground: the one road to an exit status, and the way back, which is the same after success, failure and
//! crash: the ledger is undone.

use std::os::fd::AsFd;

use nucleus_abi::{
    Client, ContainerId, ExitStatus, HookPoint, Result, SCHEMA, SignalRequest, SignalTarget, Then,
};
use nucleus_sys::signal::Signal;

use super::container::ContainerDirectory;
use super::create::after_failure;
use super::foreground::{Console, Foreground};
use super::handles::Handles;
use super::hooks::Telling;
use super::making::{Beginning, Made, Making, request, take_id, tear_down};
use super::notify::Messenger;
use super::owners;
use super::record::Supervision;
use super::state_root::StateRoot;
use super::workload::Source;
use crate::bundle::Terminal;
use crate::plugins::Registry;

/// What becomes of a container that ran in the foreground and has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// Nothing is left of it.
    Remove,
    /// It stays, stopped, until somebody deletes it.
    Keep,
}

/// Runs a container in the foreground: to its end, and until nothing is left of it unless it is to be kept.
///
/// # Errors
/// What kept the workload from running, or what could not be removed after it; in the second case with the workload's
/// own status in the cause.
///
/// `warn` hears of what was asked for and is left out.
pub fn run(
    source: &dyn Source,
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    how: (&Handles, Afterwards),
    warn: &dyn Fn(&str),
) -> Result<ExitStatus> {
    run_from(Beginning::Program, source, id, root, registry, how, warn)
}

/// As [`run`], with processes that come from anywhere.
pub(super) fn run_from(
    beginning: Beginning<'_>,
    source: &dyn Source,
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    (handles, afterwards): (&Handles, Afterwards),
    warn: &dyn Fn(&str),
) -> Result<ExitStatus> {
    // From here on a signal must not kill us: what has been made would stay.
    let foreground = Foreground::begin()?;
    root.ensure()?;
    let mut taken = take_id(id, root, registry)?;
    let making = Making {
        source,
        taken: &mut taken,
        root,
        extra: &handles.extra,
        supervision: Supervision::Owner,
        then: then(source, handles),
        beginning,
        warn,
    };
    let client = source.client();
    let mut telling = None;
    let result = making.make().and_then(|mut made| {
        handles.write_pid_file(made.pid)?;
        if let Some(messenger) = Messenger::open(taken.directory.path(), handles.notify.as_deref())? {
            foreground.listen(messenger, made.pid);
        }
        if source.hooks().is_some() {
            telling = Telling::at(taken.directory.path())?;
        }
        if let Some(telling) = &telling {
            telling.ask(HookPoint::Created, warn)?;
        }
        let run = Run {
            client,
            directory: &taken.directory,
            foreground: &foreground,
            hooks: telling.as_ref(),
            warn,
        };
        let opened = made.opened.take();
        run.to_the_end(&made, || {
            drop(opened);
            owners::sweep(root, registry);
        })
    });
    if let (Some(telling), Ok(status)) = (&mut telling, &result) {
        telling.stopped_once(taken.directory.path(), Some(*status), warn);
    }
    if result.is_ok() && afterwards == Afterwards::Keep {
        taken.leave(root);
        return result;
    }
    let teardown = tear_down(client, taken.directory, root);
    if let Some(telling) = &mut telling {
        if result.is_err() {
            telling.stopped(None, warn);
        }
        telling.deleted(warn);
    }
    match (result, teardown) {
        (Ok(status), Ok(warnings)) => {
            for warning in &warnings {
                warn(warning);
            }
            Ok(status)
        }
        (Ok(status), Err(error)) => Err(error.hint(format!("the workload itself ended: {status:?}"))),
        (Err(error), teardown) => Err(after_failure(error, teardown, warn)),
    }
}

/// A pid file, a messenger and a terminal must stand before the workload runs, and hooks have heard of the container.
fn then(source: &dyn Source, handles: &Handles) -> Then {
    let hooked = source.hooks().is_some_and(|hooks| hooks.hear(HookPoint::Created));
    if hooked || handles.pid_file.is_some() || handles.notify.is_some() || source.terminal() == Terminal::Own
    {
        Then::Wait
    } else {
        Then::Start
    }
}

struct Run<'a> {
    client: &'a Client,
    directory: &'a ContainerDirectory,
    foreground: &'a Foreground,
    hooks: Option<&'a Telling>,
    warn: &'a dyn Fn(&str),
}

impl Run<'_> {
    /// Starts it and stands by. `meanwhile` is done as soon as the workload runs.
    fn to_the_end(&self, made: &Made, meanwhile: impl FnOnce()) -> Result<ExitStatus> {
        let console = made.console.as_ref().map(Console::take).transpose()?;
        if !made.started {
            let done = self.client.start(&request(self.directory))?;
            done.warnings.iter().for_each(|warning| (self.warn)(warning));
        }
        if let Some(hooks) = self.hooks {
            hooks.ask(HookPoint::Started, self.warn)?;
        }
        // Whatever earlier runs left behind is removed at no cost to the start.
        meanwhile();
        self.foreground.until_ended(made.wait.as_fd(), console.as_ref(), |signal| self.forward(signal))?;
        drop(console);
        made.wait(self.client, request(self.directory))
    }

    /// A workload that has just ended cannot take a signal any more; that is no failure of ours.
    fn forward(&self, signal: Signal) {
        let request = SignalRequest {
            schema: SCHEMA,
            id: self.directory.id().clone(),
            directory: self.directory.backend(),
            signal: signal.number(),
            target: SignalTarget::First,
        };
        if let Err(error) = self.client.signal(&request) {
            tracing::debug!(%error, "the signal was not forwarded");
        }
    }
}
