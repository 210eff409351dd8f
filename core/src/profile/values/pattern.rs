//! Patterns for paths.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// A pattern for absolute paths: `*` stands for any part of a name, `**` as a whole name for any number of names, none
/// included. Everything else stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    names: Vec<Name>,
}

/// What one name of a path must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// This.
    Exactly(Vec<u8>),
    /// These parts in this order, with anything between them.
    Like(Vec<Vec<u8>>),
    /// Any names, or none.
    Any,
}

/// Signs that mean something in the patterns of others: taken for themselves they would quietly match nothing.
const FOREIGN: [char; 6] = ['?', '[', ']', '{', '}', '\\'];

impl PathPattern {
    /// Whether it matches this very path.
    pub fn matches(&self, path: &Path) -> bool {
        self.walk(path).last().is_some_and(|after| after.contains(&self.names.len()))
    }

    /// Whether it matches the path or a directory that the path lies in.
    pub fn covers(&self, path: &Path) -> bool {
        self.walk(path).any(|after| after.contains(&self.names.len()))
    }

    /// Whether there can be something below the path that it matches.
    pub fn may_match_below(&self, path: &Path) -> bool {
        self.walk(path).last().is_some_and(|after| after.iter().any(|place| *place < self.names.len()))
    }

    /// Its directory up to the first name with a `*`.
    pub fn fixed(&self) -> PathBuf {
        let fixed = self.names.iter().map_while(|name| match name {
            Name::Exactly(name) => Some(std::ffi::OsStr::from_bytes(name)),
            Name::Like(_) | Name::Any => None,
        });
        [Component::RootDir.as_os_str()].into_iter().chain(fixed).collect()
    }

    /// The same below another directory than [`PathPattern::fixed`].
    #[must_use]
    pub fn moved_to(&self, directory: &Path) -> Self {
        let kept = self.names.iter().skip_while(|name| matches!(name, Name::Exactly(_)));
        let names = names(directory).map(|name| Name::Exactly(name.to_vec())).chain(kept.cloned());
        Self { names: names.collect() }
    }

    /// The places in the pattern at which one can stand after each further name of the path, from `/` on.
    fn walk<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = Vec<usize>> + 'a {
        let start = self.with_skipped(vec![0]);
        let steps = names(path).scan(start.clone(), |places, name| {
            *places = self.with_skipped(places.iter().filter_map(|place| self.step(*place, name)).collect());
            Some(places.clone())
        });
        std::iter::once(start).chain(steps)
    }

    fn step(&self, place: usize, name: &[u8]) -> Option<usize> {
        match self.names.get(place)? {
            Name::Exactly(wanted) => (wanted == name).then_some(place + 1),
            Name::Like(parts) => is_like(parts, name).then_some(place + 1),
            Name::Any => Some(place),
        }
    }

    /// `**` may also stand for no name at all.
    fn with_skipped(&self, mut places: Vec<usize>) -> Vec<usize> {
        let mut next = 0;
        while let Some(place) = places.get(next).copied() {
            if self.names.get(place) == Some(&Name::Any) && !places.contains(&(place + 1)) {
                places.push(place + 1);
            }
            next += 1;
        }
        places
    }
}

/// The names of a path, from the root on.
fn names(path: &Path) -> impl Iterator<Item = &[u8]> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.as_bytes()),
        _ => None,
    })
}

/// Whether the parts stand in the name in this order, the first at its beginning and the last at its end.
fn is_like(parts: &[Vec<u8>], name: &[u8]) -> bool {
    let [first, between @ .., last] = parts else { return false };
    let inner = name.strip_prefix(first.as_slice()).and_then(|rest| rest.strip_suffix(last.as_slice()));
    // The earliest place for each part leaves the most room for the next.
    inner.and_then(|inner| between.iter().try_fold(inner, |rest, part| after(rest, part))).is_some()
}

fn after<'a>(name: &'a [u8], part: &[u8]) -> Option<&'a [u8]> {
    (0..=name.len()).find_map(|from| name[from..].strip_prefix(part))
}

