//! `linux.seccomp`: what both filters allow, as one document that any backend can take.
//!
//! The profile's filter is a list of what is allowed. Of the engine's rules those stay that allow no more; where the
//! two put different conditions on one call, and neither contains the other, the call is denied.

use nucleus_abi::Result;
use serde_json::{Map, Value};

use super::document::{Document, invalid};
use crate::plan::bounds::Bounds;

const FIELD: &str = "linux.seccomp";
const ALLOW: &str = "SCMP_ACT_ALLOW";
/// Actions by which a call can be made: a tracer or an agent of the engine's may let through what it is told of.
const LETS: [&str; 4] = [ALLOW, "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"];
/// A flag that takes a protection away, seccomp(2).
const SPECULATION: &str = "SECCOMP_FILTER_FLAG_SPEC_ALLOW";

pub(super) fn tighten(document: &mut Document<'_>, bounds: &Bounds) -> Result<()> {
    let Some(bound) = &bounds.seccomp else { return Ok(()) };
    let filter = match document.get(FIELD) {
        None => bound.value.clone(),
        Some(engine) => intersection(&bound.value, engine)?,
    };
    document.set(FIELD, filter, &bound.decided)
}

/// One rule for one call.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    name: String,
    action: String,
    /// Conditions, all of which must hold.
    conditions: Vec<Value>,
    /// The rule as it stands, but its names: an entry may have hundreds, and becomes a rule for each.
    source: Map<String, Value>,
}

impl Rule {
    fn lets(&self) -> bool {
        LETS.contains(&self.action.as_str())
    }

    /// This rule under other conditions.
    fn under(&self, conditions: &[Value]) -> Self {
        let mut rule = Self { conditions: conditions.to_vec(), ..self.clone() };
        rule.source.insert("args".to_owned(), conditions.into());
        rule
    }

    /// This rule with another action.
    fn doing(&self, action: &str) -> Self {
        let mut rule = Self { action: action.to_owned(), ..self.clone() };
        rule.source.insert("action".to_owned(), action.into());
        rule
    }
}

pub(super) fn intersection(profile: &Value, engine: &Value) -> Result<Value> {
    let (ours, theirs) = (rules(profile)?, rules(engine)?);
    let lets = |filter| LETS.contains(&action(filter, "defaultAction").unwrap_or(ALLOW));
    let kept = match (lets(profile), lets(engine)) {
        (false, false) => with_denials(&ours, theirs.iter().flat_map(|rule| within(rule, &ours)).collect()),
        (false, true) => {
            let default = action(engine, "defaultAction").unwrap_or(ALLOW);
            with_denials(&ours, what_is_not_denied(&ours, &theirs, default))
        }
        (true, _) => without_the_denied(&ours, theirs),
    };
    let mut result = engine.as_object().cloned().unwrap_or_default();
    if !lets(profile) {
        for key in ["defaultAction", "defaultErrnoRet"] {
            match profile.get(key) {
                Some(value) => result.insert(key.to_owned(), value.clone()),
                None => result.remove(key),
            };
        }
    }
    if let Some(architectures) = profile.get("architectures") {
        result.insert("architectures".to_owned(), architectures_of_both(architectures, engine));
    }
    if let Some(Value::Array(flags)) = result.get_mut("flags") {
        flags.retain(|flag| flag != SPECULATION);
    }
    result.insert("syscalls".to_owned(), entries(kept));
    Ok(Value::Object(result))
}

/// The rules as a list again: neighbours that differ in nothing but their name are one entry. Others keep their order, which
/// counts among rules for one call.
fn entries(rules: Vec<Rule>) -> Value {
    let mut entries: Vec<(Map<String, Value>, Vec<Value>)> = Vec::new();
    for rule in rules {
        match entries.last_mut() {
            Some((source, names)) if *source == rule.source => names.push(rule.name.into()),
            _ => entries.push((rule.source, vec![rule.name.into()])),
        }
    }
    let entry = |(mut source, names): (Map<String, Value>, Vec<Value>)| {
        source.insert("names".to_owned(), names.into());
        Value::Object(source)
    };
    entries.into_iter().map(entry).collect()
}

/// The engine's filter says what is denied: all that it does not speak of is allowed as far as the profile allows it. A
/// call that is denied under conditions would have to be allowed under their contrary: it is denied.
fn what_is_not_denied(ours: &[Rule], theirs: &[Rule], default: &str) -> Vec<Rule> {
    let speaks = |rules: &[Rule], name: &str| rules.iter().any(|rule| rule.name == name);
    let kept = theirs.iter().flat_map(|rule| within(rule, ours));
    let kept = kept.filter(|rule| rule.lets() || !speaks(ours, &rule.name));
    let unspoken = ours.iter().filter(|rule| rule.lets() && !speaks(theirs, &rule.name));
    kept.chain(unspoken.map(|rule| rule.doing(default))).collect()
}

