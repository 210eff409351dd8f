//! The decision. It is monotone: one more denial, or one permission less, never allows more.

use std::io;
use std::path::Path;

use super::{Denial, Found, Ground, Objection, Patterns, Policy, Shape, Source};
use crate::plan::bounds::Bound;
use crate::profile::values::PathPattern;

impl Policy {
    /// Whether a source may be mounted, and by what.
    pub fn source(&self, found: &Found) -> Result<Ground, Objection> {
        let ground = self.root(found)?;
        match (&self.allow, ground) {
            (Some(rules), Ground::Default) => {
                let rule = rules.value.iter().position(|rule| rule.value.covers(&found.path));
                rule.map(Ground::Allow).ok_or_else(|| not_listed("the source", &found.path, "allow", rules))
            }
            (_, ground) => Ok(ground),
        }
    }

    /// Whether a directory may be the root file system: what is denied and what is always forbidden is neither. Which other
    /// one it is, `rootfs` or the engine says.
    pub fn root(&self, found: &Found) -> Result<Ground, Objection> {
        if let Some(objection) = self.denial(found) {
            return Err(objection);
        }
        // By name, not by a directory around it: each is one decision.
        let named = self.dangerous.iter().position(|rule| rule.value.matches(&found.path));
        match (named, found.reach.objection()) {
            (Some(rule), _) => Ok(Ground::Dangerous(rule)),
            (None, None) => Ok(Ground::Default),
            (None, Some(why)) => Err(Objection {
                cause: format!("{} {why}, which is always forbidden", found.path.display()),
                decided: None,
                hint: "bind what the workload needs, and no more; `mounts.policy.dangerous` can name it all the same"
                    .to_owned(),
            }),
        }
    }

    /// The same of a source that may not have been found.
    ///
    /// # Errors
    /// Why it may not be mounted, also because nobody can tell what it is.
    pub fn known(
        &self,
        source: &Source,
        judge: fn(&Self, &Found) -> Result<Ground, Objection>,
    ) -> Result<Ground, Objection> {
        match source {
            Source::Found(found) => judge(self, found),
            Source::Hidden(why) => Err(unknown(why)),
            Source::Closed(why) => Err(unknown(&io::Error::from(*why).to_string())),
        }
    }

    /// Whether something may be mounted at a place in the container.
    pub fn target(&self, target: &Path) -> Result<(), Objection> {
        let Some(rules) = &self.allow_targets else { return Ok(()) };
        let covered = rules.value.iter().any(|rule| rule.value.covers(target));
        if covered { Ok(()) } else { Err(not_listed("the target", target, "allowTargets", rules)) }
    }

    /// The same of the place to which links of the image lead a target, or why nobody can tell.
    pub fn place(&self, target: &Path, place: Result<&Path, &str>) -> Result<(), Objection> {
        match place {
            _ if self.allow_targets.is_none() => Ok(()),
            Ok(place) => self.target(place).map_err(|objection| Objection {
                cause: format!("{} leads there by a link: {}", target.display(), objection.cause),
                hint: "name the place itself, and add it to `mounts.policy.allowTargets`".to_owned(),
                ..objection
            }),
            Err(why) => Err(unknown(why)),
        }
    }

    /// Whether a file system of a type may be mounted; `bind` stands for the host's files.
    pub fn kind(&self, kind: &str) -> Result<(), Objection> {
        let Some((index, rule)) = self.forbid_types.iter().enumerate().find(|(_, rule)| rule.value == kind)
        else {
            return Ok(());
        };
        Err(Objection {
            cause: format!("the type `{kind}` is forbidden by `mounts.policy.forbidTypes[{index}]`"),
            decided: Some(rule.decided.clone()),
            hint: "leave the mount out, or change the policy".to_owned(),
        })
    }

    fn denial(&self, found: &Found) -> Option<Objection> {
        self.deny.iter().enumerate().find_map(|(index, denial)| {
            denial.patterns().find_map(|pattern| denied(pattern, found)).map(|cause| Objection {
                cause: format!("{cause} `mounts.policy.deny[{index}]: {}`", denial.pattern.value),
                decided: Some(denial.pattern.decided.clone()),
                hint: "bind something else, or change the policy".to_owned(),
            })
        })
    }
}

impl Denial {
    fn patterns(&self) -> impl Iterator<Item = &PathPattern> {
        std::iter::once(&self.pattern.value).chain(&self.leads_to)
    }
}

/// A directory shows what lies below it, recursive or not: what is denied there would be seen.
fn denied(pattern: &PathPattern, found: &Found) -> Option<String> {
    let path = found.path.display();
    if pattern.covers(&found.path) {
        return Some(format!("{path} is denied by"));
    }
    let holds = found.shape == Shape::Directory && pattern.may_match_below(&found.path);
    holds.then(|| format!("{path} can hold what is denied by"))
}

fn not_listed(what: &str, path: &Path, field: &str, rules: &Bound<Patterns>) -> Objection {
    Objection {
        cause: format!("{what} {} is in no line of `mounts.policy.{field}`", path.display()),
        decided: Some(rules.decided.clone()),
        hint: format!("choose another one, or add it to `mounts.policy.{field}`"),
    }
}

fn unknown(why: &str) -> Objection {
    Objection {
        cause: format!("it cannot be looked at: {why}"),
        decided: None,
        hint: "name a path that nucleus can open".to_owned(),
    }
}

/// The text of a rule, for who is told what allowed a mount.
pub(in crate::plan) fn rule(policy: &Policy, ground: Ground) -> String {
    let named = |field: &str, index: usize, rules: Option<&Patterns>| {
        let pattern =
            rules.and_then(|rules| rules.get(index)).map(|rule| rule.value.to_string()).unwrap_or_default();
        format!("mounts.policy.{field}[{index}]: {pattern}")
    };
    match ground {
        Ground::Default => "the default, for it is not forbidden".to_owned(),
        Ground::Allow(index) => named("allow", index, policy.allow.as_ref().map(|rules| &rules.value)),
        Ground::Dangerous(index) => named("dangerous", index, Some(&policy.dangerous)),
    }
}
