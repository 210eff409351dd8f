//! Transport protocols and their ports.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Textual, textual};

/// A protocol above IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP, or `ICMPv6` for an IPv6 address. It has no ports.
    Icmp,
}

impl Protocol {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Tcp, "tcp"), (Self::Udp, "udp"), (Self::Sctp, "sctp"), (Self::Icmp, "icmp")];

    /// As people write it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(protocol, _)| *protocol == self).map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(protocol, _)| *protocol)
    }

    pub(super) fn with_ports(name: &str) -> Result<Self, BadValue> {
        Self::named(name)
            .filter(|protocol| *protocol != Self::Icmp)
            .ok_or_else(|| BadValue::new(format!("`{name}` is not tcp, udp or sctp")))
    }
}

/// Ports from a first to a last one, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl PortRange {
    /// How many.
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

impl FromStr for PortRange {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(BadValue::new(format!("the range {text} ends before it begins")));
        }
        Ok(Self { first, last })
    }
}

fn port(digits: &str) -> Result<u16, BadValue> {
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    match number {
        Some(0) | None => Err(BadValue::new(format!("`{digits}` is no port between 1 and 65535"))),
        Some(port) => Ok(port),
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A protocol, or ports of one: `443/tcp`, `8000-8100/udp`, `53`, `icmp`. Without a protocol it is TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    /// The protocol.
    pub protocol: Protocol,
    /// Its ports; `None`: all.
    pub range: Option<PortRange>,
}

impl FromStr for Ports {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if let Some(protocol) = Protocol::named(text) {
            return Ok(Self { protocol, range: None });
        }
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        Ok(Self { protocol: Protocol::with_ports(protocol)?, range: Some(range.parse()?) })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.range {
            Some(range) => write!(f, "{range}/{}", self.protocol.name()),
            None => f.write_str(self.protocol.name()),
        }
    }
}

impl Textual for Ports {
    const FORMAT: &'static str = "ports";
    const EXPECTED: &'static str = "ports such as 443/tcp or 8000-8100/udp, or a protocol such as icmp";
    const PATTERN: &'static str = "^([0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp|sctp))?|tcp|udp|sctp|icmp)$";
    const ACCEPTS: Accepts = Accepts::TextOrInteger;
}
textual!(Ports, "Ports");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_a_protocol_or_all() {
        for (text, shown) in [
            ("443/tcp", "443/tcp"),
            ("53", "53/tcp"),
            ("8000-8100/udp", "8000-8100/udp"),
            ("icmp", "icmp"),
            ("1-65535/sctp", "1-65535/sctp"),
        ] {
            assert_eq!(text.parse::<Ports>().unwrap().to_string(), shown);
        }
        for wrong in
            ["", "0", "65536", "9-8", "80/icmp", "80/", "/tcp", "-1", "80-", "+80", "80/TCP", "1-2-3"]
        {
            assert!(wrong.parse::<Ports>().is_err(), "{wrong}");
        }
    }
}