/// A denial of the profile's own has an error number that programs rely on (ENOSYS for clone3).
fn with_denials(ours: &[Rule], mut kept: Vec<Rule>) -> Vec<Rule> {
    let denied: Vec<&Rule> = ours.iter().filter(|rule| !rule.lets()).collect();
    kept.retain(|rule| rule.lets() || !denied.iter().any(|known| known.name == rule.name));
    kept.extend(denied.into_iter().cloned());
    kept
}

/// The profile's filter says what is denied: the engine's rules, without those that allow it.
fn without_the_denied(ours: &[Rule], theirs: Vec<Rule>) -> Vec<Rule> {
    let denied: Vec<&Rule> = ours.iter().filter(|rule| !rule.lets()).collect();
    let is_denied = |name: &str| denied.iter().any(|rule| rule.name == name);
    let kept = theirs.into_iter().filter(|rule| !rule.lets() || !is_denied(&rule.name));
    kept.chain(denied.iter().map(|rule| (*rule).clone())).collect()
}

/// What remains of an engine's rule.
fn within(rule: &Rule, ours: &[Rule]) -> Vec<Rule> {
    // A rule that denies or kills gives nothing.
    if !rule.lets() {
        return vec![rule.clone()];
    }
    let same: Vec<&Rule> = ours.iter().filter(|known| known.name == rule.name && known.lets()).collect();
    let contains = |outer: &Rule, inner: &Rule| {
        outer.conditions.iter().all(|condition| inner.conditions.contains(condition))
    };
    if same.iter().any(|known| contains(known, rule)) {
        return vec![rule.clone()];
    }
    // Every condition of the engine's stands in these too: they allow less than it.
    same.into_iter()
        .filter(|known| contains(rule, known))
        .map(|known| rule.under(&known.conditions))
        .collect()
}

fn architectures_of_both(profile: &Value, engine: &Value) -> Value {
    match (profile.as_array(), engine.get("architectures").and_then(Value::as_array)) {
        (Some(ours), Some(theirs)) => ours.iter().filter(|name| theirs.contains(name)).cloned().collect(),
        _ => profile.clone(),
    }
}

fn rules(filter: &Value) -> Result<Vec<Rule>> {
    let list = match filter.get("syscalls") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(list) => list.as_array().ok_or_else(|| invalid(format!("{FIELD}.syscalls"), "is not a list"))?,
    };
    let mut rules = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        let wrong = |key: &str| {
            invalid(format!("{FIELD}.syscalls[{index}].{key}"), "is missing or of the wrong type")
        };
        let source = entry.as_object().ok_or_else(|| wrong("names"))?;
        let action = action(entry, "action").ok_or_else(|| wrong("action"))?.to_owned();
        let conditions = entry.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
        let unnamed = source.iter().filter(|(key, _)| *key != "names");
        let source: Map<String, Value> = unnamed.map(|(key, value)| (key.clone(), value.clone())).collect();
        for name in entry.get("names").and_then(Value::as_array).ok_or_else(|| wrong("names"))? {
            let name = name.as_str().ok_or_else(|| wrong("names"))?.to_owned();
            let source = source.clone();
            let rule = Rule { name, action: action.clone(), conditions: Vec::new(), source };
            rules.extend(alternatives(&conditions).iter().map(|conditions| rule.under(conditions)));
        }
    }
    Ok(rules)
}

/// Conditions hold together, but two on one argument are alternatives, as for libseccomp's users (runc and others): the entry
/// then stands for one rule for each condition.
fn alternatives(conditions: &[Value]) -> Vec<Vec<Value>> {
    let index = |condition: &Value| condition.get("index").and_then(Value::as_u64);
    let repeated = conditions
        .iter()
        .enumerate()
        .any(|(at, condition)| conditions[..at].iter().any(|earlier| index(earlier) == index(condition)));
    if repeated {
        conditions.iter().map(|condition| vec![condition.clone()]).collect()
    } else {
        vec![conditions.to_vec()]
    }
}

fn action<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A name of its own for each rule would cost every later reader of the document, and there are hundreds.
    #[test]
    fn an_entry_of_many_names_stays_one() {
        let filter = json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [
                {"names": ["read", "write", "close"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
            ],
        });
        let both = intersection(&filter, &filter).unwrap();
        let entries = both["syscalls"].as_array().unwrap();
        assert_eq!(entries.len(), 2, "{both}");
        assert_eq!(entries[0]["names"], json!(["read", "write", "close"]));
        assert_eq!(entries[1]["args"], filter["syscalls"][1]["args"]);
    }
}
