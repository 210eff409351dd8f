//! `linux.resources.devices`: which devices may be made, read and written (config-linux.md, "Allowed Device list").

use nucleus_abi::Result;

use super::document::{self, Text};
use crate::fault::invalid;

/// One rule. A later rule counts more than an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// Whether it allows or denies.
    pub verdict: Verdict,
    /// Block or character devices; `None`: both.
    pub kind: Option<DeviceKind>,
    /// Major number; `None`: all.
    pub major: Option<u32>,
    /// Minor number; `None`: all.
    pub minor: Option<u32>,
    /// What is allowed or denied.
    pub access: DeviceAccess,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The access is allowed.
    Allow,
    /// It is denied.
    Deny,
}

/// The two kinds of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// A block device: `b`.
    Block,
    /// A character device: `c`.
    Character,
}

/// A set of ways to use a device; the bits are those of the kernel (`BPF_DEVCG_ACC_*`, linux/bpf.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceAccess(u8);

impl DeviceAccess {
    /// Letters and bits.
    const LETTERS: [(char, u8); 3] = [('r', 2), ('w', 4), ('m', 1)];
    /// Read, write, and make the node.
    pub const ALL: Self = Self(7);
    /// Make the node.
    pub const MAKE: Self = Self(1);

    /// The kernel's bits, 0 to 7.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Of the kernel's bits; others are dropped.
    pub const fn of_bits(bits: u8) -> Self {
        Self(bits & 7)
    }

    fn of_letters(text: &str) -> Option<Self> {
        let bit = |letter| Self::LETTERS.iter().find(|(one, _)| *one == letter).map(|(_, bit)| *bit);
        text.chars().try_fold(0, |bits, letter| Some(bits | bit(letter)?)).map(Self)
    }
}

impl std::fmt::Display for DeviceAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = Self::LETTERS.iter().filter(|(_, bit)| self.0 & bit != 0);
        held.map(|(letter, _)| letter).try_for_each(|letter| write!(f, "{letter}"))
    }
}

/// As the kernel writes and reads it in cgroup v1: `c 1:3 rwm`.
impl std::fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Some(DeviceKind::Block) => "b",
            Some(DeviceKind::Character) => "c",
            None => "a",
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

const fn allow(kind: DeviceKind, major: Option<u32>, minor: Option<u32>, access: DeviceAccess) -> DeviceRule {
    DeviceRule { verdict: Verdict::Allow, kind: Some(kind), major, minor, access }
}

const fn node(major: u32, minor: u32) -> DeviceRule {
    allow(DeviceKind::Character, Some(major), Some(minor), DeviceAccess::ALL)
}

/// What every container may use whatever its rules say: the default devices of the specification, its terminals, and
/// the making of nodes, which without read and write is of no use (the same list as runc's).
pub const DEFAULT_RULES: [DeviceRule; 10] = [
    allow(DeviceKind::Character, None, None, DeviceAccess::MAKE),
    allow(DeviceKind::Block, None, None, DeviceAccess::MAKE),
    node(1, 3),
    node(1, 5),
    node(1, 7),
    node(1, 8),
    node(1, 9),
    node(5, 0),
    node(5, 2),
    allow(DeviceKind::Character, Some(136), None, DeviceAccess::ALL),
];

/// `/dev/console`, which engines list among what every container may use.
const CONSOLE: DeviceRule = node(5, 1);

/// Whether the rules allow more than what every container may use.
pub(super) fn grant(rules: &[DeviceRule]) -> bool {
    let is_usual = |rule: &DeviceRule| {
        let same = |usual: &DeviceRule| {
            (usual.kind, usual.major) == (rule.kind, rule.major)
                && usual.minor.is_none_or(|minor| rule.minor == Some(minor))
        };
        DEFAULT_RULES[2..].iter().chain([&CONSOLE]).any(same)
    };
    let uses = |rule: &&DeviceRule| rule.access.bits() & !DeviceAccess::MAKE.bits() != 0;
    rules.iter().filter(uses).any(|rule| rule.verdict == Verdict::Allow && !is_usual(rule))
}

pub(super) fn read(rules: &[document::DeviceRule<'_>]) -> Result<Vec<DeviceRule>> {
    rules.iter().enumerate().map(|(index, entry)| rule(index, entry)).collect()
}

fn rule(index: usize, entry: &document::DeviceRule<'_>) -> Result<DeviceRule> {
    let field = |name: &str| format!("linux.resources.devices[{index}].{name}");
    let kind =
        kind(entry.kind.as_ref()).ok_or_else(|| invalid(field("type"), "is none of `a`, `b` and `c`"))?;
    let access = match entry.access.as_deref() {
        None | Some("") => DeviceAccess::ALL,
        Some(text) => DeviceAccess::of_letters(text).ok_or_else(|| {
            invalid(field("access"), format!("`{text}` has other letters than `r`, `w` and `m`"))
        })?,
    };
    // `a` stands for all devices: the kernel reads no numbers after it.
    let number = |name: &str, number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(_) if kind.is_none() => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| invalid(field(name), format!("{number} is no number of a device"))),
    };
    Ok(DeviceRule {
        verdict: if entry.allow { Verdict::Allow } else { Verdict::Deny },
        kind,
        major: number("major", entry.major)?,
        minor: number("minor", entry.minor)?,
        access,
    })
}

/// The outer `None` is nonsense, the inner one is `a`.
#[expect(clippy::option_option, reason = "a kind that is not said is a kind that makes sense")]
fn kind(text: Option<&Text<'_>>) -> Option<Option<DeviceKind>> {
    match text.map(|text| &**text) {
        None | Some("" | "a") => Some(None),
        Some("b") => Some(Some(DeviceKind::Block)),
        Some("c" | "u") => Some(Some(DeviceKind::Character)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<Vec<DeviceRule>> {
        read(&serde_json::from_str::<Vec<document::DeviceRule<'_>>>(json).unwrap())
    }

    #[test]
    fn what_is_not_said_means_all() {
        let rules = parsed(
            r#"[{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": -1, "access": "rm"}]"#,
        );
        assert_eq!(
            rules.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["a *:* rwm", "c 10:* rm"]
        );
    }

    #[test]
    fn nonsense_is_named() {
        for (json, field) in [
            (r#"[{"allow": true, "type": "x"}]"#, "devices[0].type"),
            (r#"[{"allow": true}, {"allow": true, "access": "rx"}]"#, "devices[1].access"),
            (r#"[{"allow": true, "type": "c", "major": -7}]"#, "devices[0].major"),
        ] {
            assert!(parsed(json).unwrap_err().to_string().contains(field), "{json}");
        }
    }
}
