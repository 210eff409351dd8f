//! Rows of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// All addresses that begin with the same bits: `10.0.0.0/8`, `fd00::/64`. An address alone is a row of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The row that an address lies in. `None` for a prefix longer than the address.
    pub fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(address) if prefix <= 32 => {
                Ipv4Addr::from_bits(address.to_bits() & !host_bits_4(prefix)).into()
            }
            IpAddr::V6(address) if prefix <= 128 => {
                Ipv6Addr::from_bits(address.to_bits() & !host_bits_6(prefix)).into()
            }
            _ => return None,
        };
        Some(Self { address, prefix })
    }

    /// The first address.
    pub fn first(self) -> IpAddr {
        self.address
    }

    /// The last address.
    pub fn last(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() | host_bits_4(self.prefix)).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() | host_bits_6(self.prefix)).into(),
        }
    }

    /// How many bits all have in common.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The address that is so far behind the first. `None` beyond the last.
    pub fn nth(self, number: u64) -> Option<IpAddr> {
        let address: IpAddr = match self.address {
            IpAddr::V4(address) => {
                Ipv4Addr::from_bits(address.to_bits().checked_add(number.try_into().ok()?)?).into()
            }
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().checked_add(number.into())?).into(),
        };
        self.contains(address).then_some(address)
    }

    /// Whether an address is one of them.
    pub fn contains(self, address: IpAddr) -> bool {
        Self::around(address, self.prefix) == Some(self) && address.is_ipv4() == self.address.is_ipv4()
    }

    /// Whether they have an address in common.
    pub fn meets(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

fn host_bits_4(prefix: u8) -> u32 {
    u32::MAX.checked_shr(prefix.into()).unwrap_or(0)
}

fn host_bits_6(prefix: u8) -> u128 {
    u128::MAX.checked_shr(prefix.into()).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| BadValue::new(format!("`{address}` is no IP address")))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let too_long = || BadValue::new(format!("the prefix lies between 0 and {longest}"));
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| too_long())?
            }
            Some(_) => return Err(too_long()),
        };
        let row = Self::around(address, prefix).ok_or_else(too_long)?;
        if row.address != address {
            return Err(BadValue::new(format!("bits behind the prefix are set; the row is {row}")));
        }
        Ok(row)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Textual for Cidr {
    const FORMAT: &'static str = "cidr";
    const EXPECTED: &'static str = "addresses such as 10.0.0.0/8 or fd00::/64";
    const PATTERN: &'static str = "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(Cidr, "Cidr");

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_row_has_a_first_and_a_last_and_those_between() {
        let row = cidr("10.1.2.0/23");
        assert_eq!(
            (row.first().to_string(), row.last().to_string()),
            ("10.1.2.0".into(), "10.1.3.255".into())
        );
        assert_eq!(row.nth(511), Some(row.last()));
        assert_eq!(row.nth(512), None);
        assert!(row.contains("10.1.3.7".parse().unwrap()) && !row.contains("10.1.4.0".parse().unwrap()));
        assert_eq!(cidr("fd00::/64").last().to_string(), "fd00::ffff:ffff:ffff:ffff");
        assert_eq!(cidr("0.0.0.0/0").last().to_string(), "255.255.255.255");
        assert_eq!(cidr("10.0.0.1"), cidr("10.0.0.1/32"));
    }

    #[test]
    fn rows_meet_if_one_lies_in_the_other() {
        assert!(
            cidr("10.0.0.0/8").meets(cidr("10.9.0.0/16")) && cidr("10.9.0.0/16").meets(cidr("10.0.0.0/8"))
        );
        assert!(!cidr("10.0.0.0/24").meets(cidr("10.0.1.0/24")));
        assert!(!cidr("0.0.0.0/0").meets(cidr("::/0")));
    }

    #[test]
    fn what_is_no_row_is_told() {
        for wrong in
            ["", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "x/8", "10.0/8"]
        {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
        let error = "10.1.2.3/8".parse::<Cidr>().unwrap_err();
        assert_eq!(error.to_string(), "bits behind the prefix are set; the row is 10.0.0.0/8");
    }
}
