//! Names of networks.

use std::fmt;
use std::str::FromStr;

use nucleus_abi::ContainerId;

use super::{Accepts, BadValue, Textual, textual};

/// The name of a network: letters, digits, `_`, `.` and `-`, the first a letter or digit; at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

impl NetworkName {
    /// The network of those who name none.
    pub fn default_network() -> Self {
        Self("default".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NetworkName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if first && rest && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadValue::new(
                "a name has letters, digits, `_`, `.` and `-`, begins with none of these, and has at most 64 bytes",
            ))
        }
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Textual for NetworkName {
    const FORMAT: &'static str = "network-name";
    const EXPECTED: &'static str = "a network's name such as web";
    const PATTERN: &'static str = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(NetworkName, "NetworkName");

/// The id of a container of the same state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerName(ContainerId);

impl ContainerName {
    /// The id.
    pub fn id(&self) -> &ContainerId {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        text.parse()
            .map(Self)
            .map_err(|error: nucleus_abi::Error| BadValue::new(error.cause.unwrap_or_default()))
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl Textual for ContainerName {
    const FORMAT: &'static str = "container-id";
    const EXPECTED: &'static str = "a container's id such as web-1";
    const PATTERN: &'static str = "^[A-Za-z0-9_+][A-Za-z0-9_+.-]{0,199}$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(ContainerName, "ContainerName");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path() {
        assert_eq!("web-1".parse::<NetworkName>().unwrap().as_str(), "web-1");
        for wrong in ["", ".", "..", "a/b", "-x", "a b", &"x".repeat(65)] {
            assert!(wrong.parse::<NetworkName>().is_err(), "{wrong}");
        }
    }
}
