//! Secrets: read from where the profile says, into a file system in memory that hangs nowhere, and never anywhere else.
//!
//! They pass through one buffer that is wiped after each portion, while the process leaves no core dump. What comes out are
//! descriptors of mounts: they vanish with their last holder, so a crash leaves nothing behind.

mod command;
mod pour;
mod source;
mod store;
mod survey;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::secrecy::{SecretBuffer, Undumpable, Variable};

use super::rootfs::Owner;
use crate::plan::{Decided, Enforcement, Plan, Presence, SecretFile, SecretPlan, SecretSource, Swap};
use pour::Sink;
use source::{Found, Objection, Supply};
use store::Store;

pub use survey::survey;

/// A portion of what is read, in bytes.
const PORTION: usize = 64 << 10;

/// What the workload will see, as descriptors.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// Read-only mounts of one file each, by the secret's place in the plan; those that are missing have none.
    pub(super) files: BTreeMap<usize, OwnedFd>,
    /// Variables, each as `NAME=value` with a NUL behind it.
    pub(super) environment: Option<OwnedFd>,
    /// What was let pass.
    pub(super) warnings: Vec<String>,
}

/// Reads and stages all secrets of a plan. `owner` finds the host's ids for a file's owner.
///
/// # Errors
/// Each names the secret and its line: `host-unfit` for what is missing, too open, too big or fails.
pub(super) fn stage(plan: &Plan, owner: &dyn Fn(&SecretFile) -> Result<Owner>) -> Result<Staged> {
    let secrets = &plan.secrets;
    if secrets.list.is_empty() {
        return Ok(Staged::default());
    }
    let _silent = Undumpable::begin().map_err(|error| cannot("keep nucleus from being dumped", &error))?;
    let mut buffer = SecretBuffer::new(PORTION).map_err(|error| cannot("get memory for secrets", &error))?;
    let mut staging = Staging { plan, store: Store::new(secrets)?, warnings: Vec::new() };
    if let (Some(reason), Swap::Never) = (staging.store.swap(), &secrets.swap) {
        staging.warnings.push(format!("secrets may be swapped out: {reason}"));
    }
    let (commands, others): (Vec<_>, Vec<_>) =
        secrets.list.iter().enumerate().partition(|(_, secret)| is_command(&secret.value));
    for (index, secret) in others {
        staging.stage(index, secret, owner, &mut buffer)?;
    }
    // A program sees nothing of the other secrets: its environment is empty, and ours will not be asked again.
    erase_variables(plan)?;
    for (index, secret) in commands {
        staging.stage(index, secret, owner, &mut buffer)?;
    }
    drop(buffer);
    let Staging { store, warnings, .. } = staging;
    let (files, environment) = store.finish()?;
    Ok(Staged { files, environment, warnings })
}

fn is_command(secret: &SecretPlan) -> bool {
    matches!(secret.source, SecretSource::Command { .. })
}

struct Staging<'a> {
    plan: &'a Plan,
    store: Store,
    warnings: Vec<String>,
}

impl Staging<'_> {
    fn stage(
        &mut self,
        index: usize,
        secret: &Decided<SecretPlan>,
        owner: &dyn Fn(&SecretFile) -> Result<Owner>,
        buffer: &mut SecretBuffer,
    ) -> Result<()> {
        let Some(supply) = self.find(secret)? else { return Ok(()) };
        let file = secret.value.file.as_ref();
        let made =
            file.map(|_| self.store.file(index)).transpose().map_err(|error| full_or(secret, &error))?;
        let mut sink = Sink::new(secret, made.as_ref(), self.store.environment(&secret.value))?;
        match supply {
            Supply::Variable(variable) => pour::variable(&variable, &mut sink)?,
            Supply::File(file) => pour::file(&file, &mut sink, buffer)?,
            Supply::Stream(stream) => pour::stream(&stream, &mut sink, buffer)?,
            Supply::Command { words, timeout } => command::run(words, timeout, &mut sink, buffer)?,
        }
        sink.end()?;
        if let SecretSource::Descriptor(number) = secret.value.source {
            source::close(number).map_err(|error| failed(secret, error))?;
        }
        if let (Some(file), Some(made)) = (file, &made) {
            let owner = owner(file)
                .map_err(|error| error.hint(format!("it owns the secret of {}", secret.origin)))?;
            store::give(made, owner, file.mode).map_err(|error| failed(secret, error))?;
        }
        Ok(())
    }

    /// Where the content is read from; `None` for a secret that is left out.
    fn find<'s>(&mut self, secret: &'s Decided<SecretPlan>) -> Result<Option<Supply<'s>>> {
        let strict = self.plan.enforcement.value == Enforcement::Strict;
        let Found { supply, objections } =
            source::find(&secret.value.source).map_err(|error| failed(secret, error))?;
        for objection in objections {
            let is_missing = matches!(objection, Objection::Missing(_));
            if is_missing && secret.value.presence == Presence::Optional {
                continue;
            }
            let error = objection.error(secret);
            if strict {
                return Err(error);
            }
            self.warnings.push(error.to_string());
        }
        Ok(supply)
    }
}

/// Nobody who looks at this process later finds the values. What is erased already is no variable any more.
pub(super) fn erase_variables(plan: &Plan) -> Result<()> {
    for secret in &plan.secrets.list {
        let SecretSource::Variable(name) = &secret.value.source else { continue };
        let name = source::variable_name(name);
        let erased = name.and_then(|name| Variable::find(&name)?.map_or(Ok(()), Variable::erase));
        erased.map_err(|error| failed(secret, format!("its variable cannot be erased: {error}")))?;
    }
    Ok(())
}

fn cannot(step: &'static str, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, step).because(error)
}

/// An error that names the secret, and never what it is.
fn failed(secret: &Decided<SecretPlan>, cause: impl std::fmt::Display) -> Error {
    let subject = format!("secrets[{}] ({}), {}", secret.value.name, secret.origin, secret.value.source);
    Error::new(ErrorCode::HostUnfit, "stage a secret").on(subject).because(cause)
}

/// tmpfs says ENOSPC where its size or number of files is reached.
fn full_or(secret: &Decided<SecretPlan>, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull => {
            failed(secret, "it does not fit into the room that all secrets have")
                .hint("give them more as `mounts.secrets`, 16M unless said")
        }
        _ => failed(secret, error),
    }
}
