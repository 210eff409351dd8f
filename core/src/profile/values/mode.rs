//! File modes and umasks.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// Permission bits, written in octal: `"0022"`, `"1777"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileMode(u32);

impl FileMode {
    /// The bits, at most 0o7777.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for FileMode {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u32::from_str_radix(text, 8) {
            Ok(bits) if octal => Ok(Self(bits)),
            _ => Err(BadValue::new("not three or four octal digits such as \"0022\"")),
        }
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Textual for FileMode {
    const FORMAT: &'static str = "file-mode";
    const EXPECTED: &'static str = "an octal mode in quotes such as \"0022\"";
    const PATTERN: &'static str = "^[0-7]{3,4}$";
    // `1777` without quotes is a decimal number to YAML; whoever writes it means octal, but so would who writes 493.
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(FileMode, "FileMode");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_only() {
        assert_eq!("0022".parse::<FileMode>().map(FileMode::bits), Ok(0o022));
        assert_eq!("1777".parse::<FileMode>().map(FileMode::bits), Ok(0o1777));
        for text in ["", "22", "0o22", "0088", "00022", "+022", "-022", "rwx"] {
            assert!(text.parse::<FileMode>().is_err(), "{text}");
        }
    }
}
