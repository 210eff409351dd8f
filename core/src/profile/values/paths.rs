//! Paths inside the container and on the host.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// An absolute path inside the container (or of a host's namespace file), without `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsolutePath(PathBuf);

/// A path on the host; a relative one is relative to the profile file that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPath(PathBuf);

impl AbsolutePath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl HostPath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Makes a relative path relative to `directory`.
    pub(in crate::profile) fn resolve_in(&mut self, directory: &Path) {
        self.0 = directory.join(&self.0);
    }
}

impl FromStr for AbsolutePath {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let path = Path::new(text);
        if !path.is_absolute() {
            return Err(BadValue::new("the path does not start with `/`"));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(BadValue::new("`..` is not allowed in this path"));
        }
        without_nul(text)?;
        // Collecting drops `.`, doubled and trailing slashes, so that equal paths compare equal.
        Ok(Self(path.components().collect()))
    }
}

impl FromStr for HostPath {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.is_empty() {
            return Err(BadValue::new("the path is empty"));
        }
        without_nul(text)?;
        Ok(Self(PathBuf::from(text)))
    }
}

fn without_nul(text: &str) -> Result<(), BadValue> {
    if text.contains('\0') { Err(BadValue::new("a path cannot contain a NUL character")) } else { Ok(()) }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Textual for AbsolutePath {
    const FORMAT: &'static str = "absolute-path";
    const EXPECTED: &'static str = "an absolute path";
    const PATTERN: &'static str = "^/";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(AbsolutePath, "AbsolutePath");

impl Textual for HostPath {
    const FORMAT: &'static str = "host-path";
    const EXPECTED: &'static str = "a path on the host";
    const PATTERN: &'static str = "^.+$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(HostPath, "HostPath");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_are_normal() {
        assert_eq!(
            "/a//b/./c/".parse::<AbsolutePath>().map(|path| path.to_string()),
            Ok("/a/b/c".to_owned())
        );
        for text in ["", "a", "./a", "/a/../b", "/..", "/a\0"] {
            assert!(text.parse::<AbsolutePath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn host_paths_follow_their_file() {
        let mut path: HostPath = "rootfs".parse().unwrap();
        path.resolve_in(Path::new("/srv"));
        assert_eq!(path.as_path(), Path::new("/srv/rootfs"));
        path.resolve_in(Path::new("/etc"));
        assert_eq!(path.as_path(), Path::new("/srv/rootfs"));
    }
}
