//! A plugin that is a process of its own: the messages on its socket, and the plugin's side of the conversation.
//!
//! The socket (`AF_UNIX`, `SOCK_STREAM`) is descriptor [`SOCKET`]. Each message is one line of JSON. nucleus writes a [`Question`]
//! and reads an [`Answer`] before it writes the next; the descriptors of a message come as ancillary data (`SCM_RIGHTS`) with
//! its first byte. The first verb is `describe` with a [`Hello`], answered by a [`crate::Description`]; all others are those of the
//! traits. When nucleus closes the socket, the plugin shall end.

use std::fmt::{self, Debug};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{BorrowedFd, FromRawFd};
use std::os::unix::net::UnixStream;

use abi_stable::std_types::{RSlice, RStr};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dispatch::{call_hook, describe};
use crate::documents::SCHEMA;
use crate::hook::Hook;
use crate::surface::Outcome;
use crate::transport::{RawAnswer, Transport};
use crate::{Error, ErrorCode, Result};

/// The descriptor at which a plugin finds its socket.
pub const SOCKET: i32 = 3;

/// The version of the conversation.
pub const PROTOCOL: u32 = 1;

/// What nucleus writes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Question {
    /// `describe`, or a verb of the plugin's trait.
    pub verb: String,
    /// The verb's request.
    pub document: Box<RawValue>,
}

/// The request of `describe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest and newest version of the conversation that nucleus speaks. The plugin says in its description which it took.
    pub protocols: (u32, u32),
    /// The schema of the documents that nucleus writes.
    pub schema: u32,
}

impl Hello {
    /// Of this release.
    pub const fn ours() -> Self {
        Self { protocols: (PROTOCOL, PROTOCOL), schema: SCHEMA }
    }
}

/// What the plugin writes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What came of it.
    pub outcome: Outcome,
    /// The verb's reply, or the [`Error`].
    pub document: Box<RawValue>,
}

/// Answers on a socket until the other side closes it, in place of a plugin that is reached by `transport`. Descriptors are not
/// passed on.
///
/// # Errors
/// `protocol` when the socket fails or something comes that is no question.
pub fn serve(transport: &dyn Transport, socket: UnixStream) -> Result<()> {
    let broken = |error: &dyn std::fmt::Display| {
        Error::new(ErrorCode::Protocol, "read nucleus' question").because(error)
    };
    let writer = socket.try_clone().map_err(|error| broken(&error))?;
    for line in BufReader::new(socket).lines() {
        let question: Question =
            serde_json::from_str(&line.map_err(|error| broken(&error))?).map_err(|error| broken(&error))?;
        let answered = match question.verb.as_str() {
            "describe" => transport.describe().map(|document| (Outcome::Done, document)),
            verb => transport
                .call(verb, question.document.get().as_bytes(), &[])
                .map(|answer| (answer.outcome, answer.document)),
        };
        write(&writer, answered).map_err(|error| broken(&error))?;
    }
    Ok(())
}

/// Tells whoever asks that the plugin could not be made ready.
///
/// # Errors
/// As for [`serve`].
pub fn serve_failure(error: Error, socket: UnixStream) -> Result<()> {
    serve(&Unready(error), socket)
}

/// A plugin that could not be made ready.
#[derive(Debug)]
struct Unready(Error);

impl Transport for Unready {
    fn describe(&self) -> Result<Vec<u8>> {
        Err(self.0.clone())
    }

    fn call(&self, _: &str, _: &[u8], _: &[BorrowedFd<'_>]) -> Result<RawAnswer> {
        Err(self.0.clone())
    }
}

fn write(mut socket: &UnixStream, answered: Result<(Outcome, Vec<u8>)>) -> std::io::Result<()> {
    let (outcome, document) = match answered {
        Ok(answer) => answer,
        Err(error) => (Outcome::Failed, serde_json::to_vec(&error)?),
    };
    let document = RawValue::from_string(String::from_utf8(document).map_err(std::io::Error::other)?)?;
    let mut line = serde_json::to_vec(&Answer { outcome, document })?;
    line.push(b'\n');
    socket.write_all(&line)
}

/// The `main` of a hook plugin that is a program: answers until nucleus closes the socket.
///
/// # Errors
/// As for [`serve`]; also where the program was not started by nucleus.
pub fn serve_hook(hook: &dyn Hook) -> Result<()> {
    // SAFETY: the protocol's rule: nucleus opened this descriptor for the program, and nobody else in it owns it.
    let socket = unsafe { UnixStream::from_raw_fd(SOCKET) };
    socket.local_addr().map_err(|error| {
        Error::new(ErrorCode::Protocol, "find nucleus' socket")
            .on(format!("descriptor {SOCKET}"))
            .because(error)
            .hint("this program is a plugin: name it in a profile, and nucleus starts it")
    })?;
    serve(&Direct(hook), socket)
}

/// A hook of this very program.
struct Direct<'a>(&'a dyn Hook);

impl Debug for Direct<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Direct").field(&self.0.description()).finish()
    }
}

impl Transport for Direct<'_> {
    fn describe(&self) -> Result<Vec<u8>> {
        Ok(describe(|| self.0.description()).into_vec())
    }

    fn call(&self, verb: &str, document: &[u8], _: &[BorrowedFd<'_>]) -> Result<RawAnswer> {
        let verb = RStr::from_str(verb);
        let answer = call_hook(self.0, verb, RSlice::from_slice(document), RSlice::EMPTY);
        let document = answer.document.into_vec();
        Ok(RawAnswer { outcome: answer.outcome, document, descriptors: Vec::new() })
    }
}
