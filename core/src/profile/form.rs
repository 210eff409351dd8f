//! One form of a value, as the schema describes it: what it takes, and how people are told.

use serde_json::Value as Json;

use super::formats::Format;
use super::suggest;
use super::tree::{Node, Value, shortened};
use super::values::Accepts;

/// What a single form takes.
pub(super) enum Kind {
    Any,
    Map,
    List,
    Text,
    Bool,
    Integer,
    Words,
    Format(&'static Format),
}

pub(super) fn kind(form: &Json) -> Kind {
    if !words(form).is_empty() {
        return Kind::Words;
    }
    if let Some(format) = form["format"].as_str().and_then(Format::named) {
        return Kind::Format(format);
    }
    match form["type"].as_str() {
        Some("object") => Kind::Map,
        Some("array") => Kind::List,
        Some("string") => Kind::Text,
        Some("boolean") => Kind::Bool,
        Some("integer") => Kind::Integer,
        _ => Kind::Any,
    }
}

pub(super) fn words(form: &Json) -> Vec<&str> {
    let listed = form["enum"].as_array().into_iter().flatten();
    listed.chain(form.get("const")).filter_map(Json::as_str).collect()
}

/// Whether a value of this kind may be a value of the form, right or wrong.
pub(super) fn takes(form: &Json, value: &Value) -> bool {
    match kind(form) {
        Kind::Any => true,
        Kind::Map => matches!(value, Value::Map(_)),
        Kind::List => matches!(value, Value::Seq(_)),
        Kind::Text | Kind::Words => matches!(value, Value::Str(_)),
        Kind::Bool => matches!(value, Value::Bool(_)),
        Kind::Integer => matches!(value, Value::Int(_)),
        Kind::Format(format) => scalar_text(format.accepts, value).is_some(),
    }
}

pub(super) fn scalar_text(accepts: Accepts, value: &Value) -> Option<String> {
    match (value, accepts) {
        (Value::Str(text), _) => Some(text.clone()),
        (Value::Int(int), Accepts::TextOrInteger | Accepts::TextOrNumber) => Some(int.to_string()),
        (Value::Float(float), Accepts::TextOrNumber) => Some(float.to_string()),
        _ => None,
    }
}

pub(super) fn expectation(forms: &[&Json]) -> String {
    let words: Vec<_> = forms.iter().flat_map(|form| words(form)).collect();
    let mut parts: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    for form in forms {
        let part = match kind(form) {
            Kind::Words => continue,
            Kind::Any => "a value".to_owned(),
            Kind::Map => map_expectation(form),
            Kind::List => "a list".to_owned(),
            Kind::Text => "a text".to_owned(),
            Kind::Bool => "`true` or `false`".to_owned(),
            Kind::Integer => match (form["minimum"].as_i64(), form["maximum"].as_i64()) {
                (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
                _ => "a whole number".to_owned(),
            },
            Kind::Format(format) => format.expected.to_owned(),
        };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    join_or(&parts)
}

fn map_expectation(form: &Json) -> String {
    let fields: Vec<_> =
        form["properties"].as_object().into_iter().flat_map(|fields| fields.keys()).collect();
    match fields.as_slice() {
        [] => "a map".to_owned(),
        few if few.len() <= 3 => {
            format!(
                "a map with {}",
                few.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
            )
        }
        _ => "a map of fields".to_owned(),
    }
}

fn join_or(parts: &[String]) -> String {
    match parts {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

pub(super) fn nearest_word<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    suggest::nearest(text, words.iter().copied())
}

/// What to do about a value of the wrong type, where YAML's own rules are the trap.
pub(super) fn remedy(forms: &[&Json], node: &Node) -> Option<String> {
    let wants = |test: fn(&Kind) -> bool| forms.iter().any(|form| test(&kind(form)));
    match &node.value {
        Value::Null => Some("give it a value, or remove the key".to_owned()),
        value @ (Value::Bool(_) | Value::Int(_) | Value::Float(_))
            if forms.iter().any(|form| quoting_helps(form, value)) =>
        {
            Some("write it in quotes to make it a text".to_owned())
        }
        Value::Str(text) if wants(|kind| matches!(kind, Kind::Bool)) && looks_boolean(text) => {
            Some("write `true` or `false`, without quotes".to_owned())
        }
        Value::Str(_) | Value::Int(_) if wants(|kind| matches!(kind, Kind::List)) => {
            Some(format!("a list of one is written `[{}]`", content(&node.value)))
        }
        _ => None,
    }
}

fn quoting_helps(form: &Json, value: &Value) -> bool {
    match kind(form) {
        Kind::Text => true,
        Kind::Format(format) => (format.check)(&content(value)).is_ok(),
        _ => false,
    }
}

fn looks_boolean(text: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str())
}

fn content(value: &Value) -> String {
    match value {
        Value::Str(text) => shortened(text),
        Value::Int(int) => int.to_string(),
        Value::Float(float) => float.to_string(),
        Value::Bool(yes) => yes.to_string(),
        _ => String::new(),
    }
}
