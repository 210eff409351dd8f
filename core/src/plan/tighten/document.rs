//! The raw document under the rules: read by path, patched by path, and every change written down.

use nucleus_abi::{Error, ErrorCode, Result};
use serde_json::{Map, Value};

use super::Change;
use crate::plan::bounds::Bound;
use crate::plan::policy::Objection;

/// A `config.json` that is being tightened.
pub(super) struct Document<'a> {
    root: &'a mut Map<String, Value>,
    changes: Vec<Change>,
    refusals: Vec<Error>,
}

impl<'a> Document<'a> {
    pub(super) fn new(config: &'a mut Value) -> Result<Self> {
        match config {
            Value::Object(root) => Ok(Self { root, changes: Vec::new(), refusals: Vec::new() }),
            _ => Err(invalid("the document", "is not an object")),
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Change>, Vec<Error>) {
        (self.changes, self.refusals)
    }

    /// The value at a path of keys; `null` is the same as nothing.
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        let mut keys = path.split('.');
        let first = self.root.get(keys.next()?);
        keys.try_fold(first?, |value, key| value.get(key)).filter(|value| !value.is_null())
    }

    /// A list at a path; nothing is an empty one.
    pub(super) fn list(&self, path: &str) -> Result<&[Value]> {
        match self.get(path) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(invalid(path, "is not a list")),
        }
    }

    /// A list of texts at a path.
    pub(super) fn texts(&self, path: &str) -> Result<Vec<String>> {
        let text = |(index, value): (usize, &Value)| {
            let text = value.as_str().map(str::to_owned);
            text.ok_or_else(|| invalid(format!("{path}[{index}]"), "is not a text"))
        };
        self.list(path)?.iter().enumerate().map(text).collect()
    }

    /// A whole number at a path.
    pub(super) fn number(&self, path: &str) -> Result<Option<i128>> {
        self.get(path)
            .map(|value| whole(value).ok_or_else(|| invalid(path, "is not a whole number")))
            .transpose()
    }

    /// A text at a path.
    pub(super) fn text(&self, path: &str) -> Result<Option<&str>> {
        self.get(path).map(|value| value.as_str().ok_or_else(|| invalid(path, "is not a text"))).transpose()
    }

    /// Puts a value at a path, if it is another one than before.
    pub(super) fn set(&mut self, path: &str, value: impl Into<Value>, decided: &str) -> Result<()> {
        let value = value.into();
        let slot = slot(self.root, path)?;
        if *slot != value {
            let from = std::mem::replace(slot, value.clone());
            self.changes.push(Change {
                field: path.to_owned(),
                from,
                to: value,
                decided: decided.to_owned(),
            });
        }
        Ok(())
    }

    /// Removes the value at a path.
    pub(super) fn remove(&mut self, path: &str, decided: &str) -> Result<()> {
        if self.get(path).is_some() { self.set(path, Value::Null, decided) } else { Ok(()) }
    }

    /// What the profile does not allow.
    pub(super) fn refuse<T>(
        &mut self,
        field: &str,
        asked: impl std::fmt::Display,
        bound: &Bound<T>,
        hint: &str,
    ) {
        self.refusals.push(
            Error::new(ErrorCode::ProfileRefuses, "give the engine what it asks for")
                .on(format!("config.json: {field}"))
                .because(format!("{asked} ({})", bound.decided))
                .hint(hint),
        );
    }
}

impl Document<'_> {
    /// What the profile's mount policy does not allow. Where the rule has no line, the profile is named.
    pub(super) fn object(&mut self, field: &str, objection: &Objection, profile: &Bound<String>) {
        let decided = objection.decided.clone().unwrap_or_else(|| profile.decided.clone());
        self.refuse(field, &objection.cause, &Bound { value: (), decided }, &objection.hint);
    }
}

/// The place at a path, made where it is missing.
fn slot<'m>(root: &'m mut Map<String, Value>, path: &str) -> Result<&'m mut Value> {
    let mut keys = path.split('.');
    let first = keys.next().unwrap_or_default();
    let mut value = root.entry(first).or_insert(Value::Null);
    let mut walked = first.to_owned();
    for key in keys {
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
        let Value::Object(map) = value else { return Err(invalid(walked, "is not an object")) };
        value = map.entry(key).or_insert(Value::Null);
        walked = format!("{walked}.{key}");
    }
    Ok(value)
}

/// JSON has one kind of number; engines write whole ones.
pub(super) fn whole(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

pub(super) fn invalid(field: impl std::fmt::Display, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::ConfigInvalid, "read config.json").on(field).because(cause)
}
