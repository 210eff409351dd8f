//! The name of a field of the profile.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// A field that a hook may be granted, as the documentation names it: `resources.memory`. Not those that say which plugins there
/// are and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName(String);

/// What nobody but the operator decides.
const OPERATORS: [&str; 6] = ["apiVersion", "extends", "workloads", "hooks", "plugins", "backend"];

impl FieldName {
    /// Whether a field, as names from the profile's top, is this one or lies below it.
    pub fn covers(&self, field: &[String]) -> bool {
        let own: Vec<&str> = self.0.split('.').collect();
        own.len() <= field.len() && own.iter().zip(field).all(|(own, name)| own == name)
    }
}

impl FromStr for FieldName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !text.split('.').all(|name| !name.is_empty() && name.bytes().all(inner)) {
            return Err(BadValue::new("a field is named by the names that lead to it, joined by `.`"));
        }
        let first = text.split('.').next().unwrap_or_default();
        if OPERATORS.contains(&first) {
            return Err(BadValue::new(format!("`{first}` is the operator's alone: no hook may change it")));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Textual for FieldName {
    const FORMAT: &'static str = "field-name";
    const EXPECTED: &'static str = "a field of the profile such as resources.memory";
    const PATTERN: &'static str = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(FieldName, "FieldName");

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split('/').map(str::to_owned).collect()
    }

    #[test]
    fn a_field_covers_itself_and_what_lies_below() {
        let field: FieldName = "resources.memory".parse().unwrap();
        assert!(field.covers(&names("resources/memory")) && field.covers(&names("resources/memory/x")));
        for other in ["resources", "resources/memoryMax", "workload/memory"] {
            assert!(!field.covers(&names(other)), "{other}");
        }
    }

    #[test]
    fn what_is_the_operators_cannot_be_granted() {
        for text in ["hooks", "plugins.trust", "workloads", "", "a..b", "a/b", "a.*"] {
            assert!(text.parse::<FieldName>().is_err(), "{text}");
        }
    }
}
