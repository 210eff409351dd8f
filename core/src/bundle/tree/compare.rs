//! Two lists of entries, side by side. Pure.

use std::cmp::Ordering;
use std::fmt;

use super::entry::{Entry, Kind};
use super::path::{TreePath, escaped};

/// One way in which a tree is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) path: TreePath,
    pub(crate) change: Change,
}

/// What is different about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Missing,
    /// It should not be there; what it is.
    Extra(String),
    /// Each thing that differs, in words.
    Differs(Vec<String>),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is missing"),
            Self::Extra(kind) => write!(f, "it is extra: a {kind}"),
            Self::Differs(parts) => f.write_str(&parts.join(", ")),
        }
    }
}

/// How `found` differs from `expected`; both are sorted by path.
pub(crate) fn compare(expected: &[Entry], found: &[Entry]) -> Vec<Difference> {
    let (mut expected, mut found) = (expected.iter().peekable(), found.iter().peekable());
    let mut differences = Vec::new();
    let mut tell = |path: &TreePath, change| differences.push(Difference { path: path.clone(), change });
    loop {
        let order = match (expected.peek(), found.peek()) {
            (None, None) => return differences,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.path.cmp(&other.path),
        };
        let wanted = expected.next_if(|_| order != Ordering::Greater);
        let there = found.next_if(|_| order != Ordering::Less);
        match (wanted, there) {
            (Some(wanted), None) => tell(&wanted.path, Change::Missing),
            (None, Some(there)) => tell(&there.path, Change::Extra(there.kind.to_string())),
            (Some(wanted), Some(there)) if wanted != there => {
                tell(&wanted.path, Change::Differs(parts(wanted, there)));
            }
            _ => {}
        }
    }
}

fn parts(wanted: &Entry, there: &Entry) -> Vec<String> {
    let mut parts = kind(&wanted.kind, &there.kind);
    if there.kind == Kind::Mount {
        return parts;
    }
    let mut number = |what: &str, wanted: String, there: String| {
        if wanted != there {
            parts.push(format!("its {what} is {there}, not {wanted}"));
        }
    };
    number("mode", format!("{:04o}", wanted.mode), format!("{:04o}", there.mode));
    number("user", wanted.uid.to_string(), there.uid.to_string());
    number("group", wanted.gid.to_string(), there.gid.to_string());
    let names = wanted.attributes.keys().chain(there.attributes.keys());
    let names: std::collections::BTreeSet<_> = names.collect();
    for name in names.into_iter().filter(|name| wanted.attributes.get(*name) != there.attributes.get(*name)) {
        let what = match (wanted.attributes.contains_key(name), there.attributes.contains_key(name)) {
            (true, false) => "is missing",
            (false, true) => "is extra",
            _ => "differs",
        };
        parts.push(format!("its attribute {} {what}", escaped(name)));
    }
    parts
}

fn kind(wanted: &Kind, there: &Kind) -> Vec<String> {
    match (wanted, there) {
        (Kind::File { size: wanted, .. }, Kind::File { size: there, .. }) if wanted != there => {
            vec![format!("its size is {there}, not {wanted}")]
        }
        (Kind::File { digest: wanted, .. }, Kind::File { digest: there, .. }) if wanted != there => {
            vec!["its content (sha256) differs".to_owned()]
        }
        _ if wanted != there => vec![format!("it is a {there}, not a {wanted}")],
        _ => Vec::new(),
    }
}
