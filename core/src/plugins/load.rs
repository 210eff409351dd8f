//! From a file that may be loaded to a plugin that answers.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nucleus_abi::library::{Layout, Library};
use nucleus_abi::{Client, Error, Result, Surface};
use nucleus_sys::mapping;
use nucleus_sys::surroundings::Surroundings;

use super::layouts;
use super::loaded::{Loaded, misbehaved};
use super::trust::Trusted;

/// Loads a plugin from its open file, and asks it who it is.
///
/// # Errors
/// `plugin-refused` when it is not what its note says; `host-unfit` when the loader or the comparison of layouts refuses it;
/// `plugin-misbehaved` when it starts a thread, or changes what it must not, while it is loaded.
pub fn load(trusted: Trusted) -> Result<Client> {
    let candidate = trusted.candidate();
    let watch = super::loaded::watch(&candidate.note().id);
    let before = Surroundings::look(&[]).map_err(|error| candidate.refuse(error))?;
    let surface = surface_of(&trusted).map_err(|error| error.on(candidate.path().display()))?;
    drop(watch);
    let changes = before.changes().map_err(|error| candidate.refuse(error))?;
    if !changes.is_empty() {
        return Err(misbehaved(&candidate.note().id, "while it was loaded", &changes));
    }
    let note = candidate.note().clone();
    let path = candidate.path().to_owned();
    let client = Client::over(Arc::new(Loaded::new(surface, trusted)))?;
    let description = client.description();
    if description.id == note.id && Some(description.kind) == note.kind {
        return Ok(client);
    }
    Err(super::file::refuse(
        &path,
        format!("its note says `{}`, and the plugin itself says `{}`", note.id, description.id),
    )
    .hint("build it again: the export macros write both"))
}

fn surface_of(trusted: &Trusted) -> Result<Surface> {
    let candidate = trusted.candidate();
    let refuse = |error: io::Error| candidate.refuse(error);
    // One for the loader, which keeps it open for ever; the other is ours, to make copies of.
    let forever: OwnedFd = candidate.file().try_clone().map_err(refuse)?.into();
    let library = Library::load(forever)?;
    // The loader matches what it has loaded by name, and by device and inode: what we have now could be another plugin.
    if !mapping::is_of(library.address(), candidate.file()).map_err(refuse)? {
        return Err(candidate.refuse("the loader gave another object than this file"));
    }
    candidate.refuse_changed()?;
    let known = layouts::find(candidate.digest());
    let surface = library.surface(if known { Layout::Known } else { Layout::Compare })?;
    if !known {
        layouts::remember(candidate.digest());
    }
    Ok(surface)
}

/// The error of an operation on the process as a whole.
pub(super) fn of_this_process(error: &io::Error) -> Error {
    Error::new(nucleus_abi::ErrorCode::SystemCall, "watch the plugin").because(error)
}
