//! Patterns of names that are left out, in the syntax of gitignore(5). Pure.
//!
//! Names are bytes, and so are patterns. No pattern takes longer than its length times that of the path: the file may be
//! hostile.

use crate::bundle::tree::TreePath;

/// Patterns in their order: the last one that matches decides.
#[derive(Debug, Default)]
pub(super) struct Patterns(Vec<Pattern>);

impl Patterns {
    /// Adds the patterns of a text, one on each line.
    pub(super) fn add(&mut self, text: &[u8]) {
        // A byte order mark is no pattern; git skips it too.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        self.0.extend(text.split(|byte| *byte == b'\n').filter_map(Pattern::new));
    }

    /// Whether a path is left out, where the directories above it are not.
    pub(super) fn leave_out(&self, path: &TreePath, shape: Shape) -> bool {
        let names: Vec<&[u8]> = path.names().collect();
        let last = self.0.iter().rev().find(|pattern| pattern.matches(&names, shape));
        last.is_some_and(|pattern| pattern.verdict == Verdict::Out)
    }
}

/// Whether a path is that of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Directory,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Out,
    In,
}

#[derive(Debug)]
struct Pattern {
    verdict: Verdict,
    /// It ends with a slash.
    directories_only: bool,
    parts: Vec<Part>,
}

/// One name of a pattern.
#[derive(Debug)]
enum Part {
    /// `**`: any number of names.
    Any,
    /// One name.
    Name(Vec<Token>),
}

#[derive(Debug)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Any,
    /// `[…]`
    Class {
        negated: bool,
        ranges: Vec<(u8, u8)>,
    },
    /// A class that does not end matches nothing, as in git.
    Nothing,
}

impl Pattern {
    fn new(line: &[u8]) -> Option<Self> {
        let line = without_blanks(line.strip_suffix(b"\r").unwrap_or(line));
        if line.first().is_none_or(|first| *first == b'#') {
            return None;
        }
        let (verdict, line) = match line.strip_prefix(b"!") {
            Some(rest) => (Verdict::In, rest),
            None => (Verdict::Out, line),
        };
        let (directories_only, line) = match line.strip_suffix(b"/") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let anchored = line.contains(&b'/');
        let names: Vec<&[u8]> = line.strip_prefix(b"/").unwrap_or(line).split(|byte| *byte == b'/').collect();
        if names == [b""] {
            return None;
        }
        let mut parts = if anchored { Vec::new() } else { vec![Part::Any] };
        for (index, name) in names.iter().enumerate() {
            match *name {
                // At the end: all that lies in a directory, but not the directory.
                stars if is_any(stars) && index + 1 == names.len() => {
                    parts.extend([Part::Name(vec![Token::Any]), Part::Any]);
                }
                stars if is_any(stars) && anchored => parts.push(Part::Any),
                name => parts.push(Part::Name(tokens(name))),
            }
        }
        Some(Self { verdict, directories_only, parts })
    }

    fn matches(&self, names: &[&[u8]], shape: Shape) -> bool {
        let fits = !self.directories_only || shape == Shape::Directory;
        let is_any = |part: &Part| matches!(part, Part::Any);
        fits && wild(&self.parts, names, is_any, |part, name| match part {
            Part::Any => true,
            Part::Name(tokens) => matches_name(tokens, name),
        })
    }
}

/// Two stars, or more: for git they mean the same.
fn is_any(name: &[u8]) -> bool {
    name.len() >= 2 && name.iter().all(|byte| *byte == b'*')
}

/// Blanks at the end do not count, unless the last is escaped.
fn without_blanks(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_suffix(b" ") {
        let escapes = rest.iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 1 {
            break;
        }
        line = rest;
    }
    line
}

fn tokens(mut rest: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        tokens.push(match first {
            b'?' => Token::One,
            b'*' => Token::Any,
            b'[' => class(&mut rest),
            b'\\' => match after.split_first() {
                Some((escaped, after)) => {
                    rest = after;
                    Token::Byte(*escaped)
                }
                None => Token::Nothing,
            },
            byte => Token::Byte(*byte),
        });
    }
    tokens
}

