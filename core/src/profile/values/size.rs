//! Sizes in bytes.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// A size in bytes, written `512M`, `64Mi`, `1.5G` or as a plain number of bytes.
///
/// `K`, `M`, `G`, `T` are powers of 1024, with or without a trailing `i`, `B` or `iB`, as with `docker --memory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl ByteSize {
    /// A size of so many bytes; at most `i64::MAX`, the kernel's own bound for limits.
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        if bytes <= i64::MAX as u64 { Some(Self(bytes)) } else { None }
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        if number.is_empty() {
            return Err(BadValue::new("a size begins with a number"));
        }
        let shift = unit_shift(unit)?;
        let bytes = scaled(number, shift)?;
        Self::from_bytes(bytes).ok_or_else(|| BadValue::new("larger than any memory (2^63 bytes)"))
    }
}

fn unit_shift(unit: &str) -> Result<u32, BadValue> {
    let upper = unit.to_ascii_uppercase();
    let stem = upper.strip_suffix('B').unwrap_or(&upper);
    let stem = if stem.len() == 2 { stem.strip_suffix('I').unwrap_or(stem) } else { stem };
    if stem.is_empty() {
        return Ok(0);
    }
    let found = UNITS.iter().find(|(letter, _)| stem.len() == 1 && stem.starts_with(*letter));
    found
        .map(|(_, shift)| *shift)
        .ok_or_else(|| BadValue::new(format!("`{unit}` is not a unit; use K, M, G or T")))
}

/// `number` (digits with at most one point) times 2^`shift`, rounded down to whole bytes.
fn scaled(number: &str, shift: u32) -> Result<u64, BadValue> {
    let too_large = || BadValue::new("larger than any memory (2^63 bytes)");
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
        return Err(BadValue::new("a size begins with a number"));
    }
    if fraction.len() > 9 {
        return Err(BadValue::new("more than nine digits after the point"));
    }
    let whole: u128 = whole.parse().map_err(|_| too_large())?;
    let scale = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(9));
    let fraction: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| too_large())? };
    let units = whole.checked_mul(scale).and_then(|n| n.checked_add(fraction)).ok_or_else(too_large)?;
    let bytes = units.checked_mul(1 << shift).ok_or_else(too_large)?;
    if !bytes.is_multiple_of(scale) && shift == 0 {
        return Err(BadValue::new("a part of a byte"));
    }
    u64::try_from(bytes / scale).map_err(|_| too_large())
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, shift): &&(char, u32)| self.0 != 0 && self.0.is_multiple_of(1 << shift);
        match UNITS.iter().find(fits) {
            Some((letter, shift)) => write!(f, "{}{letter}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Textual for ByteSize {
    const FORMAT: &'static str = "byte-size";
    const EXPECTED: &'static str = "a size such as 512M";
    const PATTERN: &'static str = r"^[0-9]+(\.[0-9]{1,9})?([KMGTkmgt]i?)?[Bb]?$";
    const ACCEPTS: Accepts = Accepts::TextOrInteger;
}
textual!(ByteSize, "ByteSize");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1b", 1),
            ("512M", 512 << 20),
            ("64Mi", 64 << 20),
            ("64MiB", 64 << 20),
            ("64mb", 64 << 20),
            ("1.5G", 3 << 29),
            ("2T", 2 << 40),
        ] {
            assert_eq!(text.parse::<ByteSize>().map(ByteSize::bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "M", "-1", "1X", "1 M", "1.M", ".5M", "1.2.3", "1iB", "0x10", "8388608T", "1.5", "1MM",
            "1Ki5",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
