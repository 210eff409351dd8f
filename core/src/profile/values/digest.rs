//! Digests that the operator writes down.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// The SHA-256 of a file: sixty-four small hexadecimal digits, as sha256sum(1) prints them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sha256(String);

impl Sha256 {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Sha256 {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadValue::new("it is not sixty-four small hexadecimal digits, as sha256sum(1) prints them"))
        }
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Textual for Sha256 {
    const FORMAT: &'static str = "sha256";
    const EXPECTED: &'static str = "the SHA-256 of a file, as sha256sum prints it";
    const PATTERN: &'static str = "^[0-9a-f]{64}$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(Sha256, "Sha256");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_whole_and_small() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.parse::<Sha256>().unwrap().as_str(), digest);
        for wrong in ["", &digest[1..], &digest.to_uppercase(), &digest.replace('b', "g")] {
            assert!(wrong.parse::<Sha256>().is_err(), "{wrong}");
        }
    }
}
