//! What can be told of secrets without reading any: for `explain` and `--dry-run`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nucleus_abi::Error;

use super::source::{Objection, credential, openness};
use crate::plan::{Plan, Presence, SecretSource};

/// What speaks against the sources of a plan's secrets, as far as a look at them tells: nothing is opened, read or run, and
/// what this user may not see is checked at the start.
pub fn survey(plan: &Plan) -> Vec<Error> {
    let secrets = plan.secrets.list.iter();
    let objections = secrets.flat_map(|secret| {
        let optional = secret.value.presence == Presence::Optional;
        let found = look(&secret.value.source);
        let counts = found.into_iter().filter(move |it| !(optional && matches!(it, Objection::Missing(_))));
        counts.map(move |objection| objection.error(secret))
    });
    objections.collect()
}

fn look(source: &SecretSource) -> Option<Objection> {
    match source {
        SecretSource::File(path) => look_at(path),
        SecretSource::Credential(name) => match credential(name) {
            Some(path) => look_at(&path),
            None => Some(Objection::Missing("systemd gave nucleus no credentials".to_owned())),
        },
        SecretSource::Variable(name) => {
            std::env::var_os(name).is_none().then(|| Objection::Missing(format!("${name} is not set")))
        }
        // Which descriptors a start will have, another call cannot tell.
        SecretSource::Descriptor(_) | SecretSource::Command { .. } => None,
    }
}

fn look_at(path: &Path) -> Option<Objection> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Some(Objection::Link(path.to_owned())),
        Ok(metadata) => openness(path, metadata.mode()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(Objection::Missing("there is no such file".to_owned()))
        }
        Err(_) => None,
    }
}
