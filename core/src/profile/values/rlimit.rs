//! Resource limits of processes.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Accepts, BadValue, ByteSize, Textual, textual};
use crate::profile::model::either::short_or_map;
use crate::profile::suggest;

/// A resource of setrlimit(2), written as in prlimit(1): `nofile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RlimitName(usize);

const NAMES: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

impl RlimitName {
    /// The name in the profile: `nofile`.
    pub const fn name(self) -> &'static str {
        NAMES[self.0]
    }

    /// The name in setrlimit(2) and the OCI specification: `RLIMIT_NOFILE`.
    pub fn posix_name(self) -> String {
        format!("RLIMIT_{}", self.name().to_ascii_uppercase())
    }
}

impl FromStr for RlimitName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        NAMES.iter().position(|name| *name == text).map(Self).ok_or_else(|| {
            match suggest::nearest(text, NAMES) {
                Some(near) => BadValue::new(format!("not a resource; did you mean `{near}`?")),
                None => BadValue::new(format!("not a resource; known are {}", NAMES.join(", "))),
            }
        })
    }
}

impl fmt::Display for RlimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Textual for RlimitName {
    const FORMAT: &'static str = "rlimit-name";
    const EXPECTED: &'static str = "a resource such as nofile";
    const PATTERN: &'static str = "^(as|core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack)$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(RlimitName, "RlimitName");

/// A number, a size, or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RlimitValue(Option<u64>);

impl RlimitValue {
    /// The number in the resource's own unit (bytes, seconds, descriptors…); `None` is no limit.
    pub const fn get(self) -> Option<u64> {
        self.0
    }

    /// Whether `self` allows no more than `other`.
    pub fn within(self, other: Self) -> bool {
        self.0.unwrap_or(u64::MAX) <= other.0.unwrap_or(u64::MAX)
    }
}

impl FromStr for RlimitValue {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text == "unlimited" {
            return Ok(Self(None));
        }
        text.parse::<ByteSize>().map(|size| Self(Some(size.bytes())))
    }
}

impl fmt::Display for RlimitValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("unlimited"),
        }
    }
}

impl Textual for RlimitValue {
    const FORMAT: &'static str = "rlimit-value";
    const EXPECTED: &'static str = "a number, a size such as 64M, or unlimited";
    const PATTERN: &'static str = r"^(unlimited|[0-9]+(\.[0-9]{1,9})?([KMGTkmgt]i?)?[Bb]?)$";
    const ACCEPTS: Accepts = Accepts::TextOrInteger;
}
textual!(RlimitValue, "RlimitValue");

/// A soft and a hard limit; written as one value, both are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(with = "Form")]
pub struct Rlimit {
    /// What the process gets; it may raise it up to the hard limit.
    pub soft: RlimitValue,
    /// The ceiling.
    pub hard: RlimitValue,
}

/// How a limit is written.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
enum Form {
    Both(RlimitValue),
    Pair(Pair),
}

short_or_map!(Form { Both(RlimitValue), Pair(Pair) });

/// A soft and a hard limit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Pair {
    /// What the process gets; it may raise it up to the hard limit.
    soft: RlimitValue,
    /// The ceiling.
    hard: RlimitValue,
}

impl<'de> Deserialize<'de> for Rlimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Both(limit) => Self { soft: limit, hard: limit },
            Form::Pair(Pair { soft, hard }) => Self { soft, hard },
        })
    }
}
