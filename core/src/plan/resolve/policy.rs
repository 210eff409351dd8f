//! The profile's own mounts under its policy.

use std::io;
use std::path::Path;

use super::Resolver;
use crate::plan::decided::Decided;
use crate::plan::policy::{Ground, Objection, Policy, Source, rule};
use crate::plan::types::Admitted;
use crate::profile::Origin;

/// The word of a policy for the host's files.
const BIND: &str = "bind";

impl Resolver<'_> {
    /// By which rules the volumes are mounted; what the policy refuses is a mistake of the profile.
    pub(super) fn admitted(&mut self, policy: &Policy) -> Vec<Decided<Admitted>> {
        self.judge_root(policy);
        for (index, tmpfs) in self.profile.mounts.tmpfs.iter().enumerate() {
            self.judge_place(policy, &format!("/mounts/tmpfs/{index}"), "tmpfs", tmpfs.target.as_path());
        }
        let volumes = self.profile.mounts.volumes.iter().enumerate();
        volumes
            .map(|(index, volume)| {
                let pointer = format!("/mounts/volumes/{index}");
                self.judge_place(policy, &pointer, BIND, volume.target.as_path());
                self.admit(policy, &pointer, index, volume.target.as_path())
            })
            .collect()
    }

    /// By which rule a context is shown. Its source stands behind those of the volumes.
    pub(super) fn admitted_context(&mut self, policy: &Policy, target: &Path) -> Decided<Admitted> {
        self.judge_place(policy, "/context", BIND, target);
        self.admit(policy, "/context", self.profile.mounts.volumes.len(), target)
    }

    fn judge_place(&mut self, policy: &Policy, pointer: &str, kind: &str, target: &Path) {
        if let Err(objection) = policy.kind(kind) {
            self.object(pointer, &objection);
        }
        if let Err(objection) = policy.target(target) {
            self.object(&format!("{pointer}/target"), &objection);
        }
    }

    fn admit(&mut self, policy: &Policy, pointer: &str, index: usize, target: &Path) -> Decided<Admitted> {
        let verdict = match self.facts.sources.get(&index) {
            None => return later(target, "not looked at"),
            // It may be there by then, or nucleus may have the rights to open it.
            Some(Source::Closed(why)) => return later(target, &io::Error::from(*why).to_string()),
            Some(source) => policy.known(source, Policy::source),
        };
        let ground = verdict.unwrap_or_else(|objection| {
            self.object(&format!("{pointer}/source"), &objection);
            Ground::Default
        });
        let path = match self.facts.sources.get(&index) {
            Some(Source::Found(found)) => found.path.display().to_string(),
            _ => String::new(),
        };
        let origin =
            ground.pointer().map_or(Origin::BuiltIn("default"), |pointer| self.loaded.origins.of(&pointer));
        let why = format!("{path}, allowed by {}", rule(policy, ground));
        Decided::new(Admitted { target: target.to_owned(), why }, origin)
    }

    fn judge_root(&mut self, policy: &Policy) {
        let known = self.facts.roots.iter().filter(|(_, source)| !matches!(source, Source::Closed(_)));
        for (pointer, source) in known {
            if let Err(objection) = policy.known(source, Policy::root) {
                self.object(pointer, &objection);
            }
        }
    }

    pub(super) fn object(&mut self, pointer: &str, objection: &Objection) {
        self.mistake(pointer, objection.with_line(), &objection.hint);
    }
}

/// What could not be looked at now is judged when the container is made.
fn later(target: &Path, why: &str) -> Decided<Admitted> {
    let why = format!("checked at start: {why}");
    Decided::new(Admitted { target: target.to_owned(), why }, Origin::BuiltIn("default"))
}
