//! Changes that a hook plugin proposes: applied to the positioned tree, so that each changed value says who changed it, and
//! accepted as any profile is.

use nucleus_abi::Patch;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::layered::accept;
use super::load::Loaded;
use super::origin::Origin;
use super::tree::{Key, Node, Value, pointer_tokens};

impl Loaded {
    /// The effective profile as a document, as hooks see it and their patches speak of it.
    pub fn document(&self) -> serde_json::Value {
        to_json(&self.origins.tree)
    }

    /// The profile with the patches of a plugin applied, in order.
    ///
    /// # Errors
    /// What the patches do wrong, or what would be wrong with the profile.
    pub fn patched(&self, plugin: &str, patches: &[Patch]) -> Result<Self, Diagnostics> {
        let origin = Origin::Plugin(plugin.into());
        let invalid = |mistakes| Diagnostics::new(mistakes, Vec::new());
        let mut tree = self.origins.tree.clone();
        for patch in patches {
            apply(&mut tree, patch, &origin)
                .map_err(|message| invalid(vec![Diagnostic::new(&origin, message, "here")]))?;
        }
        let (profile, origins) = accept(tree).map_err(|rejected| invalid(rejected.mistakes(&[], &[])))?;
        let (files, workloads) = (self.files.clone(), self.workloads.clone());
        Ok(Self { profile, origins, files, workloads })
    }
}

/// The names that lead to what a patch changes.
pub fn field_of(patch: &Patch) -> Vec<String> {
    let (Patch::Add { path, .. } | Patch::Replace { path, .. } | Patch::Remove { path }) = patch;
    pointer_tokens(path).map(std::borrow::Cow::into_owned).collect()
}

fn apply(tree: &mut Node, patch: &Patch, origin: &Origin) -> Result<(), String> {
    let tokens = field_of(patch);
    let (Patch::Add { path, .. } | Patch::Replace { path, .. } | Patch::Remove { path }) = patch;
    let Some((last, way)) = tokens.split_last().filter(|_| path.starts_with('/')) else {
        return Err(format!("`{path}` names no field: a JSON pointer (RFC 6901) does"));
    };
    let make = matches!(patch, Patch::Add { .. });
    let parent = way
        .iter()
        .try_fold(tree, |node, token| step(node, token, make.then_some(origin)))
        .ok_or_else(|| format!("there is nothing that `{path}` could lie in"))?;
    let missing = || format!("there is nothing at `{path}`");
    match patch {
        Patch::Add { value, .. } => add(parent, last, Node::from_json(value, origin), origin)
            .ok_or_else(|| format!("nothing can be added at `{path}`")),
        Patch::Replace { value, .. } => {
            let place = step(parent, last, None).ok_or_else(missing)?;
            *place = Node::from_json(value, origin);
            Ok(())
        }
        Patch::Remove { .. } => remove(parent, last).ok_or_else(missing),
    }
}

/// One step down; with an origin, a map that is missing is made.
fn step<'a>(node: &'a mut Node, token: &str, make: Option<&Origin>) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Map(entries) => {
            let index = match (entries.iter().position(|(key, _)| key.name == token), make) {
                (Some(index), _) => index,
                (None, Some(origin)) => {
                    entries.push((Key::new(token, origin.clone()), Node::empty_map(origin.clone())));
                    entries.len() - 1
                }
                (None, None) => return None,
            };
            Some(&mut entries[index].1)
        }
        Value::Seq(items) => items.get_mut(token.parse::<usize>().ok()?),
        _ => None,
    }
}

/// RFC 6902, 4.1: into a list before the element at the index, or behind the last at `-`.
fn add(parent: &mut Node, token: &str, value: Node, origin: &Origin) -> Option<()> {
    match &mut parent.value {
        Value::Map(entries) => {
            entries.retain(|(key, _)| key.name != token);
            entries.push((Key::new(token, origin.clone()), value));
        }
        Value::Seq(items) if token == "-" => items.push(value),
        Value::Seq(items) => {
            let index = token.parse::<usize>().ok().filter(|index| *index <= items.len())?;
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(parent: &mut Node, token: &str) -> Option<()> {
    match &mut parent.value {
        Value::Map(_) => parent.take(token).map(drop),
        Value::Seq(items) => {
            let index = token.parse::<usize>().ok().filter(|index| *index < items.len())?;
            items.remove(index);
            Some(())
        }
        _ => None,
    }
}

fn to_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(yes) => (*yes).into(),
        Value::Int(int) => (*int).into(),
        Value::Float(float) => (*float).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Seq(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| (key.name.clone(), to_json(value))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::{FlagValue, Request, SearchPath, load};

    fn loaded() -> Loaded {
        let flags = vec![
            FlagValue::set("--memory", "/resources/memory", "512M"),
            FlagValue::set("--volume", "/mounts/volumes", json!([{"source": "/srv/a", "target": "/a"}])),
        ];
        load(&Request { flags, search: SearchPath::default(), ..Request::default() }).unwrap()
    }

    fn patches(patches: serde_json::Value) -> Vec<Patch> {
        serde_json::from_value(patches).unwrap()
    }

    #[test]
    fn a_changed_value_says_who_changed_it() {
        let changes = patches(json!([
            {"op": "replace", "path": "/resources/memory", "value": "64M"},
            {"op": "add", "path": "/workload/env/LEVEL", "value": "high"},
            {"op": "add", "path": "/mounts/volumes/-", "value": {"source": "/srv/b", "target": "/b"}},
        ]));
        let patched = loaded().patched("tuner", &changes).unwrap();
        assert_eq!(patched.origins.of("/resources/memory").to_string(), "plugin tuner");
        assert_eq!(patched.origins.of("/mounts/volumes/1/target").to_string(), "plugin tuner");
        assert_eq!(patched.origins.of("/mounts/volumes/0/target").to_string(), "--volume");
        assert_eq!(patched.document()["resources"]["memory"], "64M");
        assert_eq!(patched.profile.mounts.volumes.len(), 2);
    }

    #[test]
    fn what_is_removed_is_gone() {
        let patched =
            loaded().patched("t", &patches(json!([{"op": "remove", "path": "/mounts/volumes/0"}]))).unwrap();
        assert!(patched.profile.mounts.volumes.is_empty());
    }

    #[test]
    fn mistakes_are_refused() {
        let wrong = [
            json!([{"op": "replace", "path": "/resources/swapp", "value": 1}]),
            json!([{"op": "remove", "path": "/mounts/volumes/7"}]),
            json!([{"op": "remove", "path": "/mounts/volumes/-1"}]),
            json!([{"op": "add", "path": "resources", "value": {}}]),
            json!([{"op": "replace", "path": "", "value": {}}]),
            json!([{"op": "add", "path": "/resources/memory/x", "value": 1}]),
            json!([{"op": "replace", "path": "/resources/memory", "value": "much"}]),
            json!([{"op": "add", "path": "/resources/memery", "value": "1M"}]),
            json!([{"op": "remove", "path": "/apiVersion"}]),
        ];
        for wrong in wrong {
            assert!(loaded().patched("t", &patches(wrong.clone())).is_err(), "{wrong}");
        }
    }

    #[test]
    fn operations_that_leak_are_not_even_read() {
        for op in ["move", "copy", "test"] {
            let patch = json!({"op": op, "from": "/secrets/0", "path": "/workload/env/X", "value": 1});
            assert!(serde_json::from_value::<Patch>(patch).is_err(), "{op}");
        }
    }
}
