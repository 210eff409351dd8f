//! Names: of backends, files, hosts, environment variables and types of file systems.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// The name of an environment variable: not empty, without `=`, blanks and control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvName(String);

/// The name of a file without a directory: not empty, without `/` and NUL, not `.` or `..`, at most 255 bytes (`NAME_MAX`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

/// A host or domain name: labels of letters, digits and `-`, joined by `.`; at most 64 bytes (the kernel's
/// `__NEW_UTS_LEN`, sethostname(2)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostName(String);

/// The name under which a backend registers, or `auto`: the best one that can enforce the plan on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendName(String);

/// The name of a plugin: a backend's or a hook's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginName(String);

/// The type of a file system as mount(8) knows it, or `bind`: a file or directory of the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileSystemName(String);

impl FileSystemName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PluginName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EnvName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FileName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl HostName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BackendName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the core chooses.
    pub fn is_auto(&self) -> bool {
        self.0 == "auto"
    }
}

impl FromStr for EnvName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let wrong = |c: char| c == '=' || c.is_whitespace() || c.is_control();
        match text.chars().find(|c| wrong(*c)) {
            Some(c) => Err(BadValue::new(format!("{c:?} cannot stand in the name of a variable"))),
            None if text.is_empty() => Err(BadValue::new("the name of a variable is empty")),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl FromStr for FileName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let reason = match text {
            "" => "the name is empty",
            "." | ".." => "`.` and `..` are directories",
            _ if text.len() > 255 => "longer than 255 bytes, the kernel's limit",
            _ if text.contains(['/', '\0']) => "a file's name holds no `/` and no NUL",
            _ => return Ok(Self(text.to_owned())),
        };
        Err(BadValue::new(reason))
    }
}

impl FromStr for HostName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.len() > 64 {
            return Err(BadValue::new("longer than 64 bytes, the kernel's limit"));
        }
        let label = |label: &str| {
            let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
            edge(label.bytes().next())
                && edge(label.bytes().last())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadValue::new("a host name is made of letters, digits and inner `-`, joined by `.`"))
        }
    }
}

impl FromStr for FileSystemName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadValue::new("a file system's type is made of small letters, digits, `_`, `.` and `-`"))
        }
    }
}

impl FromStr for BackendName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if is_plugin_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadValue::new("a backend's name is made of small letters, digits and `-`"))
        }
    }
}

impl FromStr for PluginName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if is_plugin_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadValue::new("a plugin's name is made of small letters, digits and `-`"))
        }
    }
}

fn is_plugin_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let first = text.bytes().next();
    text.len() <= 64 && first.is_some_and(|byte| byte.is_ascii_lowercase()) && text.bytes().all(inner)
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for FileSystemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Textual for EnvName {
    const FORMAT: &'static str = "env-name";
    const EXPECTED: &'static str = "the name of an environment variable";
    const PATTERN: &'static str = r"^[^=\s]+$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(EnvName, "EnvName");

impl Textual for FileName {
    const FORMAT: &'static str = "file-name";
    const EXPECTED: &'static str = "a file's name such as tls.key";
    const PATTERN: &'static str = "^[^/]+$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(FileName, "FileName");

impl Textual for HostName {
    const FORMAT: &'static str = "host-name";
    const EXPECTED: &'static str = "a host name such as web";
    const PATTERN: &'static str =
        r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(HostName, "HostName");

impl Textual for BackendName {
    const FORMAT: &'static str = "backend-name";
    const EXPECTED: &'static str = "the name of a backend (`nucleus backend list`) or auto";
    const PATTERN: &'static str = "^[a-z][a-z0-9-]*$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(BackendName, "BackendName");

impl Textual for PluginName {
    const FORMAT: &'static str = "plugin-name";
    const EXPECTED: &'static str = "the name of a plugin";
    const PATTERN: &'static str = "^[a-z][a-z0-9-]*$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(PluginName, "PluginName");

impl Textual for FileSystemName {
    const FORMAT: &'static str = "file-system-name";
    const EXPECTED: &'static str = "the type of a file system such as tmpfs, or bind";
    const PATTERN: &'static str = "^[a-z0-9_.-]+$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(FileSystemName, "FileSystemName");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for text in ["web", "web-1.example.org", "1"] {
            assert!(text.parse::<HostName>().is_ok(), "{text}");
        }
        let long = "a".repeat(65);
        for text in ["", "-web", "web-", "a..b", "a.", "we_b", "wéb", "web\n", long.as_str()] {
            assert!(text.parse::<HostName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn variable_names() {
        assert!("PATH".parse::<EnvName>().is_ok());
        for text in ["", "A=B", "A B", "A\0", "A\n"] {
            assert!(text.parse::<EnvName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn backend_names() {
        assert!("native-namespace".parse::<BackendName>().is_ok_and(|name| !name.is_auto()));
        assert!("auto".parse::<BackendName>().is_ok_and(|name| name.is_auto()));
        for text in ["", "Native", "a/b", "../x", "-a"] {
            assert!(text.parse::<BackendName>().is_err(), "{text:?}");
        }
    }
}
