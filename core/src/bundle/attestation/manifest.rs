//! The manifest's text. Pure.
//!
//! The first line names the format and its version, the last one the number of entries, so that a manifest that was cut short
//! is told from a tree that has grown. Between them, one line for each entry, sorted by path:
//!
//! ```text
//! nucleus-manifest 1
//! directory 0755 0 0 - - .
//! file 0644 0 0 1024:9f86d081… - etc/passwd
//! link 0000 0 0 usr/bin - bin
//! character 0666 0 0 1:3 - dev/null
//! file 0755 0 0 52:2c26b46b… security.capability=0100… usr/bin/ping
//! end 5
//! ```
//!
//! that is kind, mode, user, group, content (of a file its size in bytes and sha256, of a link its target, of a device its
//! numbers), extended attributes and path. In names and targets, a byte that is no printable ASCII, and `\`, stands as `\`
//! and three octal digits.

use std::fmt::Write as _;

use crate::bundle::tree::{Attributes, Entry, Kind, TreePath, escaped, unescaped};

const FORMAT: &str = "nucleus-manifest";
const VERSION: &str = "1";

/// Nothing in a column.
const NOTHING: &str = "-";

/// Why a text is no manifest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It does not begin as a manifest does.
    Foreign,
    /// It is one of another version.
    Version(String),
    /// This line, counted from 1, is wrong.
    Line(usize),
    /// It has no end.
    CutShort,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Foreign => f.write_str("it is no manifest of nucleus"),
            Self::Version(version) => write!(f, "its version is {version}, and this release reads {VERSION}"),
            Self::Line(line) => write!(f, "line {line} is wrong"),
            Self::CutShort => f.write_str("it is cut short: its last line is missing"),
        }
    }
}

/// The text for entries that are sorted by path.
pub(super) fn write(entries: &[Entry]) -> String {
    let mut text = format!("{FORMAT} {VERSION}\n");
    for entry in entries {
        let Entry { path, mode, uid, gid, attributes, kind } = entry;
        let (word, content, attributes) = (kind.word(), content(kind), attribute_text(attributes));
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{word} {mode:04o} {uid} {gid} {content} {attributes} {path}");
    }
    let _ = writeln!(text, "end {}", entries.len());
    text
}

/// The entries of a text.
///
/// # Errors
/// Anything that [`write`] would not have written.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Malformed> {
    let mut lines = text.lines().enumerate();
    let version = lines.next().and_then(|(_, line)| line.strip_prefix(FORMAT)?.strip_prefix(' '));
    match version {
        Some(VERSION) => {}
        Some(other) => return Err(Malformed::Version(escaped(other.as_bytes()))),
        None => return Err(Malformed::Foreign),
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (index, line) in lines {
        let wrong = Malformed::Line(index + 1);
        if let Some(count) = line.strip_prefix("end ") {
            let is_last = text.lines().count() == index + 1 && text.ends_with('\n');
            let is_whole = count.parse() == Ok(entries.len());
            return if is_last && is_whole { Ok(entries) } else { Err(wrong) };
        }
        let Some(entry) = entry(line) else { return Err(wrong) };
        if entries.last().is_some_and(|last| last.path >= entry.path) {
            return Err(wrong);
        }
        entries.push(entry);
    }
    Err(Malformed::CutShort)
}

fn content(kind: &Kind) -> String {
    match kind {
        Kind::File { size, digest } => format!("{size}:{digest}"),
        // A target of `-` alone would read as none.
        Kind::Link { target } if target == NOTHING.as_bytes() => "\\055".to_owned(),
        Kind::Link { target } => escaped(target),
        Kind::Character { major, minor } | Kind::Block { major, minor } => format!("{major}:{minor}"),
        Kind::Directory | Kind::Fifo | Kind::Socket | Kind::Mount => NOTHING.to_owned(),
    }
}

fn attribute_text(attributes: &Attributes) -> String {
    if attributes.is_empty() {
        return NOTHING.to_owned();
    }
    let text = |(name, value): (&Vec<u8>, &Vec<u8>)| {
        let name = escaped(name).replace('=', "\\075").replace(',', "\\054");
        value.iter().fold(format!("{name}="), |text, byte| format!("{text}{byte:02x}"))
    };
    attributes.iter().map(text).collect::<Vec<_>>().join(",")
}

