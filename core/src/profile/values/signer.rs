//! Whose signature counts.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// A public key of minisign: the second line of its `.pub` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(String);

impl PublicKey {
    /// The key in base64.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match minisign_verify::PublicKey::from_base64(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(BadValue::new("it is no public key of minisign")),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Textual for PublicKey {
    const FORMAT: &'static str = "minisign-public-key";
    const EXPECTED: &'static str = "a public key of minisign, such as RWQf6LRCGA9i5…";
    const PATTERN: &'static str = "^RW[A-Za-z0-9+/]{54}$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(PublicKey, "PublicKey");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_whole() {
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        assert_eq!(key.parse::<PublicKey>().unwrap().as_str(), key);
        for wrong in ["", "RWQ", &key[1..], &key.replace('R', "!")] {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
        }
    }
}
