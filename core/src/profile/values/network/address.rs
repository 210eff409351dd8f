//! Addresses of hosts and of their devices.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// An IPv4 or IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpAddress(IpAddr);

impl IpAddress {
    /// The address.
    pub fn get(self) -> IpAddr {
        self.0
    }
}

impl FromStr for IpAddress {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        text.parse().map(Self).map_err(|_| BadValue::new(format!("`{text}` is no IP address")))
    }
}

impl fmt::Display for IpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Textual for IpAddress {
    const FORMAT: &'static str = "ip-address";
    const EXPECTED: &'static str = "an address such as 10.0.0.53 or fd00::53";
    const PATTERN: &'static str = "^[0-9A-Fa-f.:]+$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(IpAddress, "IpAddress");

/// The hardware address of one network device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// Its bytes.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl From<[u8; 6]> for MacAddress {
    fn from(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl FromStr for MacAddress {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let byte = |part: &str| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            digits.then(|| u8::from_str_radix(part, 16).ok()).flatten()
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
        let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
        match bytes.ok_or_else(|| BadValue::new(format!("`{text}` is not six bytes in hexadecimal")))? {
            [0, 0, 0, 0, 0, 0] => Err(BadValue::new("the address of no device")),
            [first, ..] if first & 1 != 0 => Err(BadValue::new("an address of many devices (multicast)")),
            bytes => Ok(Self(bytes)),
        }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index > 0 { ":" } else { "" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

impl Textual for MacAddress {
    const FORMAT: &'static str = "mac-address";
    const EXPECTED: &'static str = "a hardware address such as 02:00:0a:58:00:02";
    const PATTERN: &'static str = "^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(MacAddress, "MacAddress");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_that_of_one_device() {
        assert_eq!("02:00:0A:58:00:02".parse::<MacAddress>().unwrap().to_string(), "02:00:0a:58:00:02");
        for wrong in [
            "",
            "02:00:0a:58:00",
            "02:00:0a:58:00:02:03",
            "2:0:a:58:0:2",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "+2:00:0a:58:00:02",
        ] {
            assert!(wrong.parse::<MacAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_whole() {
        assert_eq!("fd00:0::1".parse::<IpAddress>().unwrap().to_string(), "fd00::1");
        for wrong in ["", "10.0.0", "10.0.0.256", "010.0.0.1", "fd00::1%eth0", "10.0.0.1/24", "localhost"] {
            assert!(wrong.parse::<IpAddress>().is_err(), "{wrong}");
        }
    }
}
