//! A rule of `linux.seccomp.syscalls`, as a constant.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// One rule: which calls, when, and what happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Names, separated by white space.
    pub(super) names: &'static str,
    pub(super) action: Action,
    pub(super) argument: Option<Argument>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Allow,
    /// Fails with this error number.
    Errno(u32),
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy)]
pub(super) struct Argument {
    pub(super) index: u8,
    pub(super) test: Test,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    Masked { mask: u64, value: u64 },
    AtLeast(u64),
}

impl Rule {
    pub(super) const fn allow(names: &'static str) -> Self {
        Self { names, action: Action::Allow, argument: None }
    }

    pub(super) const fn errno(names: &'static str, errno: u32) -> Self {
        Self { names, action: Action::Errno(errno), argument: None }
    }

    /// The rule, only where `argument & mask == value`.
    pub(super) const fn masked(self, index: u8, mask: u64, value: u64) -> Self {
        Self { argument: Some(Argument { index, test: Test::Masked { mask, value } }), ..self }
    }

    /// The rule, only where `argument >= value`.
    pub(super) const fn at_least(self, index: u8, value: u64) -> Self {
        Self { argument: Some(Argument { index, test: Test::AtLeast(value) }), ..self }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut rule = to.serialize_map(None)?;
        rule.serialize_entry("names", &Words(self.names))?;
        match self.action {
            Action::Allow => rule.serialize_entry("action", "SCMP_ACT_ALLOW")?,
            Action::Errno(errno) => {
                rule.serialize_entry("action", "SCMP_ACT_ERRNO")?;
                rule.serialize_entry("errnoRet", &errno)?;
            }
        }
        if let Some(argument) = self.argument {
            rule.serialize_entry("args", &[argument])?;
        }
        rule.end()
    }
}

impl Serialize for Argument {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut argument = to.serialize_map(None)?;
        argument.serialize_entry("index", &self.index)?;
        match self.test {
            Test::Masked { mask, value } => {
                argument.serialize_entry("value", &mask)?;
                argument.serialize_entry("valueTwo", &value)?;
                argument.serialize_entry("op", "SCMP_CMP_MASKED_EQ")?;
            }
            Test::AtLeast(value) => {
                argument.serialize_entry("value", &value)?;
                argument.serialize_entry("op", "SCMP_CMP_GE")?;
            }
        }
        argument.end()
    }
}

/// A list of words.
struct Words(&'static str);

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.split_ascii_whitespace())
    }
}
