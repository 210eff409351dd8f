//! The positioned tree: what a document says, and where it says it.

use std::borrow::Cow;

use super::origin::Origin;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What YAML (and JSON) can say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) origin: Origin,
}

impl Node {
    pub(super) fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin }
    }

    pub(super) fn empty_map(origin: Origin) -> Self {
        Self::new(Value::Map(Vec::new()), origin)
    }

    /// A tree in which everything has the same origin: a flag's value.
    pub(super) fn from_json(json: &serde_json::Value, origin: &Origin) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(yes) => Value::Bool(*yes),
            Json::Number(number) => match number.as_i64() {
                Some(int) => Value::Int(int),
                None => Value::Float(number.as_f64().unwrap_or(f64::INFINITY)),
            },
            Json::String(text) => Value::Str(text.clone()),
            Json::Array(items) => {
                Value::Seq(items.iter().map(|item| Self::from_json(item, origin)).collect())
            }
            Json::Object(entries) => {
                let entry = |(name, value)| (Key::new(name, origin.clone()), Self::from_json(value, origin));
                Value::Map(entries.iter().map(entry).collect())
            }
        };
        Self::new(value, origin.clone())
    }

    pub(super) fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.name == key).map(|(_, value)| value)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Self> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let index = entries.iter().position(|(name, _)| name.name == key)?;
        Some(entries.remove(index).1)
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// One step of a JSON pointer: a key of a map or an index of a list.
    pub(super) fn step(&self, token: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(_) => self.get(token),
            Value::Seq(items) => token.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        }
    }

    /// How many values the tree holds, itself included.
    pub(super) fn size(&self) -> usize {
        1 + match &self.value {
            Value::Seq(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|(_, value)| value.size()).sum::<usize>(),
            _ => 0,
        }
    }

    /// How an error names the value: `the number 10`.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(yes) => format!("`{yes}`"),
            Value::Int(int) => format!("the number {int}"),
            Value::Float(float) => format!("the number {float}"),
            Value::Str(text) => format!("the text `{}`", shortened(text)),
            Value::Seq(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }
}

impl Key {
    pub(super) fn new(name: impl Into<String>, origin: Origin) -> Self {
        Self { name: name.into(), origin }
    }
}

/// The tokens of a JSON pointer (RFC 6901); the empty pointer has none.
pub(super) fn pointer_tokens(pointer: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let plain = |token: &str| !token.contains('~');
    let decoded = |token: &str| token.replace("~1", "/").replace("~0", "~");
    pointer
        .split('/')
        .skip(1)
        .map(move |token| if plain(token) { token.into() } else { decoded(token).into() })
}

/// A text that fits into a message.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'");
    }
    format!("{}…", text.chars().take(LONGEST).collect::<String>().escape_debug())
}
