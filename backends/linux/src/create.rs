//! `create`: lets the waiting process build the rest, and listens until its last stage stands at the start gate.

use std::os::fd::{AsFd, OwnedFd};

use nucleus_abi::{CreateReply, CreateRequest, Descriptors, Error, ErrorCode, Reply, Result, Status, Then};
use nucleus_sys::pidfd::{Exit, PidFd};
use nucleus_sys::socket::Socket;

use crate::config::Point;
use crate::died::died;
use crate::fault::OrFail;
use crate::gate::{self, Message, Word};
use crate::hooks::{Callbacks, Moment};
use crate::record::Record;
use crate::seccomp::Agent;
use crate::start;

/// What came through the gate until it was closed from inside.
#[derive(Default)]
struct Heard {
    process: Option<(u32, PidFd, OwnedFd)>,
    warnings: Vec<String>,
    ready: Option<Ready>,
}

pub(crate) fn create(request: &CreateRequest, descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>> {
    let gate = descriptors.get(request.gate)?;
    let speaking = Socket::from(gate.try_clone_to_owned().or_fail("duplicate the gate", &request.id)?);
    let ahead = match request.then {
        Then::Start => start::open_ahead(&request.directory)?,
        Then::Wait => None,
    };
    gate::tell(&speaking, Word::Go, &[])?;
    let mut heard = Heard::default();
    while let Some((message, descriptors)) = gate::receive(gate)? {
        match message {
            Message::Mounted => {
                heard.call_hooks(request)?;
                gate::tell(&speaking, Word::Pivot, &[])?;
            }
            Message::Listener { number, agent } => {
                heard.introduce(&agent, number, request)?;
                gate::tell(&speaking, Word::Listened, &[])?;
            }
            other => heard.take(other, descriptors)?,
        }
    }
    let mut reply = heard.reply(request)?;
    if let Some(ahead) = ahead {
        ahead.leave()?;
        reply.document.started = true;
    }
    Ok(reply)
}

/// What hooks and agents are told stands in the record, when there are any.
fn callbacks(request: &CreateRequest) -> Result<Callbacks> {
    let record = Record::read(&request.directory)?;
    record.and_then(|record| record.callbacks).ok_or_else(|| {
        Error::new(ErrorCode::RecordUnreadable, "find the hooks in the backend's record").on(&request.id)
    })
}

fn no_process() -> Error {
    Error::new(ErrorCode::Protocol, "take the container's process from the gate")
}

/// All is built; with the terminal's outer side, if there is one.
struct Ready {
    console: Option<OwnedFd>,
}

impl Heard {
    fn take(&mut self, message: Message, descriptors: Vec<OwnedFd>) -> Result<()> {
        let mut descriptors = descriptors.into_iter();
        match message {
            Message::Process { pid, warnings } => {
                let pidfd = PidFd::from(descriptors.next().ok_or_else(no_process)?);
                self.warnings = warnings;
                self.process = Some((pid, pidfd, descriptors.next().ok_or_else(no_process)?));
            }
            Message::Mounted | Message::Listener { .. } => {}
            Message::Ready => self.ready = Some(Ready { console: descriptors.next() }),
            Message::Failed(error) => {
                self.reap();
                return Err(error);
            }
        }
        Ok(())
    }

    /// prestart before createRuntime (config.md, "`Prestart` Hooks").
    fn call_hooks(&self, request: &CreateRequest) -> Result<()> {
        let callbacks = callbacks(request)?;
        [Point::Prestart, Point::CreateRuntime]
            .into_iter()
            .try_for_each(|point| callbacks.call(point, self.moment()))
    }

    fn introduce(&self, agent: &Agent, number: i32, request: &CreateRequest) -> Result<()> {
        let subject = callbacks(request)?.subject;
        let (pid, pidfd, _) = self.process.as_ref().ok_or_else(no_process)?;
        agent.introduce(pidfd, *pid, number, subject.at(self.moment()))
    }

    fn moment(&self) -> Moment {
        Moment { status: Status::Creating, pid: self.process.as_ref().map(|(pid, ..)| *pid) }
    }

    /// The failed process is about to end. That it may be the child of another process is none of our concern here.
    fn reap(&self) -> Option<Exit> {
        self.process.as_ref().and_then(|(_, pidfd, _)| pidfd.wait().ok())
    }

    /// The exec of the last stage closes the gate: an end after `Ready` is success, an end without it is a death.
    fn reply(mut self, request: &CreateRequest) -> Result<Reply<CreateReply>> {
        let Some(Ready { console }) = self.ready.take() else {
            return Err(died("build the container", &request.id, self.reap()));
        };
        let (pid, pidfd, failure) = self.process.take().ok_or_else(no_process)?;
        let document = CreateReply {
            pid: Some(pid),
            wait: 0,
            failure: Some(1),
            console: console.as_ref().map(|_| 2),
            warnings: self.warnings,
            started: false,
        };
        let descriptors =
            [pidfd.as_fd().try_clone_to_owned().or_fail("duplicate a pidfd", &request.id)?, failure];
        Ok(Reply { document, descriptors: descriptors.into_iter().chain(console).collect() })
    }
}
