//! Sets of processors or memory nodes.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// A set of indices as the kernel's lists write them: `0-3,7` (cpuset(7), "List format").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSet(Vec<(u32, u32)>);

/// More than any kernel is built for (`NR_CPUS` is 8192 at most).
const LARGEST: u32 = 65_535;

impl IndexSet {
    /// The ranges, both ends included, as written.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }
}

impl FromStr for IndexSet {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        text.split(',').map(parse_range).collect::<Result<_, _>>().map(Self)
    }
}

fn parse_range(text: &str) -> Result<(u32, u32), BadValue> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_index(first)?, parse_index(last)?);
    if first <= last {
        Ok((first, last))
    } else {
        Err(BadValue::new(format!("the range {text} runs backwards")))
    }
}

fn parse_index(text: &str) -> Result<u32, BadValue> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(index) if digits && index <= LARGEST => Ok(index),
        _ => Err(BadValue::new(format!("`{text}` is not an index"))),
    }
}

impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}") } else { write!(f, "{comma}{first}-{last}") }?;
        }
        Ok(())
    }
}

impl Textual for IndexSet {
    const FORMAT: &'static str = "index-set";
    const EXPECTED: &'static str = "a list of indices such as 0-3,7";
    const PATTERN: &'static str = "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$";
    const ACCEPTS: Accepts = Accepts::TextOrInteger;
}
textual!(IndexSet, "IndexSet");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_lists() {
        for text in ["0", "0-3", "0-3,7", "1,3,5-6"] {
            assert_eq!(text.parse::<IndexSet>().map(|set| set.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "a", "3-1", "1,", "-1", "1-", "0-3:2", "70000", "1\n"] {
            assert!(text.parse::<IndexSet>().is_err(), "{text:?}");
        }
    }
}
