//! The mount policy: what may be mounted, decided for the profile's own volumes, the command line's, and an engine's alike.
//!
//! Pure: what a source really is has been found out before, from its opened descriptor ([`Source`]).

mod decide;
mod resolve;
mod source;

use serde::{Deserialize, Serialize};

pub(super) use self::decide::rule;
pub use self::source::{Found, Reach, Shape, Source};
use super::bounds::Bound;
use crate::profile::values::PathPattern;

/// What may be mounted. Its rules stand in `mounts.policy` of the profile, by whose fields they are called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Sources that may be; `None` is all that are not forbidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Bound<Patterns>>,
    /// Sources that may not be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Denial>,
    /// Places in the container; `None` is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_targets: Option<Bound<Patterns>>,
    /// Types of file systems that may not be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbid_types: Vec<Bound<String>>,
    /// Sources that are always forbidden, but for these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dangerous: Patterns,
}

/// Patterns, each with its line.
pub(super) type Patterns = Vec<Bound<PathPattern>>;

/// A source that may not be mounted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    /// As the profile writes it.
    pub pattern: Bound<PathPattern>,
    /// The same where the links in it lead, if that is elsewhere. A property of the host at the time: never stored.
    #[serde(skip)]
    pub leads_to: Option<PathPattern>,
}

/// Two policies are the same if a profile writes them alike, whatever the links of the host are at the time.
impl PartialEq for Denial {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

/// By what a source is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Nothing forbids it, and no list says what alone is allowed.
    Default,
    /// `allow`, at this index.
    Allow(usize),
    /// `dangerous`, at this index.
    Dangerous(usize),
}

/// Why something may not be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The reason, with the rule.
    pub cause: String,
    /// The profile's line of that rule; `None` where no line is needed for it to hold.
    pub decided: Option<String>,
    /// What to do.
    pub hint: String,
}

impl Objection {
    /// The reason with the line of its rule.
    pub fn with_line(&self) -> String {
        match &self.decided {
            Some(line) => format!("{} ({line})", self.cause),
            None => self.cause.clone(),
        }
    }
}

impl Ground {
    /// The field of the profile, as a JSON pointer.
    pub fn pointer(self) -> Option<String> {
        match self {
            Self::Default => None,
            Self::Allow(index) => Some(format!("/mounts/policy/allow/{index}")),
            Self::Dangerous(index) => Some(format!("/mounts/policy/dangerous/{index}")),
        }
    }
}

#[cfg(test)]
mod tests;
