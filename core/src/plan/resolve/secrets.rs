//! Secrets: which file or variable each becomes, and places where none can be.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Resolver;
use super::process::user;
use crate::plan::decided::Decided;
use crate::plan::host::RuntimeKind;
use crate::plan::policy::Policy;
use crate::plan::secrets::{Presence, SecretFile, SecretPlan, SecretSource, SecretsPlan};
use crate::profile::values::FileMode;
use crate::profile::{self, Origin, Secret};

/// Room for all secrets unless the profile says otherwise.
const SIZE: u64 = 16 << 20;

/// Where secrets without a target lie.
const DIRECTORY: &str = "/run/secrets";

/// Only its owner reads it.
const MODE: u32 = 0o400;

/// How long a command may take.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Resolver<'_> {
    pub(super) fn secrets(&mut self, policy: &Policy) -> SecretsPlan {
        let mut list: Vec<Decided<SecretPlan>> = Vec::new();
        for (index, secret) in self.profile.secrets.iter().enumerate() {
            let pointer = format!("/secrets/{index}");
            let Some(plan) = secret_plan(secret) else { continue };
            if let Some(file) = &plan.file {
                let place =
                    if secret.target.is_some() { format!("{pointer}/target") } else { pointer.clone() };
                self.check_target(&place, &file.target, &list);
                if let Err(objection) = policy.target(&file.target) {
                    self.object(&place, &objection);
                }
            }
            list.push(self.decided(&pointer, plan));
        }
        let size = match self.profile.mounts.secrets {
            Some(size) => self.decided("/mounts/secrets", size.bytes()),
            None => Decided::new(SIZE, Origin::BuiltIn("default")),
        };
        if size.value == 0 && !list.is_empty() {
            self.mistake("/mounts/secrets", "there is no room for a secret", "write a size such as 16M");
        }
        SecretsPlan { list, size, swap: self.facts.swap.clone() }
    }

    fn check_target(&mut self, pointer: &str, target: &Path, earlier: &[Decided<SecretPlan>]) {
        self.refuse_taken_place(pointer.trim_end_matches("/target"), target);
        if let Some((cause, hint)) = self.no_file_can_be_made_at(target) {
            self.mistake(pointer, cause, hint);
        }
        let meets = |other: &Path| other.starts_with(target) || target.starts_with(other);
        let met = earlier.iter().filter_map(|secret| Some((secret, secret.value.file.as_ref()?)));
        let met = met.filter(|(_, file)| meets(&file.target)).map(|(secret, file)| {
            format!(
                "the secret `{}` ({}) is the file {}",
                secret.value.name,
                secret.origin,
                file.target.display()
            )
        });
        if let Some(cause) = met.into_iter().next() {
            self.mistake(pointer, cause, "give each secret a place of its own");
        }
    }

    /// The place of a file must be made before something can be mounted on it, and not on the host.
    fn no_file_can_be_made_at(&self, target: &Path) -> Option<(String, &'static str)> {
        let volumes = &self.profile.mounts.volumes;
        if let Some(volume) = volumes.iter().find(|volume| target.starts_with(volume.target.as_path())) {
            let cause = format!("it lies in the volume at {}, which is the host's", volume.target);
            return Some((cause, "choose a target outside of it: nucleus makes no file on the host for it"));
        }
        if let Some(context) = self.profile.context.iter().find(|it| target.starts_with(it.target.as_path()))
        {
            let cause = format!("it lies in the context at {}, which is read-only", context.target);
            return Some((cause, "choose a target outside of it, such as one in /run/secrets"));
        }
        let shown = self.facts.runtime.iter().find(|entry| target.starts_with(&entry.path))?;
        let what = match shown.kind {
            RuntimeKind::Directory | RuntimeKind::File => "is the host's, and shown read-only",
            RuntimeKind::Link(_) => "is a link",
        };
        Some((
            format!("{} {what}", shown.path.display()),
            "choose a target outside of it, such as one in /run/secrets",
        ))
    }
}

/// `None` for what the profile's own rules have refused.
fn secret_plan(secret: &Secret) -> Option<SecretPlan> {
    let name = secret.called()?;
    let target = match (&secret.target, &secret.env) {
        (Some(target), _) => Some(target.as_path().to_owned()),
        (None, Some(_)) => None,
        (None, None) => Some(Path::new(DIRECTORY).join(&name)),
    };
    Some(SecretPlan {
        source: source(&secret.source)?,
        file: target.map(|target| file(secret, target)),
        variable: secret.env.as_ref().map(ToString::to_string),
        presence: if secret.optional { Presence::Optional } else { Presence::Required },
        name,
    })
}

fn file(secret: &Secret, target: PathBuf) -> SecretFile {
    SecretFile {
        target,
        mode: secret.mode.map_or(MODE, FileMode::bits),
        owner: secret.owner.as_ref().map(user),
    }
}

fn source(source: &profile::SecretSource) -> Option<SecretSource> {
    let profile::SecretSource { file, env, fd, command, timeout, credential } = source;
    let file = file.as_ref().map(|path| SecretSource::File(path.as_path().to_owned()));
    let variable = || env.as_ref().map(|name| SecretSource::Variable(name.to_string()));
    let descriptor = || fd.and_then(|fd| i32::try_from(fd.get()).ok()).map(SecretSource::Descriptor);
    let timeout = timeout.map_or(TIMEOUT, profile::values::Duration::as_std);
    let command = || command.clone().map(|words| SecretSource::Command { words, timeout });
    let credential = || credential.as_ref().map(|name| SecretSource::Credential(name.to_string()));
    file.or_else(variable).or_else(descriptor).or_else(command).or_else(credential)
}
