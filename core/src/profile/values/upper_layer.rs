//! The layer of an overlay that takes what is written.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::{Accepts, BadValue, HostPath, Textual, textual};

/// The layer of an overlay that takes what is written: the word `tmpfs`, or a directory of the host. A directory of that
/// name is written `./tmpfs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpperLayer {
    /// A tmpfs of its own.
    Tmpfs,
    /// A directory; a relative path is relative to the profile file.
    Directory(HostPath),
}

impl UpperLayer {
    /// Makes a relative path relative to `directory`.
    pub(in crate::profile) fn resolve_in(&mut self, directory: &Path) {
        match self {
            Self::Tmpfs => {}
            Self::Directory(path) => path.resolve_in(directory),
        }
    }
}

impl FromStr for UpperLayer {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text {
            "tmpfs" => Ok(Self::Tmpfs),
            path => path.parse().map(Self::Directory),
        }
    }
}

impl fmt::Display for UpperLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tmpfs => f.write_str("tmpfs"),
            Self::Directory(path) => path.fmt(f),
        }
    }
}

impl Textual for UpperLayer {
    const FORMAT: &'static str = "upper-layer";
    const EXPECTED: &'static str = "`tmpfs`, or a directory on the host";
    const PATTERN: &'static str = "^.+$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(UpperLayer, "UpperLayer");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_or_a_directory() {
        assert_eq!("tmpfs".parse(), Ok(UpperLayer::Tmpfs));
        for path in ["./tmpfs", "/tmpfs", "tmpfs/", "upper"] {
            assert_eq!(path.parse(), Ok(UpperLayer::Directory(path.parse().unwrap())), "{path}");
        }
        assert!("".parse::<UpperLayer>().is_err());
    }
}