/// Reads a class up to its end; `rest` begins after the opening bracket.
fn class(rest: &mut &[u8]) -> Token {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let mut ranges = Vec::new();
    let begin = at;
    loop {
        if let Some((name, after)) = named_class(&rest[at.min(rest.len())..]) {
            ranges.extend_from_slice(name);
            at += after;
            continue;
        }
        let Some(low) = class_byte(rest, &mut at, begin) else { break };
        let is_range = rest.get(at) == Some(&b'-') && rest.get(at + 1).is_some_and(|byte| *byte != b']');
        if !is_range {
            ranges.push((low, low));
            continue;
        }
        at += 1;
        // The end of a range may be anything but the bracket that was looked for.
        match class_byte(rest, &mut at, usize::MAX) {
            Some(high) => ranges.push((low, high)),
            None => break,
        }
    }
    if rest.get(at) != Some(&b']') {
        *rest = &[];
        return Token::Nothing;
    }
    *rest = &rest[at + 1..];
    Token::Class { negated, ranges }
}

/// The next byte of a class; a bracket right at the beginning stands for itself.
fn class_byte(text: &[u8], at: &mut usize, begin: usize) -> Option<u8> {
    let byte = match *text.get(*at)? {
        b']' if *at != begin => return None,
        b'\\' => {
            *at += 1;
            *text.get(*at)?
        }
        byte => byte,
    };
    *at += 1;
    Some(byte)
}

type Ranges = &'static [(u8, u8)];

