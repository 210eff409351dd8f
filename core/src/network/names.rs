//! Names that nothing else of the host has, in the 15 bytes that the kernel leaves for those of devices (`IFNAMSIZ`).

use std::io;
use std::net::IpAddr;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::profile::values::MacAddress;

/// How the name of every bridge of nucleus begins. Rules rely on it.
pub(super) const BRIDGE: &str = "nu-";

/// How the names of the host's ends of devices begin.
const DEVICE: &str = "nv-";

/// What tells a network from all others.
pub(super) fn key() -> io::Result<String> {
    random()
}

/// The name of a new device.
pub(super) fn device() -> io::Result<String> {
    Ok(format!("{DEVICE}{}", random()?))
}

fn random() -> io::Result<String> {
    let mut bytes = [0_u8; 8];
    getrandom(&mut bytes[..5], GetRandomFlags::empty())?;
    Ok(format!("{:010x}", u64::from_le_bytes(bytes)))
}

/// A hardware address of local administration that is as unique in the network as the address that it is made of.
pub(super) fn mac(address: IpAddr) -> MacAddress {
    let tail: [u8; 4] = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => {
            let octets = address.octets();
            [octets[12], octets[13], octets[14], octets[15]]
        }
    };
    let kind = u8::from(address.is_ipv6());
    let [a, b, c, d] = tail;
    MacAddress::from([0x02, kind, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_kernel() {
        assert_eq!(device().unwrap().len(), 13);
        assert_ne!(device().unwrap(), device().unwrap());
        assert_eq!(mac("10.88.0.2".parse().unwrap()).to_string(), "02:00:0a:58:00:02");
    }
}
