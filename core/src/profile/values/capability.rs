//! The kernel's capabilities.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};
use crate::profile::suggest;

/// A capability of the kernel, written with or without `CAP_`, in either case (capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapabilityName(u8);

/// By number: `include/uapi/linux/capability.h`, Linux 5.9 and later.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

impl CapabilityName {
    /// The kernel's number of the capability.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The full name: `CAP_CHOWN`.
    pub const fn name(self) -> &'static str {
        NAMES[self.0 as usize]
    }

    /// Every capability, by number.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).take(NAMES.len()).map(Self)
    }
}

impl FromStr for CapabilityName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let upper = text.to_ascii_uppercase();
        let stem = upper.strip_prefix("CAP_").unwrap_or(&upper);
        Self::all().find(|known| known.name()[4..] == *stem).ok_or_else(|| {
            match suggest::nearest(stem, NAMES.iter().map(|name| &name[4..])) {
                Some(near) => BadValue::new(format!("not a capability; did you mean `{near}`?")),
                None => BadValue::new("not a capability (see capabilities(7))"),
            }
        })
    }
}

impl fmt::Display for CapabilityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Textual for CapabilityName {
    const FORMAT: &'static str = "capability";
    const EXPECTED: &'static str = "a capability such as NET_BIND_SERVICE";
    const PATTERN: &'static str = r"^([Cc][Aa][Pp]_)?[A-Za-z_]+$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(CapabilityName, "CapabilityName");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_prefix_are_the_same() {
        for text in ["CAP_NET_RAW", "NET_RAW", "net_raw", "cap_net_raw"] {
            assert_eq!(text.parse::<CapabilityName>().map(CapabilityName::number), Ok(13), "{text}");
        }
        assert_eq!("CHECKPOINT_RESTORE".parse::<CapabilityName>().map(CapabilityName::number), Ok(40));
    }

    #[test]
    fn unknown_names_suggest_the_nearest() {
        let error = "NET_BIND_SERVICES".parse::<CapabilityName>().unwrap_err();
        assert_eq!(error.to_string(), "not a capability; did you mean `NET_BIND_SERVICE`?");
        assert!("CAP_CAP_CHOWN".parse::<CapabilityName>().is_err());
        assert!("ALL".parse::<CapabilityName>().is_err());
    }
}
