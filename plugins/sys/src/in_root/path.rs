//! The text of a path inside a root, validated.

use std::ffi::{CStr, CString, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

/// `PATH_MAX` of the kernel, with the final NUL.
const PATH_MAX: usize = 4096;
/// `NAME_MAX` of the kernel.
const NAME_MAX: usize = 255;

/// A path that means something only inside a root; absolute and relative text mean the same.
///
/// Holds the components without `.` and without empty ones; `..` stays, because only the file system
/// knows what it means after a link.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InRootPath(Vec<CString>);

/// Why text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidPath {
    /// It is empty.
    Empty,
    /// It holds a NUL byte.
    Nul,
    /// It is longer than 4095 bytes, or a component is longer than 255.
    TooLong,
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the path is empty",
            Self::Nul => "the path holds a NUL byte",
            Self::TooLong => "the path is longer than 4095 bytes, or a name in it longer than 255",
        })
    }
}

impl std::error::Error for InvalidPath {}

impl InRootPath {
    /// Validates text.
    pub fn new(text: impl AsRef<OsStr>) -> Result<Self, InvalidPath> {
        let bytes = text.as_ref().as_bytes();
        match bytes {
            [] => return Err(InvalidPath::Empty),
            _ if bytes.len() >= PATH_MAX => return Err(InvalidPath::TooLong),
            _ => {}
        }
        let names = bytes.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
        names.map(component).collect::<Result<_, _>>().map(Self)
    }

    /// The root itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// This path without `..`, read as text: what stands before each is dropped, and above the root is the root.
    ///
    /// For paths that are judged by their text before anything is opened: `/dev/../proc` is `/proc` to whoever judges, as it
    /// is to the kernel.
    #[must_use]
    pub fn cleaned(self) -> Self {
        let mut names = Vec::with_capacity(self.0.len());
        for name in self.0 {
            if name.as_bytes() == b".." {
                names.pop();
            } else {
                names.push(name);
            }
        }
        Self(names)
    }

    /// The components, in order.
    pub fn components(&self) -> &[CString] {
        &self.0
    }

    /// What comes after the first component, if that is `name`.
    pub fn below(&self, name: &CStr) -> Option<Self> {
        match self.0.split_first() {
            Some((first, rest)) if first.as_c_str() == name && !rest.is_empty() => Some(Self(rest.to_vec())),
            _ => None,
        }
    }

    /// This path with more components appended.
    pub fn join(&self, name: &str) -> Result<Self, InvalidPath> {
        let text = [self.relative().as_bytes(), name.as_bytes()].join(&b'/');
        Self::new(OsStr::from_bytes(&text))
    }

    /// This path with the link that stands at `index` replaced by its text.
    pub(super) fn with_link(&self, index: usize, target: &CStr) -> Result<Self, Errno> {
        let target_path = Self::new(OsStr::from_bytes(target.to_bytes())).map_err(|_| Errno::NAMETOOLONG)?;
        let before = if target.to_bytes().starts_with(b"/") { &[] } else { &self.0[..index] };
        let whole = [before, &target_path.0, &self.0[index + 1..]].concat();
        let length: usize = whole.iter().map(|name| name.as_bytes().len() + 1).sum();
        if length < PATH_MAX { Ok(Self(whole)) } else { Err(Errno::NAMETOOLONG) }
    }

    /// Without its last component, and that component, if it is a name.
    pub(super) fn split_last(&self) -> Option<(Self, &CStr)> {
        match self.0.split_last() {
            Some((last, before)) if last.as_bytes() != b".." => Some((Self(before.to_vec()), last)),
            _ => None,
        }
    }

    /// Relative text for the kernel; `.` for the root.
    pub(super) fn relative(&self) -> CString {
        if self.0.is_empty() {
            return c".".to_owned();
        }
        let names: Vec<&[u8]> = self.0.iter().map(CString::as_bytes).collect();
        CString::new(names.join(&b'/')).expect("the components hold no NUL")
    }
}

fn component(name: &[u8]) -> Result<CString, InvalidPath> {
    match name.len() {
        0..=NAME_MAX => CString::new(name).map_err(|_| InvalidPath::Nul),
        _ => Err(InvalidPath::TooLong),
    }
}

impl TryFrom<&str> for InRootPath {
    type Error = InvalidPath;

    fn try_from(text: &str) -> Result<Self, InvalidPath> {
        Self::new(text)
    }
}

impl TryFrom<&Path> for InRootPath {
    type Error = InvalidPath;

    fn try_from(path: &Path) -> Result<Self, InvalidPath> {
        Self::new(path)
    }
}

impl fmt::Display for InRootPath {
    /// Absolute, as the container sees it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|name| write!(f, "/{}", name.to_string_lossy()))
    }
}
