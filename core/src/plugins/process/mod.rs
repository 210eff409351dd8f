//! Plugins that are processes: programs in any language, and hooks, whose code never runs in nucleus' own process.
//!
//! The conversation is that of [`nucleus_abi::process`]. The process holds nothing but its socket, its own file and a pipe for what
//! it says on standard error; what it does wrong costs one error ([`session`]), and it does not outlive its use ([`child`]).

mod channel;
mod child;
mod program;
mod session;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nucleus_abi::{
    Client, Error, ErrorCode, Kind, PluginFile, PluginForm, RawAnswer, Result, Surface, Transport,
};

pub use program::Program;

use self::session::Session;
use super::trust::Trusted;

/// Whose code the process runs.
#[derive(Debug)]
pub(super) enum Code {
    /// A plugin that is linked into this program.
    Linked(Surface),
    /// A library, which the process itself loads.
    Library(Trusted),
    /// A program.
    Program(Program),
}

/// What a process may do, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// What it is: a hook is ended with all that it started, a backend starts what outlives it.
    pub kind: Kind,
    /// How long an answer may take; `None`: the time that backends have.
    pub patience: Option<Duration>,
}

impl Terms {
    /// Those of a backend.
    pub fn backend() -> Self {
        Self { kind: Kind::Backend, patience: None }
    }
}

/// A plugin in a process of its own; what it says of itself must be what was looked for.
///
/// # Errors
/// What keeps it from starting or from answering; `plugin-refused` when it is another.
pub(super) fn client(id: &str, code: Code, terms: Terms) -> Result<Client> {
    let client = Client::over(Arc::new(Process::new(id, code, terms)))?;
    let description = client.description();
    if description.id == id && description.kind == terms.kind {
        return Ok(client);
    }
    let kind = match description.kind {
        Kind::Backend => "backend",
        Kind::Hook => "hook",
    };
    Err(Error::new(ErrorCode::PluginRefused, "use the plugin")
        .on(format!("plugin `{id}`"))
        .because(format!("it says that it is the {kind} `{}`", description.id))
        .hint("name its file by what it calls itself"))
}

/// The backend of which a copy stays with a container. Whatever it calls itself, it made the container.
///
/// # Errors
/// As for [`client`].
pub(super) fn kept(program: Program) -> Result<Client> {
    Client::over(Arc::new(Process::new("plugin", Code::Program(program), Terms::backend())))
}

/// A plugin in a process of its own, which is started when it is first needed.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    code: Code,
    terms: Terms,
    session: Mutex<Option<Session>>,
}

impl Process {
    pub(super) fn new(name: &str, code: Code, terms: Terms) -> Self {
        Self { name: name.to_owned(), code, terms, session: Mutex::new(None) }
    }

    /// Asks; a process that failed is not asked again.
    fn ask(&self, verb: &str, document: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<RawAnswer> {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut session = match held.take() {
            Some(session) => session,
            None => Session::begin(&self.name, &self.code, &self.terms)?,
        };
        let answer = session.ask(verb, document, descriptors)?;
        *held = Some(session);
        Ok(answer)
    }
}

impl Transport for Process {
    fn describe(&self) -> Result<Vec<u8>> {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let session = Session::begin(&self.name, &self.code, &self.terms)?;
        let description = session.description().to_vec();
        *held = Some(session);
        Ok(description)
    }

    fn call(&self, verb: &str, document: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<RawAnswer> {
        self.ask(verb, document, descriptors)
    }

    fn file(&self) -> Option<PluginFile<'_>> {
        match &self.code {
            Code::Program(program) => Some(PluginFile {
                path: program.path(),
                file: program.file().as_fd(),
                sha256: program.sha256(),
                form: PluginForm::Program,
            }),
            Code::Linked(_) | Code::Library(_) => None,
        }
    }
}
