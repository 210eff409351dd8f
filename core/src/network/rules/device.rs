//! What a container's device may send: frames that say truly who sends them. Asked at the device itself, so that nothing,
//! whichever way it was made (packet(7)), gets by.

use std::net::{IpAddr, Ipv6Addr};

use nucleus_sys::netlink::nftables::{Expression, Header, IpFamily, Meta};

use super::Rule;
use super::matching::{End, ICMPV6, accept, address, bytes, drop, is, is_not, meta, octets, rule};
use crate::network::document::Lease;
use crate::profile::values::MacAddress;

/// The chain of a device's own table.
pub(in crate::network) const CHAIN: &str = "frames";

/// `EtherType`s.
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// Its rules; what none of them accepts is dropped and counted.
pub(in crate::network) fn device(lease: &Lease) -> Vec<Rule> {
    let sender = bytes(Header::Link, 6, 6);
    let mut rules = vec![rule([is_not(sender, lease.mac.bytes())], [Expression::Count, drop()])];
    for address in &lease.addresses {
        match address {
            IpAddr::V4(_) => rules.extend([arp(lease.mac, *address), from(IPV4, *address)]),
            IpAddr::V6(_) => {
                rules.push(from(IPV6, *address));
                rules.extend(
                    [SOLICITATION, ADVERTISEMENT].map(|kind| neighbours(link_local(lease.mac), kind)),
                );
            }
        }
    }
    rules.push(vec![Expression::Count, drop()]);
    rules
}

/// A packet from the container's own address.
fn from(protocol: [u8; 2], source: IpAddr) -> Rule {
    let family = super::matching::family(source);
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

/// A message of neighbour discovery from the device's link-local address. No router passes it on (RFC 4861, section 3.1: its
/// hop limit is 255).
fn neighbours(source: Ipv6Addr, kind: u8) -> Rule {
    rule(
        [
            is(meta(Meta::Protocol), IPV6),
            is(address(IpFamily::V6, End::Source), octets(source.into())),
            is(bytes(Header::Network, 6, 2), [ICMPV6, 255]),
            is(bytes(Header::Network, 40, 1), [kind]),
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
