//! A plugin in this process that is not part of the program: each of its calls is watched.
//!
//! What is caught: a panic (by the plugin's own side of the protocol), exit(3), an answer that is too long or makes no sense, a
//! thread that stays, a changed mask of signals or working directory, a closed descriptor. What cannot be: abort(3), a fault,
//! `_exit(2)`, an endless loop. They end or hold this process; what was made stands in the ledger, and `gc` removes it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use nucleus_abi::{Error, ErrorCode, PluginFile, PluginForm, RawAnswer, Result, Surface, Transport};
use nucleus_sys::surroundings::{Change, ExitWatch, Surroundings};

use super::load::of_this_process;
use super::trust::Trusted;

/// A plugin that was loaded from a file.
#[derive(Debug)]
pub(super) struct Loaded {
    surface: Surface,
    trusted: Trusted,
    sha256: String,
}

impl Loaded {
    pub(super) fn new(surface: Surface, trusted: Trusted) -> Self {
        let sha256 = trusted.candidate().sha256();
        Self { surface, trusted, sha256 }
    }

    fn id(&self) -> &str {
        &self.trusted.candidate().note().id
    }

    fn watched<T>(&self, when: &str, lent: &[BorrowedFd<'_>], act: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = Surroundings::look(lent).map_err(|error| of_this_process(&error))?;
        let watch = watch(self.id());
        let answer = act();
        drop(watch);
        let changes = before.changes().map_err(|error| of_this_process(&error))?;
        if changes.is_empty() { answer } else { Err(misbehaved(self.id(), when, &changes)) }
    }
}

impl Transport for Loaded {
    fn describe(&self) -> Result<Vec<u8>> {
        self.watched("in `describe`", &[], || self.surface.describe())
    }

    fn call(&self, verb: &str, document: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<RawAnswer> {
        let when = format!("in `{verb}`");
        self.watched(&when, descriptors, || Transport::call(&self.surface, verb, document, descriptors))
    }

    fn file(&self) -> Option<PluginFile<'_>> {
        let candidate = self.trusted.candidate();
        Some(PluginFile {
            path: candidate.path(),
            file: candidate.file().as_fd(),
            sha256: &self.sha256,
            form: PluginForm::Library,
        })
    }
}

/// `plugin-misbehaved`, with everything that was changed.
pub(super) fn misbehaved(id: &str, when: &str, changes: &[Change]) -> Error {
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    Error::new(ErrorCode::PluginMisbehaved, "let the plugin work")
        .on(format!("plugin `{id}`"))
        .because(format!("{when}: {}", changes.join("; ")))
        .hint("this is a defect of the plugin: report it to its author with this message")
}

/// Watches for an exit in the code of a plugin.
pub(super) fn watch(id: &str) -> ExitWatch {
    ExitWatch::begin(sentence(id))
}

/// What is said when a plugin ends the process. It is read when nothing can be allocated any more, so it lives for ever; one for
/// each plugin.
fn sentence(id: &str) -> &'static str {
    static SENTENCES: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());
    let mut sentences = SENTENCES.lock().unwrap_or_else(PoisonError::into_inner);
    sentences.entry(id.to_owned()).or_insert_with(|| {
        let text = format!(
            "nucleus: the plugin `{id}` ended nucleus by exit(3) in the middle of a call: a defect of the plugin; `nucleus gc` \
             removes what is left\n"
        );
        Box::leak(text.into_boxed_str())
    })
}
