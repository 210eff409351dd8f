//! Asking hooks before the plan is made: they may refuse, and propose changes of the fields that the profile grants them.
//!
//! Mutate, then validate: each hook's changes are applied to the effective profile, which must be a sound profile afterwards, and
//! the plan that is made of it is checked as any other, mount policy and all. Each changed value says which hook changed it.

use nucleus_abi::{ContainerId, Error, ErrorCode, HookPoint, HookRequest, Patch, Result, SCHEMA};

use super::super::timestamp;
use super::Hooks;
use super::telling::{ask, environment, options, vetoed};
use crate::profile::{Hook, Loaded, OnFailure, field_of};

/// What hooks have made of a profile.
#[derive(Debug)]
pub struct Consulted {
    /// The profile, with their changes.
    pub loaded: Loaded,
    /// What they changed, in order.
    pub changes: Vec<HookChange>,
}

/// One change, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct HookChange {
    /// The hook's plugin.
    pub plugin: String,
    /// The change.
    pub patch: Patch,
}

/// Asks the hooks that want to hear of a plan; `None` where nobody does.
///
/// # Errors
/// A veto; the failure of a hook that must not fail: also a change of a field that it is not granted, or that another hook has
/// changed otherwise, and changes that make no sound profile.
pub fn consult(loaded: &Loaded, id: &ContainerId, warn: &dyn Fn(&str)) -> Result<Option<Consulted>> {
    let Some(hooks) = Hooks::of(&loaded.profile).filter(|hooks| hooks.hear(HookPoint::Plan)) else {
        return Ok(None);
    };
    let mut consulted = Consulted { loaded: loaded.clone(), changes: Vec::new() };
    for (index, hook) in hooks.list.iter().enumerate().filter(|(_, hook)| hook.hears(HookPoint::Plan)) {
        let reply = ask(&hooks, hook, &request(hook, id, &consulted.loaded));
        if let Ok(Some(reason)) = reply.as_ref().map(|reply| reply.veto.as_deref()) {
            return Err(vetoed(hook, HookPoint::Plan, reason));
        }
        match reply.and_then(|reply| consulted.with(hook, index, reply.patches)) {
            Ok(more) => consulted = more,
            Err(error) if hook.on_failure == OnFailure::Warn => warn(&error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(consulted))
}

fn request(hook: &Hook, id: &ContainerId, loaded: &Loaded) -> HookRequest {
    HookRequest {
        schema: SCHEMA,
        point: HookPoint::Plan,
        id: id.clone(),
        options: options(hook),
        profile: loaded.document(),
        environment: environment(hook),
        time: timestamp::now(),
        container: None,
    }
}

impl Consulted {
    /// All of a hook's changes, or none.
    fn with(&self, hook: &Hook, index: usize, patches: Vec<Patch>) -> Result<Self> {
        for patch in &patches {
            granted(hook, index, patch)?;
            self.refuse_conflict(hook, patch)?;
        }
        let loaded = self.loaded.patched(hook.plugin.as_str(), &patches).map_err(|mistakes| {
            let mistakes = mistakes.into_error();
            let several = if mistakes.also.len() > 1 { mistakes.also.clone() } else { Vec::new() };
            refused(hook, mistakes.cause.unwrap_or_default()).and(several)
        })?;
        let own = patches.into_iter().map(|patch| HookChange { plugin: hook.plugin.to_string(), patch });
        Ok(Self { loaded, changes: self.changes.iter().cloned().chain(own).collect() })
    }

    /// What another hook has changed stays as it is: which of them is right nobody here can know.
    fn refuse_conflict(&self, hook: &Hook, patch: &Patch) -> Result<()> {
        let others = self.changes.iter().filter(|change| change.plugin != hook.plugin.as_str());
        match others.into_iter().find(|change| conflict(&change.patch, patch)) {
            None => Ok(()),
            Some(other) => {
                let (field, theirs) = (name(patch), name(&other.patch));
                Err(refused(
                    hook,
                    format!("it changes `{field}`, and the hook `{}` has changed `{theirs}`", other.plugin),
                )
                .hint("grant the field to one of them"))
            }
        }
    }
}

fn granted(hook: &Hook, index: usize, patch: &Patch) -> Result<()> {
    let field = field_of(patch);
    if hook.grants.iter().any(|grant| grant.covers(&field)) {
        return Ok(());
    }
    let field = name(patch);
    Err(refused(hook, format!("the profile does not grant it `{field}`"))
        .hint(format!("if it shall change this field, add it to `hooks[{index}].grants`")))
}

/// Whether two changes cannot both be meant: they concern one field, or one lies in the other. Elements that both append stand
/// beside each other.
fn conflict(one: &Patch, other: &Patch) -> bool {
    let (a, b) = (field_of(one), field_of(other));
    let appended = a.last().is_some_and(|name| name == "-") && a == b;
    let overlap = a.iter().zip(&b).all(|(a, b)| a == b);
    one != other && overlap && !appended
}

/// A field as people read it.
fn name(patch: &Patch) -> String {
    field_of(patch).join(".")
}

fn refused(hook: &Hook, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::HookFailed, "change the profile as a hook proposes")
        .on(format!("hook `{}`", hook.plugin))
        .because(cause)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(path: &str, value: i32) -> Patch {
        Patch::Replace { path: path.into(), value: json!(value) }
    }

    #[test]
    fn one_field_has_one_author() {
        assert!(conflict(&set("/a/b", 1), &set("/a/b", 2)));
        assert!(conflict(&set("/a", 1), &set("/a/b", 1)));
        assert!(!conflict(&set("/a/b", 1), &set("/a/b", 1)));
        assert!(!conflict(&set("/a/b", 1), &set("/a/c", 2)));
        let append = |value: i32| Patch::Add { path: "/l/-".into(), value: json!(value) };
        assert!(!conflict(&append(1), &append(2)));
        assert!(conflict(&append(1), &Patch::Remove { path: "/l".into() }));
    }
}
