//! Kernel parameters.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// The name of a kernel parameter, with dots: `net.core.somaxconn`. Which ones are safe is for the plan to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SysctlName(String);

/// The value of a kernel parameter: one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysctlValue(String);

impl SysctlName {
    /// The name, with dots.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SysctlValue {
    /// The value as it is written to the kernel.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SysctlName {
    type Err = BadValue;

    /// CVE-2022-0811: a `+` or a newline in a name or value smuggled a second parameter into the writer.
    fn from_str(text: &str) -> Result<Self, BadValue> {
        let part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        };
        if text.contains('.') && text.split('.').all(part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadValue::new("a kernel parameter is named with dots, such as net.core.somaxconn"))
        }
    }
}

impl FromStr for SysctlValue {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.is_empty() || text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(BadValue::new("the value of a kernel parameter is one line of text"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SysctlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SysctlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Textual for SysctlName {
    const FORMAT: &'static str = "sysctl-name";
    const EXPECTED: &'static str = "a kernel parameter such as net.core.somaxconn";
    const PATTERN: &'static str = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(SysctlName, "SysctlName");

impl Textual for SysctlValue {
    const FORMAT: &'static str = "sysctl-value";
    const EXPECTED: &'static str = "the value of a kernel parameter, a number or one line of text";
    const PATTERN: &'static str = r"^[^\r\n]+$";
    const ACCEPTS: Accepts = Accepts::TextOrInteger;
}
textual!(SysctlValue, "SysctlValue");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cve_2022_0811_nothing_is_smuggled_into_a_sysctl() {
        assert!("net.core.somaxconn".parse::<SysctlName>().is_ok());
        for text in [
            "",
            "kernel",
            "kernel.shm+kernel.core_pattern",
            "net/core/x",
            "a..b",
            "a.b\nc.d",
            "a.b=c",
            "../a.b",
        ] {
            assert!(text.parse::<SysctlName>().is_err(), "{text:?}");
        }
        assert!("4096 87380\t6291456".parse::<SysctlValue>().is_ok());
        for text in ["", "1\n2", "1\0", "1\r2"] {
            assert!(text.parse::<SysctlValue>().is_err(), "{text:?}");
        }
    }
}
