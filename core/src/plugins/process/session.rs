//! One conversation with one process, from `describe` to its end.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nucleus_abi::process::{Answer, Hello, PROTOCOL, Question};
use nucleus_abi::{Error, ErrorCode, LONGEST_ANSWER, Outcome, RawAnswer, Result};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::channel::{Channel, Trouble};
use super::child::PluginProcess;
use super::{Code, Terms};

/// How long a backend may take for a verb. `wait` may take as long as the workload.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a process may take until it says who it is.
const GREETING: Duration = Duration::from_secs(10);

/// A process that answers.
#[derive(Debug)]
pub(super) struct Session {
    name: String,
    channel: Channel,
    process: PluginProcess,
    description: Vec<u8>,
    patience: Duration,
}

/// What matters here of a description.
#[derive(Deserialize)]
struct Spoken {
    #[serde(default = "first")]
    protocol: u32,
}

fn first() -> u32 {
    1
}

impl Session {
    /// Starts the process and hears who it is.
    ///
    /// # Errors
    /// `plugin-refused` when its file changed; `plugin-misbehaved`, `protocol` when it does not answer as it should.
    pub(super) fn begin(name: &str, code: &Code, terms: &Terms) -> Result<Self> {
        if let Code::Program(program) = code {
            program.refuse_changed()?;
        }
        let (process, ends) = PluginProcess::start(code, terms).map_err(|error| {
            Error::new(ErrorCode::SystemCall, "start the plugin's process").on(called(name)).because(error)
        })?;
        let channel = Channel::new(ends.socket, ends.error);
        let patience = terms.patience.unwrap_or(PATIENCE);
        let mut session = Self { name: name.to_owned(), channel, process, description: Vec::new(), patience };
        let hello = to_raw_value(&Hello::ours()).map_err(|error| session.protocol("describe", &error))?;
        let limit = terms.patience.map_or(GREETING, |patience| patience.min(GREETING));
        let answer = session.converse("describe", hello, &[], Some(limit))?;
        if answer.outcome == Outcome::Failed {
            return Err(serde_json::from_slice(&answer.document)
                .unwrap_or_else(|error| session.protocol("describe", &error)));
        }
        session.description = answer.document;
        session.check_version()?;
        Ok(session)
    }

    /// What it said of itself.
    pub(super) fn description(&self) -> &[u8] {
        &self.description
    }

    /// Asks one question.
    ///
    /// # Errors
    /// As for [`Session::begin`]; the conversation is over then.
    pub(super) fn ask(
        &mut self,
        verb: &str,
        document: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<RawAnswer> {
        let document =
            serde_json::from_slice::<Box<RawValue>>(document).map_err(|error| self.protocol(verb, &error))?;
        let limit = (verb != "wait").then_some(self.patience);
        self.converse(verb, document, descriptors, limit)
    }

    fn converse(
        &mut self,
        verb: &str,
        document: Box<RawValue>,
        descriptors: &[BorrowedFd<'_>],
        limit: Option<Duration>,
    ) -> Result<RawAnswer> {
        let question = Question { verb: verb.to_owned(), document };
        let mut line = serde_json::to_vec(&question).map_err(|error| self.protocol(verb, &error))?;
        line.push(b'\n');
        let deadline = limit.map(|limit| Instant::now() + limit);
        let (line, descriptors) = self
            .channel
            .converse(&line, descriptors, deadline)
            .map_err(|trouble| self.troubled(verb, limit, trouble))?;
        let answer: Answer = serde_json::from_slice(&line).map_err(|error| self.protocol(verb, &error))?;
        let document = answer.document.get().as_bytes().to_vec();
        Ok(RawAnswer { outcome: answer.outcome, document, descriptors })
    }

    fn check_version(&self) -> Result<()> {
        let spoken: Spoken =
            serde_json::from_slice(&self.description).map_err(|error| self.protocol("describe", &error))?;
        if spoken.protocol == PROTOCOL {
            return Ok(());
        }
        let cause =
            format!("it speaks version {} of the protocol, and was offered {PROTOCOL}", spoken.protocol);
        Err(Error::new(ErrorCode::Protocol, "talk with the plugin")
            .on(called(&self.name))
            .because(cause)
            .hint("take a release of the plugin made for this nucleus"))
    }

    fn protocol(&self, verb: &str, cause: &dyn std::fmt::Display) -> Error {
        Error::new(ErrorCode::Protocol, format!("read the plugin's answer to `{verb}`"))
            .on(called(&self.name))
            .because(cause)
            .hint(AUTHOR)
    }

    fn troubled(&mut self, verb: &str, limit: Option<Duration>, trouble: Trouble) -> Error {
        let misbehaved = |cause: String| {
            Error::new(ErrorCode::PluginMisbehaved, format!("hear the plugin's answer to `{verb}`"))
                .on(called(&self.name))
                .because(cause)
                .hint(AUTHOR)
        };
        let cause = match trouble {
            Trouble::Long => {
                return self.protocol(verb, &format!("it is longer than {LONGEST_ANSWER} bytes"));
            }
            Trouble::Chatter => return self.protocol(verb, &"something follows the line"),
            Trouble::Late => {
                format!("it took longer than {:?} and was ended", limit.unwrap_or_default())
            }
            Trouble::Closed => self.process.end().unwrap_or_else(|| "it closed its socket".to_owned()),
            Trouble::Broken(error) => error.to_string(),
        };
        let said = self.channel.last_words().map(|said| format!("; it said: {said}")).unwrap_or_default();
        misbehaved(cause + &said)
    }
}

const AUTHOR: &str = "this is a defect of the plugin: report it to its author with this message";

fn called(name: &str) -> String {
    format!("plugin `{name}`")
}