/// `[:alpha:]` and the like, as bytes of ASCII, and how long that text is.
fn named_class(text: &[u8]) -> Option<(Ranges, usize)> {
    const CLASSES: [(&[u8], Ranges); 12] = [
        (b"[:alnum:]", &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')]),
        (b"[:alpha:]", &[(b'A', b'Z'), (b'a', b'z')]),
        (b"[:blank:]", &[(b'\t', b'\t'), (b' ', b' ')]),
        (b"[:cntrl:]", &[(0, 31), (127, 127)]),
        (b"[:digit:]", &[(b'0', b'9')]),
        (b"[:graph:]", &[(b'!', b'~')]),
        (b"[:lower:]", &[(b'a', b'z')]),
        (b"[:print:]", &[(b' ', b'~')]),
        (b"[:punct:]", &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')]),
        (b"[:space:]", &[(b'\t', b'\r'), (b' ', b' ')]),
        (b"[:upper:]", &[(b'A', b'Z')]),
        (b"[:xdigit:]", &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')]),
    ];
    let found = CLASSES.iter().find(|(name, _)| text.starts_with(name));
    found.map(|(name, ranges)| (*ranges, name.len()))
}

fn matches_name(tokens: &[Token], name: &[u8]) -> bool {
    let is_any = |token: &Token| matches!(token, Token::Any);
    wild(tokens, name, is_any, |token, byte| match token {
        Token::Byte(expected) => expected == byte,
        Token::One | Token::Any => true,
        Token::Class { negated, ranges } => {
            ranges.iter().any(|(low, high)| (low..=high).contains(&byte)) != *negated
        }
        Token::Nothing => false,
    })
}

/// Whether a pattern matches all items, where some of its parts match any number of them.
///
/// A mismatch goes back to the last such part only: what an earlier one could match instead, that one can too.
fn wild<P, I>(
    pattern: &[P],
    items: &[I],
    is_any: impl Fn(&P) -> bool,
    matches: impl Fn(&P, &I) -> bool,
) -> bool {
    let (mut part, mut item) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while item < items.len() {
        match pattern.get(part) {
            Some(any) if is_any(any) => {
                back = Some((part, item));
                part += 1;
            }
            Some(one) if matches(one, &items[item]) => (part, item) = (part + 1, item + 1),
            _ => match back {
                Some((any, from)) => {
                    back = Some((any, from + 1));
                    (part, item) = (any + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[part..].iter().all(is_any)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;
    use crate::bundle::tree::testing::Scratch;

    fn left_out(text: &str, path: &str) -> bool {
        let mut patterns = Patterns::default();
        patterns.add(text.as_bytes());
        let (path, shape) = match path.strip_suffix('/') {
            Some(path) => (path, Shape::Directory),
            None => (path, Shape::Other),
        };
        patterns.leave_out(&TreePath::new(path.into()).unwrap(), shape)
    }

    #[test]
    fn the_examples_of_the_manual() {
        for (pattern, out, stays) in [
            ("foo", vec!["foo", "a/b/foo", "foo/"], vec!["food", "a/food"]),
            ("foo/", vec!["foo/", "a/foo/"], vec!["foo"]),
            ("/foo", vec!["foo"], vec!["a/foo"]),
            ("doc/frotz", vec!["doc/frotz"], vec!["a/doc/frotz"]),
            ("doc/frotz/", vec!["doc/frotz/"], vec!["doc/frotz"]),
            ("foo/*", vec!["foo/test.json"], vec!["foo/bar/hello.c", "foo"]),
            ("**/foo/bar", vec!["foo/bar", "a/b/foo/bar"], vec!["foo/x/bar"]),
            ("abc/**", vec!["abc/x", "abc/x/y"], vec!["abc/", "abc"]),
            ("a/**/b", vec!["a/b", "a/x/b", "a/x/y/b"], vec!["a/bb", "x/a/b"]),
            ("*.[oa]", vec!["x.o", "d/x.a"], vec!["x.c"]),
            ("x[!a-c]", vec!["xd"], vec!["xa", "x"]),
            ("a]b[]]", vec!["a]b]"], vec!["a]b"]),
            ("v[[:digit:]]?", vec!["v1x"], vec!["vx1", "v1"]),
            ("\\#x", vec!["#x"], vec!["x"]),
            ("\\!x", vec!["!x"], vec!["x"]),
            ("x\\ ", vec!["x "], vec!["x"]),
            ("x  ", vec!["x"], vec!["x "]),
            ("# x\n\n/\n", vec![], vec!["x", "# x"]),
            ("*\n!keep\n", vec!["x"], vec!["keep", "a/keep"]),
            ("!x\nx", vec!["x"], vec![]),
            ("a[b", vec![], vec!["a[b", "ab"]),
            ("\u{feff}x\r\ny", vec!["x", "y"], vec![]),
        ] {
            for path in out {
                assert!(left_out(pattern, path), "{pattern:?} leaves {path:?} out");
            }
            for path in stays {
                assert!(!left_out(pattern, path), "{pattern:?} lets {path:?} in");
            }
        }
    }

    /// A pattern on which a naive matcher would work for years.
    #[test]
    fn no_pattern_takes_long() {
        let stars = "a/**/".repeat(30) + &"*a".repeat(60) + "b";
        let path = vec!["a".repeat(200); 40].join("/");
        assert!(!left_out(&stars, &path));
    }

    /// What git itself says of paths, none of which is a directory.
    fn git(patterns: &str, paths: &[String]) -> Vec<bool> {
        let scratch = Scratch::new();
        let repository = scratch.path("repository");
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-c").arg("init.defaultBranch=x").arg("-C").arg(&repository).args(arguments);
            command.env("GIT_CONFIG_GLOBAL", "/dev/null").stdin(Stdio::piped()).stdout(Stdio::piped());
            command.spawn().expect("start git (tests/install brings it)")
        };
        std::fs::create_dir(&repository).unwrap();
        assert!(git(&["init", "-q"]).wait().unwrap().success());
        std::fs::write(repository.join(".gitignore"), patterns).unwrap();
        let mut asked = git(&["check-ignore", "--no-index", "-v", "-n", "-z", "--stdin"]);
        let input: String = paths.iter().map(|path| path.clone() + "\0").collect();
        asked.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let answer = asked.wait_with_output().unwrap().stdout;
        let fields: Vec<&[u8]> = answer.split(|byte| *byte == 0).collect();
        // Source, line, pattern and path of each; a pattern that begins with `!` lets it in.
        let verdict = |of: &[&[u8]]| !of[2].is_empty() && !of[2].starts_with(b"!");
        fields.chunks_exact(4).map(verdict).collect()
    }

    /// As the manual has them. Of stars beside other characters git makes more than that where a plain text comes before.
    fn patterns() -> impl Strategy<Value = String> {
        let name = r"(\*\*|\*|(\*?([ab?]|\[[!^]?[ab-]\]|\\[ab*])){1,3}\*?)";
        proptest::string::string_regex(&format!("!?/?{name}(/{name}){{0,3}}/?")).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn git_is_of_the_same_opinion(
            patterns in proptest::collection::vec(patterns(), 1..5),
            paths in proptest::collection::vec("[ab]{1,3}(/[ab]{1,3}){0,3}", 1..30),
        ) {
            let text = patterns.join("\n");
            // git looks at the directories above a path too, as the walk does.
            let ours = |path: &String| {
                let ends = path.match_indices('/').map(|(end, _)| format!("{}/", &path[..end]));
                ends.chain([path.clone()]).any(|path| left_out(&text, &path))
            };
            let theirs = git(&text, &paths);
            prop_assert_eq!(paths.iter().map(ours).collect::<Vec<_>>(), theirs, "{:?} {:?}", text, paths);
        }
    }
}
