//! Block devices that limits refer to.

use std::fmt;
use std::str::FromStr;

use super::{AbsolutePath, Accepts, BadValue, Textual, textual};

/// A block device: its path on the host (`/dev/vda`) or its numbers (`8:0`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceRef {
    /// A path on the host.
    Path(AbsolutePath),
    /// Major and minor number.
    Numbers(u32, u32),
}

impl FromStr for DeviceRef {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.starts_with('/') {
            return text.parse().map(Self::Path);
        }
        let number =
            |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        let numbers = text.split_once(':').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        match numbers {
            Some((major, minor)) => Ok(Self::Numbers(major, minor)),
            None => Err(BadValue::new("neither a path such as /dev/vda nor numbers such as 8:0")),
        }
    }
}

impl fmt::Display for DeviceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Numbers(major, minor) => write!(f, "{major}:{minor}"),
        }
    }
}

impl Textual for DeviceRef {
    const FORMAT: &'static str = "block-device";
    const EXPECTED: &'static str = "a block device such as /dev/vda or 8:0";
    const PATTERN: &'static str = "^(/.+|[0-9]+:[0-9]+)$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(DeviceRef, "DeviceRef");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_numbers() {
        assert_eq!("8:0".parse::<DeviceRef>(), Ok(DeviceRef::Numbers(8, 0)));
        assert!(matches!("/dev/vda".parse::<DeviceRef>(), Ok(DeviceRef::Path(_))));
        for text in ["", "vda", "8", "8:", ":0", "8:0:1", "+8:0", "/dev/../etc"] {
            assert!(text.parse::<DeviceRef>().is_err(), "{text}");
        }
    }
}
