//! What may be done with a device.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// What may be done with a device: `r` to read, `w` to write, `m` to make nodes of it, each at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceAccess {
    read: bool,
    write: bool,
    make: bool,
}

impl Default for DeviceAccess {
    /// Reading and writing.
    fn default() -> Self {
        Self { read: true, write: true, make: false }
    }
}

impl FromStr for DeviceAccess {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let has = |letter: char| text.contains(letter);
        let access = Self { read: has('r'), write: has('w'), make: has('m') };
        if text.is_empty() || access.to_string().len() != text.len() {
            return Err(BadValue::new("not made of the letters `r`, `w` and `m`, each at most once"));
        }
        Ok(access)
    }
}

impl fmt::Display for DeviceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(self.read, "r"), (self.write, "w"), (self.make, "m")];
        letters.iter().filter(|(has, _)| *has).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl Textual for DeviceAccess {
    const FORMAT: &'static str = "device-access";
    const EXPECTED: &'static str = "letters of `rwm`";
    const PATTERN: &'static str = "^[rwm]{1,3}$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(DeviceAccess, "DeviceAccess");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_any_order_each_once() {
        for (text, shown) in [("r", "r"), ("wr", "rw"), ("mwr", "rwm")] {
            assert_eq!(text.parse::<DeviceAccess>().map(|access| access.to_string()), Ok(shown.to_owned()));
        }
        for text in ["", "x", "rr", "rwx", "rwmm", "RW"] {
            assert!(text.parse::<DeviceAccess>().is_err(), "{text}");
        }
    }
}
