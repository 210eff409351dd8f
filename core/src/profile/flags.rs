//! Values of the command line: the topmost layer.

use super::diagnostic::Diagnostic;
use super::merge::{overlay, reach};
use super::origin::Origin;
use super::tree::{Node, Value};

/// A value of the profile that a flag of the command line gives.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagValue {
    /// The flag as typed, with its dashes: `--memory`.
    pub flag: String,
    /// The field, as a JSON pointer into the profile: `/resources/memory`.
    pub pointer: String,
    /// Its value.
    pub value: serde_json::Value,
    /// How the value meets what the profile says.
    pub placement: Placement,
}

/// How a flag's value meets what the profile says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// As a line of the profile would: scalars and lists replace, maps (`--env`) merge key by key.
    Set,
    /// The elements of the value (a list) come after those of the profile: `--volume`.
    Append,
}

impl FlagValue {
    /// A flag that sets a field.
    pub fn set(flag: &str, pointer: &str, value: impl Into<serde_json::Value>) -> Self {
        Self { flag: flag.into(), pointer: pointer.into(), value: value.into(), placement: Placement::Set }
    }

    /// A flag that adds an element to a list.
    pub fn append(flag: &str, pointer: &str, element: impl Into<serde_json::Value>) -> Self {
        let value = serde_json::Value::Array(vec![element.into()]);
        Self { flag: flag.into(), pointer: pointer.into(), value, placement: Placement::Append }
    }

    /// Lays the value on the tree.
    pub(super) fn apply(&self, tree: &mut Node) -> Result<(), Diagnostic> {
        let origin = Origin::Flag(self.flag.as_str().into());
        let value = Node::from_json(&self.value, &origin);
        let known = super::merge::find(tree, &self.pointer).is_some();
        let place = reach(tree, &self.pointer, &origin);
        match (self.placement, &mut place.value, value) {
            (Placement::Append, Value::Seq(list), Node { value: Value::Seq(more), .. }) => list.extend(more),
            (Placement::Append, _, value) if !known => *place = value,
            (Placement::Append, ..) => {
                let message = format!("the profile has no list at {}", self.pointer);
                let help = format!("{} says otherwise; change it there", place.origin);
                return Err(Diagnostic::new(&origin, message, "adds to a list").help(help));
            }
            (Placement::Set, _, value) => overlay(place, value),
        }
        Ok(())
    }
}
