//! A rule of `linux.seccomp.syscalls`, as a constant that writes itself.

use std::fmt::Write as _;

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

    /// Appends the rule and a comma. No name needs escaping.
    pub(super) fn write(&self, json: &mut String) {
        json.push_str(r#"{"names":["#);
        for name in self.names.split_ascii_whitespace() {
            json.push('"');
            json.push_str(name);
            json.push_str("\",");
        }
        json.pop();
        json.push(']');
        self.action.write(json);
        if let Some(argument) = &self.argument {
            argument.write(json);
        }
        json.push_str("},");
    }
}

impl Action {
    fn write(self, json: &mut String) {
        match self {
            Self::Allow => json.push_str(r#","action":"SCMP_ACT_ALLOW""#),
            Self::Errno(errno) => {
                write!(json, r#","action":"SCMP_ACT_ERRNO","errnoRet":{errno}"#)
                    .expect("a string takes everything");
            }
        }
    }
}

impl Argument {
    fn write(&self, json: &mut String) {
        let index = self.index;
        let written = match self.test {
            Test::Masked { mask, value } => write!(
                json,
                r#","args":[{{"index":{index},"value":{mask},"valueTwo":{value},"op":"SCMP_CMP_MASKED_EQ"}}]"#
            ),
            Test::AtLeast(value) => {
                write!(json, r#","args":[{{"index":{index},"value":{value},"op":"SCMP_CMP_GE"}}]"#)
            }
        };
        written.expect("a string takes everything");
    }
}
