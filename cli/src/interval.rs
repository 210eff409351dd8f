//! Durations as Go writes them, because engines do: `5s`, `1m30s`, `1.5h`.

use std::str::FromStr;
use std::time::Duration;

/// A duration longer than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval(pub(crate) Duration);

/// Each unit and its length in nanoseconds; those that begin like another come first.
const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no duration such as 5s, 1m30s or 500ms");
        let mut rest = text;
        let mut nanoseconds: u64 = 0;
        while !rest.is_empty() {
            let (part, after) = part(rest).ok_or_else(wrong)?;
            nanoseconds = nanoseconds.checked_add(part).ok_or_else(wrong)?;
            rest = after;
        }
        match nanoseconds {
            0 => Err("an interval is longer than nothing".to_owned()),
            _ => Ok(Self(Duration::from_nanos(nanoseconds))),
        }
    }
}

/// The first number with its unit, in nanoseconds, and what follows.
fn part(text: &str) -> Option<(u64, &str)> {
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.')?);
    let (unit, length) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
    Some((scaled(number, length)?, &rest[unit.len()..]))
}

/// `number` times `length`, rounded down.
fn scaled(number: &str, length: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let value = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u64>().ok() };
    // More digits than nanoseconds of an hour have say nothing.
    let fraction = &fraction[..fraction.len().min(13)];
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let below = u128::from(value(fraction)?) * u128::from(length) / divisor;
    value(whole)?.checked_mul(length)?.checked_add(u64::try_from(below).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, milliseconds) in [
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1m0.25s", 60_250),
        ] {
            assert_eq!(text.parse(), Ok(Interval(Duration::from_millis(milliseconds))), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "5", "0s", "-5s", "s", ".s", "1.2.3s", "5d", "5s ", "99999999999999999999h", "9999999999h"]
        {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}
