//! From one raw call to a typed verb and back: the plugin's side of the protocol.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use abi_stable::std_types::{RSlice, RStr, RVec};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::{Backend, not_supported};
use crate::descriptors::{self, Descriptors, Reply};
use crate::documents::Description;
use crate::hook::Hook;
use crate::surface::{Answer, Outcome};
use crate::{Error, ErrorCode, Result};

type Encoded = (Vec<u8>, Vec<OwnedFd>);

/// Answers `describe`. A panic becomes an empty document: this call has no room for an error.
pub fn describe(description: impl FnOnce() -> Description) -> RVec<u8> {
    let document = catch_unwind(AssertUnwindSafe(|| serde_json::to_vec(&description()).unwrap_or_default()));
    document.unwrap_or_default().into()
}

/// Answers one call for a backend. A panic becomes an error that names the plugin.
pub fn call_backend(
    backend: &dyn Backend,
    verb: RStr<'_>,
    document: RSlice<'_, u8>,
    raw: RSlice<'_, i32>,
) -> Answer {
    guarded(
        || backend.description().id,
        || {
            // SAFETY: the protocol's rule: the caller keeps the descriptors open until the call returns.
            let borrowed = unsafe { descriptors::borrow(raw.as_slice()) }?;
            backend_verb(backend, verb.as_str(), document.as_slice(), Descriptors::new(&borrowed))
        },
    )
}

/// Answers one call for a hook. A panic becomes an error that names the plugin.
pub fn call_hook(hook: &dyn Hook, verb: RStr<'_>, document: RSlice<'_, u8>, _raw: RSlice<'_, i32>) -> Answer {
    guarded(
        || hook.description().id,
        || match verb.as_str() {
            "event" => plain(hook.event(&read(document.as_slice())?)),
            other => Err(not_supported(other)),
        },
    )
}

fn backend_verb(backend: &dyn Backend, verb: &str, document: &[u8], fds: Descriptors<'_>) -> Result<Encoded> {
    match verb {
        "report" => plain(backend.report(&read(document)?)),
        "check-options" => plain(backend.check_options(&read(document)?)),
        "sandbox" => with_descriptors(backend.sandbox(&read(document)?, fds)),
        "create" => with_descriptors(backend.create(&read(document)?, fds)),
        "start" => plain(backend.start(&read(document)?)),
        "wait" => plain(backend.wait(&read(document)?, fds)),
        "state" => plain(backend.state(&read(document)?)),
        "signal" => plain(backend.signal(&read(document)?)),
        "delete" => plain(backend.delete(&read(document)?)),
        "exec" => with_descriptors(backend.exec(&read(document)?, fds)),
        "pause" => plain(backend.pause(&read(document)?)),
        "resume" => plain(backend.resume(&read(document)?)),
        "update" => plain(backend.update(&read(document)?)),
        "processes" => plain(backend.processes(&read(document)?)),
        "stats" => plain(backend.stats(&read(document)?)),
        "watch-oom" => with_descriptors(backend.watch_oom(&read(document)?)),
        "checkpoint" => plain(backend.checkpoint(&read(document)?, fds)),
        "restore" => with_descriptors(backend.restore(&read(document)?, fds)),
        "features" => plain(backend.features(&read(document)?)),
        "undo" => plain(backend.undo(&read(document)?)),
        other => Err(not_supported(other)),
    }
}

fn read<T: DeserializeOwned>(document: &[u8]) -> Result<T> {
    serde_json::from_slice(document)
        .map_err(|error| Error::new(ErrorCode::Protocol, "read a request").because(error))
}

fn write<T: Serialize>(document: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(document)
        .map_err(|error| Error::new(ErrorCode::Protocol, "write a reply").because(error))
}

fn plain<T: Serialize>(result: Result<T>) -> Result<Encoded> {
    Ok((write(&result?)?, Vec::new()))
}

fn with_descriptors<T: Serialize>(result: Result<Reply<T>>) -> Result<Encoded> {
    let reply = result?;
    Ok((write(&reply.document)?, reply.descriptors))
}

fn guarded(plugin: impl FnOnce() -> String, work: impl FnOnce() -> Result<Encoded>) -> Answer {
    // AssertUnwindSafe: plugins keep no state between verbs, so a half-done call leaves none behind.
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let name = catch_unwind(AssertUnwindSafe(plugin)).unwrap_or_else(|_| "(nameless)".to_owned());
        Err(panicked(&name, panic.as_ref()))
    });
    match result {
        Ok((document, fds)) => Answer {
            outcome: Outcome::Done,
            document: document.into(),
            descriptors: fds.into_iter().map(IntoRawFd::into_raw_fd).collect(),
        },
        Err(error) => Answer {
            outcome: Outcome::Failed,
            document: serde_json::to_vec(&error).unwrap_or_default().into(),
            descriptors: RVec::new(),
        },
    }
}

fn panicked(plugin: &str, panic: &(dyn std::any::Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    Error::new(ErrorCode::PluginPanicked, "finish the plugin's verb")
        .on(format!("plugin `{plugin}`"))
        .because(message)
        .hint("this is a defect of the plugin: report it to its author with this message")
}