fn entry(line: &str) -> Option<Entry> {
    let columns: Vec<&str> = line.split(' ').collect();
    let [word, mode, uid, gid, content, attributes, path] = columns.try_into().ok()?;
    let path = if path == "." { Vec::new() } else { unescaped(path)? };
    Some(Entry {
        path: TreePath::new(path)?,
        mode: u32::from_str_radix(mode, 8).ok().filter(|bits| format!("{bits:04o}") == mode)?,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        attributes: read_attributes(attributes)?,
        kind: kind(word, content)?,
    })
}

fn kind(word: &str, content: &str) -> Option<Kind> {
    let pair = || content.split_once(':');
    let device = || pair().and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    Some(match (word, content) {
        ("file", _) => {
            let (size, digest) = pair()?;
            Kind::File { size: size.parse().ok()?, digest: digest.parse().ok()? }
        }
        ("link", "\\055") => Kind::Link { target: NOTHING.into() },
        ("link", _) => Kind::Link { target: unescaped(content)? },
        ("character", _) => device().map(|(major, minor)| Kind::Character { major, minor })?,
        ("block", _) => device().map(|(major, minor)| Kind::Block { major, minor })?,
        ("directory", NOTHING) => Kind::Directory,
        ("fifo", NOTHING) => Kind::Fifo,
        ("socket", NOTHING) => Kind::Socket,
        _ => return None,
    })
}

fn read_attributes(text: &str) -> Option<Attributes> {
    if text == NOTHING {
        return Some(Attributes::new());
    }
    text.split(',').map(attribute).collect()
}

fn attribute(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, value) = text.split_once('=')?;
    let name = unescaped(&name.replace("\\075", "=").replace("\\054", ","))?;
    Some((name, bytes_of_hex(value)?))
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    text.len().is_multiple_of(2).then(|| text.as_bytes().chunks_exact(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = Kind> {
        let digest = Just("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
        prop_oneof![
            (any::<u64>(), digest)
                .prop_map(|(size, digest)| Kind::File { size, digest: digest.parse().unwrap() }),
            Just(Kind::Directory),
            proptest::collection::vec(1_u8..=255, 1..9).prop_map(|target| Kind::Link { target }),
            Just(Kind::Link { target: b"-".to_vec() }),
            (any::<u32>(), any::<u32>()).prop_map(|(major, minor)| Kind::Character { major, minor }),
            Just(Kind::Fifo),
            Just(Kind::Socket),
        ]
    }

    prop_compose! {
        fn entries()(
            paths in proptest::collection::btree_set(proptest::collection::vec(1_u8..=255, 1..6), 0..6),
            kinds in proptest::collection::vec(kinds(), 6),
            attributes in proptest::collection::btree_map(
                proptest::collection::vec(any::<u8>(), 1..5),
                proptest::collection::vec(any::<u8>(), 0..5),
                0..3,
            ),
            mode in 0_u32..0o10000,
            uid in any::<u32>(),
        ) -> Vec<Entry> {
            let paths = paths.into_iter().filter_map(TreePath::new);
            let entry = |(path, kind)| Entry {
                path, mode, uid, gid: uid / 2, attributes: attributes.clone(), kind,
            };
            paths.zip(kinds).map(entry).collect()
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in entries()) {
            let text = write(&entries);
            prop_assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(read(&text), Ok(entries));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = read(&text);
            let _ = read(&format!("nucleus-manifest 1\n{text}\nend 1\n"));
        }
    }

    #[test]
    fn each_wrong_line_is_named() {
        let good = "nucleus-manifest 1\ndirectory 0755 0 0 - - .\nfifo 0644 0 0 - - pipe\nend 2\n";
        assert_eq!(read(good).unwrap().len(), 2);
        for (from, to, expected) in [
            ("nucleus-manifest 1", "#mtree", Malformed::Foreign),
            ("nucleus-manifest 1", "nucleus-manifest 2", Malformed::Version("2".into())),
            ("end 2\n", "", Malformed::CutShort),
            ("end 2\n", "end 3\n", Malformed::Line(4)),
            ("end 2\n", "end 2\nfifo 0644 0 0 - - q\n", Malformed::Line(4)),
            ("pipe", "../pipe", Malformed::Line(3)),
            ("pipe", "/pipe", Malformed::Line(3)),
            ("pipe", ".", Malformed::Line(3)),
            ("fifo 0644", "fifo 644", Malformed::Line(3)),
            ("fifo", "mount", Malformed::Line(3)),
        ] {
            assert_eq!(read(&good.replace(from, to)), Err(expected), "{to}");
        }
    }
}