impl FromStr for PathPattern {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if !text.starts_with('/') {
            return Err(BadValue::new("the pattern does not start with `/`"));
        }
        if let Some(sign) = text.chars().find(|sign| FOREIGN.contains(sign) || *sign == '\0') {
            return Err(BadValue::new(format!("{sign:?} cannot stand in a pattern; `*` is all there is")));
        }
        let names = text.split('/').filter(|name| !name.is_empty() && *name != ".");
        Ok(Self { names: names.map(name).collect::<Result<_, _>>()? })
    }
}

fn name(text: &str) -> Result<Name, BadValue> {
    match text {
        ".." => Err(BadValue::new("`..` is not allowed in a pattern")),
        "**" => Ok(Name::Any),
        _ if text.contains("**") => Err(BadValue::new("`**` must be a whole name: `/srv/**`")),
        _ if text.contains('*') => {
            Ok(Name::Like(text.split('*').map(|part| part.as_bytes().to_vec()).collect()))
        }
        _ => Ok(Name::Exactly(text.as_bytes().to_vec())),
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() {
            return f.write_str("/");
        }
        self.names.iter().try_for_each(|name| match name {
            Name::Exactly(name) => write!(f, "/{}", String::from_utf8_lossy(name)),
            Name::Like(parts) => write!(f, "/{}", String::from_utf8_lossy(&parts.join(&b'*'))),
            Name::Any => f.write_str("/**"),
        })
    }
}

impl Textual for PathPattern {
    const FORMAT: &'static str = "path-pattern";
    const EXPECTED: &'static str = "a pattern for absolute paths such as /srv/**";
    const PATTERN: &'static str = r"^/[^?\[\]{}\\]*$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(PathPattern, "PathPattern");

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_stays_within_a_name_and_two_are_any_number_of_names() {
        for (text, path, expected) in [
            ("/srv", "/srv", true),
            ("/srv", "/srv/a", false),
            ("/srv", "/srvx", false),
            ("/srv/*", "/srv/a", true),
            ("/srv/*", "/srv", false),
            ("/srv/*", "/srv/a/b", false),
            ("/srv/**", "/srv", true),
            ("/srv/**", "/srv/a/b", true),
            ("/**/secret", "/a/b/secret", true),
            ("/**/secret", "/secret", true),
            ("/**/secret", "/a/secret/b", false),
            ("/a/**/b/**/c", "/a/x/b/y/z/c", true),
            ("/a/**/b/**/c", "/a/x/c", false),
            ("/a*b*c", "/aXbbYc", true),
            ("/a*b*c", "/abc", true),
            ("/a*bb", "/abb", true),
            ("/ab*b", "/ab", false),
            ("/", "/", true),
            ("/", "/a", false),
        ] {
            assert_eq!(pattern(text).matches(Path::new(path)), expected, "{text} {path}");
        }
    }

    #[test]
    fn it_covers_what_lies_below_and_knows_what_could() {
        for (text, path, covers, below) in [
            ("/srv/secret", "/srv/secret/key", true, false),
            ("/srv/secret", "/srv", false, true),
            ("/srv/secret", "/srv/other", false, false),
            ("/srv/secret/**", "/", false, true),
            ("/srv/*/key", "/srv/a", false, true),
            ("/srv/*/key", "/srv/a/b", false, false),
            ("/**/key", "/usr", false, true),
            ("/", "/usr", true, false),
        ] {
            assert_eq!(pattern(text).covers(Path::new(path)), covers, "{text} {path}");
            assert_eq!(pattern(text).may_match_below(Path::new(path)), below, "{text} {path}");
        }
    }

    #[test]
    fn its_fixed_part_can_lead_elsewhere() {
        let moved = pattern("/var/run/*/x").moved_to(Path::new("/run"));
        assert_eq!(pattern("/var/run/*/x").fixed(), Path::new("/var/run"));
        assert_eq!(moved.to_string(), "/run/*/x");
        assert_eq!(pattern("/**").fixed(), Path::new("/"));
    }

    #[test]
    fn what_others_mean_something_by_is_refused() {
        for text in ["", "srv", "/srv/**x", "/a**", "/srv/[ab]", "/srv/?", "/{a,b}", "/srv/../etc", "/\\*"] {
            assert!(text.parse::<PathPattern>().is_err(), "{text:?}");
        }
        assert_eq!(pattern("//srv/./a//**/").to_string(), "/srv/a/**");
        assert_eq!(pattern("/").to_string(), "/");
    }
}
