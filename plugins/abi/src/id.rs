//! The name of a container.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorCode};

/// A container's id: 1 to 200 characters of `A-Z a-z 0-9 _ + . -`, not beginning with a dot or a dash.
///
/// The id becomes the name of a directory and of cgroups, so it never holds a separator, and never looks like a flag
/// or a hidden file. runc accepts the same characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// Longest id in bytes: a file name's 255 (`NAME_MAX`) less room for the suffixes of temporary names.
const LONGEST: usize = 200;

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |cause: &str| {
            Err(Error::new(ErrorCode::InvalidArgument, "use this container id")
                .on(format!("{text:?}"))
                .because(cause))
        };
        if text.is_empty() || text.len() > LONGEST {
            return refuse("an id has 1 to 200 characters");
        }
        if text.starts_with(['.', '-']) {
            return refuse("an id does not begin with a dot or a dash");
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte)) {
            return refuse("an id has letters, digits and _ + . - only");
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ContainerId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_be_a_file_name_and_nothing_else() {
        for good in ["web", "a", "web_1+2.3-4", "0"] {
            assert_eq!(good.parse::<ContainerId>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", ".hidden", "-rf", "a/b", "a b", "ü", "a\0", "a\n", &"x".repeat(201)] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad:?}");
        }
    }
}
