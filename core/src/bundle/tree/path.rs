//! Where something lies in a tree: bytes, as the kernel has them.

use std::ffi::CStr;
use std::fmt;

/// A path below the top of a tree, without a slash at its beginning; empty for the top itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TreePath(Vec<u8>);

impl TreePath {
    /// From bytes that hold no empty name, no `.` and no `..`; nothing for other bytes.
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Self> {
        let plain = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
        let fits = bytes.is_empty() || bytes.split(|byte| *byte == b'/').all(plain);
        fits.then_some(Self(bytes))
    }

    #[cfg(test)]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn join(&self, name: &CStr) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.count_bytes());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name.to_bytes());
        Self(bytes)
    }

    /// The names on the way, from the top.
    pub(crate) fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }
}

impl fmt::Display for TreePath {
    /// As it stands in manifests and errors: one printable word. The top is `.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str(".") } else { f.write_str(&escaped(&self.0)) }
    }
}

/// Bytes as printable ASCII without blanks: others as `\` and three octal digits, as in `proc_pid_mountinfo(5)`.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_graphic() && *byte != b'\\' {
            text.push(char::from(*byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(text, "\\{byte:03o}");
        }
    }
    text
}

/// The bytes of an escaped text; nothing for a text that [`escaped`] does not write.
pub(crate) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'\\' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..3)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 8).ok()?);
        rest = &after[3..];
    }
    // One form for each: `\141` for `a` would make two manifests of one tree.
    (escaped(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = escaped(&bytes);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(unescaped(&text), Some(bytes));
        }
    }

    #[test]
    fn a_text_has_one_form_only() {
        for wrong in ["\\141", "a b", "\\", "\\9", "\\400", "\\+12", "\u{e9}"] {
            assert_eq!(unescaped(wrong), None, "{wrong}");
        }
        assert_eq!(unescaped("a\\040b").unwrap(), b"a b");
    }

    #[test]
    fn a_path_cannot_lead_elsewhere() {
        for wrong in ["/", "/a", "a/", "a//b", "a/../b", "..", ".", "a/./b", "a\0"] {
            assert_eq!(TreePath::new(wrong.into()), None, "{wrong:?}");
        }
        let path = TreePath::new(b"a/b".to_vec()).unwrap();
        assert_eq!(path.join(c"c d").to_string(), "a/b/c\\040d");
        assert_eq!(TreePath::default().to_string(), ".");
    }
}
