//! Spans of time.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// A span of time, written with its units, largest first: `1h30m`, `250ms`, `7d`.
///
/// Units: `d` (24 hours), `h`, `m`, `s`, `ms`, `us`, `ns`. `0` needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Duration {
    /// The span in the standard library's type.
    pub const fn as_std(self) -> std::time::Duration {
        self.0
    }

    /// A span; one of more than about 584 years is refused.
    pub fn from_std(span: std::time::Duration) -> Option<Self> {
        u64::try_from(span.as_nanos()).ok().map(|_| Self(span))
    }
}

impl FromStr for Duration {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text == "0" {
            return Ok(Self(std::time::Duration::ZERO));
        }
        let mut rest = text;
        let mut units = UNITS.iter();
        let mut nanos = 0u64;
        while !rest.is_empty() {
            let (count, unit, after) = first_part(rest)?;
            let Some((_, length)) = units.by_ref().find(|(name, _)| *name == unit) else {
                return Err(wrong_unit(unit));
            };
            let part = count.checked_mul(*length);
            nanos = part
                .and_then(|part| nanos.checked_add(part))
                .ok_or_else(|| BadValue::new("longer than 584 years"))?;
            rest = after;
        }
        if text.is_empty() {
            Err(BadValue::new("empty"))
        } else {
            Ok(Self(std::time::Duration::from_nanos(nanos)))
        }
    }
}

/// Splits `1h30m` into `1`, `h` and `30m`.
fn first_part(text: &str) -> Result<(u64, &str, &str), BadValue> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(letters);
    match number.parse() {
        Ok(_) if unit.is_empty() => Err(BadValue::new("the unit is missing; use d, h, m, s, ms, us or ns")),
        Ok(count) => Ok((count, unit, after)),
        Err(_) => Err(BadValue::new("a duration is made of whole numbers, each with its unit")),
    }
}

fn wrong_unit(unit: &str) -> BadValue {
    if UNITS.iter().any(|(name, _)| *name == unit) {
        return BadValue::new(format!("`{unit}` is repeated or follows a smaller unit"));
    }
    BadValue::new(format!("`{unit}` is not a unit; use d, h, m, s, ms, us or ns"))
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.write_str("0");
        }
        // `from_std` and the parser admit nothing longer.
        let mut rest = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        for (unit, length) in UNITS {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl Textual for Duration {
    const FORMAT: &'static str = "time-span";
    const EXPECTED: &'static str = "a duration such as 1h30m or 250ms";
    const PATTERN: &'static str =
        r"^(0|(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?([0-9]+us)?([0-9]+ns)?)$";
    const ACCEPTS: Accepts = Accepts::TextOrInteger;
}
textual!(Duration, "Duration");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        for (text, millis) in
            [("0", 0), ("250ms", 250), ("1h30m", 5_400_000), ("7d", 604_800_000), ("1m1ms", 60_001)]
        {
            assert_eq!(text.parse::<Duration>().map(|span| span.as_std().as_millis()), Ok(millis), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "5", "h", "1h1h", "1m1h", "-1s", "1.5h", "1w", "1h 30m", "999999999999d", "1ms1m"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
