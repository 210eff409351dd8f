//! From the profile's fields to a policy whose every rule knows its line.

use super::{Denial, Patterns, Policy};
use crate::plan::bounds::Bound;
use crate::plan::host::HostFacts;
use crate::profile::Loaded;
use crate::profile::values::{FileSystemName, PathPattern};

impl Policy {
    /// The policy of a profile.
    pub fn of(loaded: &Loaded, facts: &HostFacts) -> Self {
        let policy = &loaded.profile.mounts.policy;
        let denial = |pattern: Bound<PathPattern>| Denial {
            leads_to: facts.denied.get(&pattern.value.to_string()).cloned(),
            pattern,
        };
        let name = |rule: Bound<FileSystemName>| Bound {
            value: rule.value.as_str().to_owned(),
            decided: rule.decided,
        };
        Self {
            allow: policy.allow.as_deref().map(|patterns| list(loaded, "allow", patterns)),
            deny: rules(loaded, "deny", &policy.deny).map(denial).collect(),
            allow_targets: policy
                .allow_targets
                .as_deref()
                .map(|patterns| list(loaded, "allowTargets", patterns)),
            forbid_types: rules(loaded, "forbidTypes", &policy.forbid_types).map(name).collect(),
            dangerous: rules(loaded, "dangerous", &policy.dangerous).collect(),
        }
    }
}

fn list(loaded: &Loaded, field: &str, patterns: &[PathPattern]) -> Bound<Patterns> {
    Bound { value: rules(loaded, field, patterns).collect(), decided: line(loaded, field) }
}

fn rules<T: Clone>(loaded: &Loaded, field: &str, values: &[T]) -> impl Iterator<Item = Bound<T>> {
    let rule = move |(index, value): (usize, &T)| Bound {
        value: value.clone(),
        decided: line(loaded, &format!("{field}/{index}")),
    };
    values.iter().enumerate().map(rule)
}

fn line(loaded: &Loaded, field: &str) -> String {
    loaded.origins.of(&format!("/mounts/policy/{field}")).to_string()
}
