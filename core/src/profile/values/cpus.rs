//! Shares of processor time.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// A number of processors' worth of time per second of wall clock: `1.5`. From 0.01 (the kernel's smallest quota,
/// 1 ms in 100 ms) to 8192, in steps of 0.001.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpus {
    milli: u32,
}

impl Cpus {
    /// Thousandths of a processor.
    pub const fn milli(self) -> u32 {
        self.milli
    }
}

impl FromStr for Cpus {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let not_a_number = || BadValue::new("not a decimal number such as 1.5");
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(not_a_number());
        }
        if fraction.len() > 3 {
            return Err(BadValue::new("more than three digits after the point"));
        }
        let out_of_range = || BadValue::new("not between 0.01 and 8192");
        let whole: u32 = whole.parse().map_err(|_| out_of_range())?;
        let fraction: u32 = format!("{fraction:0<3}").parse().map_err(|_| not_a_number())?;
        let milli =
            whole.checked_mul(1000).and_then(|milli| milli.checked_add(fraction)).ok_or_else(out_of_range)?;
        if (10..=8_192_000).contains(&milli) { Ok(Self { milli }) } else { Err(out_of_range()) }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:03}", self.milli % 1000);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{}", self.milli / 1000),
            fraction => write!(f, "{}.{fraction}", self.milli / 1000),
        }
    }
}

impl Textual for Cpus {
    const FORMAT: &'static str = "cpus";
    const EXPECTED: &'static str = "a number of processors such as 1.5";
    const PATTERN: &'static str = r"^[0-9]+(\.[0-9]{1,3})?$";
    const ACCEPTS: Accepts = Accepts::TextOrNumber;
}
textual!(Cpus, "Cpus");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths() {
        for (text, milli) in [("1", 1000), ("1.5", 1500), ("0.01", 10), ("0.125", 125), ("2.050", 2050)] {
            assert_eq!(text.parse::<Cpus>().map(Cpus::milli), Ok(milli), "{text}");
        }
        for text in ["0", "0.001", "-1", "1.", ".5", "1e3", "", "8193", "0.0005", "NaN"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
        assert_eq!("2.050".parse::<Cpus>().map(|cpus| cpus.to_string()), Ok("2.05".to_owned()));
    }
}
