//! What a container's device may send: frames that say truly who sends them. Asked at the device itself, so that nothing,
//! whichever way it was made (packet(7)), gets by.

use std::net::{IpAddr, Ipv6Addr};

use nucleus_sys::netlink::nftables::{Expression, Header, IpFamily, Meta};

use super::Rule;
use super::matching::{End, FIRST, ICMPV6, accept, address, bytes, drop, is, is_not, meta, octets, rule};
use crate::network::document::{Lease, Network};
use crate::profile::values::MacAddress;

/// The chain of a device's own table.
pub(in crate::network) const CHAIN: &str = "frames";

/// `EtherType`s.
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// Its rules; what none of them accepts is dropped and counted.
///
/// A frame goes to the bridge and to nobody else, so that all of it is routed; but for questions about addresses, which the
/// bridge alone hears.
pub(in crate::network) fn device(network: &Network, lease: &Lease) -> Vec<Rule> {
    let dropped = || [Expression::Count, drop()];
    let mut rules = vec![rule([is_not(bytes(Header::Link, 6, 6), lease.mac.bytes())], dropped())];
    rules.extend(lease.v4().map(|address| arp(lease.mac, address.into())));
    if let Some(address) = lease.v6() {
        for own in [address, link_local(lease.mac)] {
            rules.push(discovery(own, SOLICITATION, Vec::new()));
            // What it answers is about itself: RFC 4861, section 4.4.
            let about = is(bytes(Header::Transport, 8, 16), own.octets());
            rules.push(discovery(own, ADVERTISEMENT, about));
        }
        // Whatever else speaks for routers and neighbours, whichever headers stand before it.
        let kinds = vec![bytes(Header::Transport, 0, 1), Expression::Within(FIRST, vec![133], vec![137])];
        rules.push(rule([ipv6(), is(meta(Meta::Transport), [ICMPV6]), kinds], dropped()));
    }
    rules.push(rule([is_not(bytes(Header::Link, 0, 6), network.mac().bytes())], dropped()));
    rules.extend(lease.addresses.iter().map(|address| from(*address)));
    rules.push(dropped().to_vec());
    rules
}

/// A packet from the container's own address.
fn from(source: IpAddr) -> Rule {
    let family = super::matching::family(source);
    let protocol = if source.is_ipv4() { IPV4 } else { IPV6 };
    rule([is(meta(Meta::Protocol), protocol), is(address(family, End::Source), octets(source))], [accept()])
}

/// A question or answer about the container's own addresses (RFC 826): Ethernet and IPv4, with its own sender.
fn arp(mac: MacAddress, source: IpAddr) -> Rule {
    let head = bytes(Header::Network, 0, 6);
    rule(
        [
            is(meta(Meta::Protocol), ARP),
            is(head, [0, 1, 8, 0, 6, 4]),
            is(bytes(Header::Network, 8, 6), mac.bytes()),
            is(bytes(Header::Network, 14, 4), octets(source)),
        ],
        [accept()],
    )
}

/// Messages of neighbour discovery.
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

fn ipv6() -> Rule {
    is(meta(Meta::Protocol), IPV6)
}

/// A message of neighbour discovery from an address of the container's. No router passes it on (RFC 4861, section 3.1: its
/// hop limit is 255).
fn discovery(source: Ipv6Addr, kind: u8, about: Rule) -> Rule {
    rule(
        [
            ipv6(),
            is(address(IpFamily::V6, End::Source), octets(source.into())),
            is(bytes(Header::Network, 6, 2), [ICMPV6, 255]),
            is(bytes(Header::Transport, 0, 1), [kind]),
            about,
        ],
        [accept()],
    )
}

/// RFC 4291, appendix A.
fn link_local(mac: MacAddress) -> Ipv6Addr {
    let [first, second, third, rest @ ..] = mac.bytes();
    let mut octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, first ^ 2, second, third, 0xff, 0xfe, 0, 0, 0];
    octets[13..].copy_from_slice(&rest);
    octets.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_local_address_is_made_of_the_hardware_address() {
        assert_eq!(link_local("02:00:0a:58:00:02".parse().unwrap()).to_string(), "fe80::aff:fe58:2");
    }
}
