//! Limits that can be lifted.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A limit, or `unlimited`, which lifts the one that a parent or the built-in defaults set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(from = "Form<T>", into = "Form<T>")]
#[serde(bound(serialize = "T: Serialize + Clone", deserialize = "T: Deserialize<'de>"))]
#[schemars(with = "Form<T>", inline)]
pub enum Limit<T> {
    /// No limit.
    Unlimited,
    /// At most so much.
    At(T),
}

impl<T> Limit<T> {
    /// The limit, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Unlimited => None,
            Self::At(value) => Some(value),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::At(value) => value.fmt(f),
        }
    }
}

/// How a limit is written.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum Form<T> {
    Word(Word),
    At(T),
}

#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
enum Word {
    Unlimited,
}

impl<T> From<Form<T>> for Limit<T> {
    fn from(form: Form<T>) -> Self {
        match form {
            Form::Word(Word::Unlimited) => Self::Unlimited,
            Form::At(value) => Self::At(value),
        }
    }
}

impl<T> From<Limit<T>> for Form<T> {
    fn from(limit: Limit<T>) -> Self {
        match limit {
            Limit::Unlimited => Self::Word(Word::Unlimited),
            Limit::At(value) => Self::At(value),
        }
    }
}
