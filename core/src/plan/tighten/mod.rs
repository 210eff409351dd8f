//! An engine's `config.json` under an operator's profile: each field is tightened by one rule, or refused.
//!
//! The rules are a table in `docs/profile.md`, in the order of this module:
//!
//! | rule | fields |
//! |---|---|
//! | minimum | limits |
//! | intersection | capabilities, system call filter, processors |
//! | force | `noNewPrivileges`, read-only root, masks, mount flags, kernel parameters |
//! | refuse | root, host namespaces, devices, kernel file systems and sockets of the host, shared mounts, real time |
//! | keep | program, environment, rootfs, hooks, annotations, the engine's network namespace |
//!
//! Pure: the raw document is patched where a rule says so, and everything else in it stays as the engine wrote it.

mod devices;
mod document;
mod limits;
mod mounts;
mod namespaces;
mod rights;
mod root;
mod seccomp;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, LandlockRule, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(in crate::plan) use self::devices::is_dangerous;
use self::document::Document;
use super::bounds::{Bounds, Held};
use super::policy::Source;

/// A field that the profile changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The field of `config.json`, as a path of keys.
    pub field: String,
    /// What the engine asked for.
    pub from: Value,
    /// What the container gets.
    pub to: Value,
    /// The profile's line that says so.
    pub decided: String,
}

/// What became of a document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tightened {
    /// What the profile changed.
    pub changes: Vec<Change>,
    /// What the profile does not allow and nobody could make smaller.
    pub refusals: Vec<Error>,
    /// Landlock rules for the container's processes.
    pub landlock: Option<Vec<LandlockRule>>,
    /// By which rule of the mount policy each bind mount is there, by its field.
    pub admitted: BTreeMap<String, String>,
}

impl Tightened {
    /// Whether the container may have what is left.
    ///
    /// # Errors
    /// `profile-refuses`; several refusals stand in `also`.
    pub fn allow(&self, held: &Held) -> Result<()> {
        match self.refusals.as_slice() {
            _ if !held.strict.value => Ok(()),
            [] => Ok(()),
            [one] => Err(one.clone()),
            several => Err(Error::new(ErrorCode::ProfileRefuses, "give the engine what it asks for")
                .on(format!("profile `{}`", held.profile.value))
                .because(format!(
                    "{} fields of config.json ask for what the profile does not allow",
                    several.len()
                ))
                .and(several.to_vec())),
        }
    }

    /// What `enforcement: permissive` lets pass, in words.
    pub fn warnings(&self, held: &Held) -> Vec<String> {
        if held.strict.value { Vec::new() } else { self.refusals.iter().map(ToString::to_string).collect() }
    }
}

/// What the rules must know of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineFacts {
    /// The kinds in `linux.namespaces` whose paths lead to a namespace of nucleus itself: the host's, as far as it can tell.
    pub own_namespaces: Vec<String>,
    /// What the sources of bind mounts are, by the index of the mount.
    pub sources: BTreeMap<usize, Source>,
    /// What the directory that is to be the root is; `None` if there is none.
    pub root: Option<Source>,
    /// Where each mount goes, by its index, or why nobody can tell; nothing where no rule asks for it.
    pub places: BTreeMap<usize, std::result::Result<PathBuf, String>>,
}

impl EngineFacts {
    /// Nothing is known of a source that was not looked at.
    fn source(&self, mount: usize) -> Source {
        let unknown = || Source::Hidden("nobody looked".to_owned());
        self.sources.get(&mount).cloned().unwrap_or_else(unknown)
    }

    /// The same of a place.
    fn place(&self, mount: usize) -> std::result::Result<&Path, &str> {
        self.places.get(&mount).map_or(Err("nobody looked"), |place| place.as_deref().map_err(String::as_str))
    }
}

/// Tightens a `config.json`.
///
/// # Errors
/// `config-invalid`, naming the field, where a field that a rule needs has not the type that the specification says.
pub fn config(config: &mut Value, bounds: &Bounds, facts: &EngineFacts) -> Result<Tightened> {
    let mut document = Document::new(config)?;
    rights::process(&mut document, &bounds.held)?;
    root::tighten(&mut document, bounds, facts)?;
    mounts::tighten(&mut document, bounds, facts)?;
    namespaces::tighten(&mut document, bounds, facts)?;
    devices::tighten(&mut document, &bounds.held)?;
    limits::tighten(&mut document, &bounds.held, limits::Excess::Lowered)?;
    seccomp::tighten(&mut document, bounds)?;
    let landlock = mounts::landlock(&document, bounds);
    let admitted = mounts::admitted(&document, bounds, facts);
    let (changes, refusals) = document.into_parts();
    Ok(Tightened { changes, refusals, landlock, admitted })
}

/// Tightens the `process` of an `exec`.
///
/// # Errors
/// As for [`config`].
pub fn process(process: &mut Value, held: &Held) -> Result<Tightened> {
    let mut wrapped = serde_json::json!({ "process": process.take() });
    let mut document = Document::new(&mut wrapped)?;
    rights::process(&mut document, held)?;
    let (changes, refusals) = document.into_parts();
    *process = wrapped["process"].take();
    Ok(Tightened { changes, refusals, ..Tightened::default() })
}

/// Holds an `update` to the bounds: what exceeds one is refused, for whoever updates wants to know.
///
/// `asked` are the `resources` of the update, `config` is the container's with them: only there stand all the numbers of a
/// limit that is made of several, such as quota and period. Devices that a plan gave stay allowed, so only new rules count.
///
/// # Errors
/// As for [`config`].
pub fn resources(asked: &Value, config: &mut Value, held: &Held) -> Result<Tightened> {
    let mut wrapped = serde_json::json!({ "linux": { "resources": asked } });
    let mut new = Document::new(&mut wrapped)?;
    devices::rules(&mut new, held, limits::Excess::Refused)?;
    let mut whole = Document::new(config)?;
    limits::tighten(&mut whole, held, limits::Excess::Refused)?;
    let (_, mut refusals) = whole.into_parts();
    refusals.extend(new.into_parts().1);
    Ok(Tightened { refusals, ..Tightened::default() })
}

#[cfg(test)]
mod tests;
