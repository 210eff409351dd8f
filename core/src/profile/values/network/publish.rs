//! Ports of the host that lead into the container.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{Accepts, BadValue, PortRange, Protocol, Textual, textual};

/// `[ADDRESS:]HOST:CONTAINER[/tcp|udp|sctp]`: `127.0.0.1:8080:80`, `[::1]:8000-8010:8000-8010/udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish {
    /// The host's address; `None`: each of them.
    pub address: Option<IpAddr>,
    /// The host's ports.
    pub host: PortRange,
    /// The container's, as many.
    pub container: PortRange,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
}

impl Publish {
    /// Pairs of a port of the host and the container's.
    pub fn pairs(self) -> impl Iterator<Item = (u16, u16)> {
        self.host.each().zip(self.container.each())
    }
}

impl FromStr for Publish {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = Protocol::with_ports(protocol)?;
        let form =
            || BadValue::new("it is [ADDRESS:]HOST:CONTAINER[/PROTOCOL], such as 127.0.0.1:8080:80/tcp");
        let (rest, container) = rest.rsplit_once(':').ok_or_else(form)?;
        let (address, host) = match rest.rsplit_once(':') {
            Some((address, host)) => (Some(parse_address(address)?), host),
            None => (None, rest),
        };
        let (host, container): (PortRange, PortRange) = (host.parse()?, container.parse()?);
        if host.count() != container.count() {
            let counts = (host.count(), container.count());
            return Err(BadValue::new(format!("{} ports of the host cannot lead to {}", counts.0, counts.1)));
        }
        Ok(Self { address: address.filter(|address| !address.is_unspecified()), host, container, protocol })
    }
}

fn parse_address(text: &str) -> Result<IpAddr, BadValue> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let parsed = match inner {
        Some(inner) => inner.parse().map(IpAddr::V6).ok(),
        None => text.parse().map(IpAddr::V4).ok(),
    };
    parsed.ok_or_else(|| {
        BadValue::new(format!("`{text}` is no address of the host; an IPv6 address stands in brackets"))
    })
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            None => {}
        }
        write!(f, "{}:{}/{}", self.host, self.container, self.protocol.name())
    }
}

impl Textual for Publish {
    const FORMAT: &'static str = "publish";
    const EXPECTED: &'static str = "ports such as 127.0.0.1:8080:80/tcp";
    const PATTERN: &'static str = r"^(([0-9.]+|\[[0-9A-Fa-f:.]+\]):)?[0-9]{1,5}(-[0-9]{1,5})?:[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp|sctp))?$";
    const ACCEPTS: Accepts = Accepts::Text;
}
textual!(Publish, "Publish");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_the_host_lead_to_as_many_of_the_container() {
        for (text, shown) in [
            ("8080:80", "8080:80/tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1:8080:80/udp"),
            ("[::1]:8000-8010:9000-9010/sctp", "[::1]:8000-8010:9000-9010/sctp"),
            ("0.0.0.0:1:2", "1:2/tcp"),
        ] {
            assert_eq!(text.parse::<Publish>().unwrap().to_string(), shown);
        }
        let pairs: Vec<_> = "10-12:20-22".parse::<Publish>().unwrap().pairs().collect();
        assert_eq!(pairs, [(10, 20), (11, 21), (12, 22)]);
    }

    #[test]
    fn what_cannot_be_published_is_told() {
        for wrong in [
            "",
            "80",
            "x:80",
            "0:80",
            "80:65536",
            "8000-8010:80",
            "::1:80:80",
            "localhost:80:80",
            "80:80/icmp",
            "1:2:3:4",
            "80:80/",
        ] {
            assert!(wrong.parse::<Publish>().is_err(), "{wrong}");
        }
    }
}
