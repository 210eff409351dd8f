//! Parts that rules have in common.

use std::net::IpAddr;

use nucleus_sys::netlink::nftables::{
    Comparison, Expression, Header, IpFamily, Meta, Register, Track, Verdict,
};

use super::Rule;
use crate::profile::values::Cidr;

/// Where nearly every value is compared.
pub(super) const FIRST: Register = Register(0);

/// `IPPROTO_*`.
pub(super) const TCP: u8 = 6;
pub(super) const ICMPV6: u8 = 58;

pub(super) fn accept() -> Expression {
    Expression::Verdict(Verdict::Accept)
}

pub(super) fn drop() -> Expression {
    Expression::Verdict(Verdict::Drop)
}

fn compare(load: Expression, comparison: Comparison, value: impl Into<Vec<u8>>) -> Rule {
    vec![load, Expression::Compare(FIRST, comparison, value.into())]
}

pub(super) fn is(load: Expression, value: impl Into<Vec<u8>>) -> Rule {
    compare(load, Comparison::Equal, value)
}

pub(super) fn is_not(load: Expression, value: impl Into<Vec<u8>>) -> Rule {
    compare(load, Comparison::NotEqual, value)
}

pub(super) fn meta(meta: Meta) -> Expression {
    Expression::Meta(meta, FIRST)
}

pub(super) fn bytes(header: Header, offset: u8, length: u8) -> Expression {
    Expression::Payload { header, offset, length, to: FIRST }
}

/// The whole name of a device, filled up.
pub(super) fn name(device: &str) -> Vec<u8> {
    let mut name = device.as_bytes().to_vec();
    name.resize(16, 0);
    name
}

pub(super) fn of(family: IpFamily) -> Rule {
    is(meta(Meta::Family), [family.number()])
}

pub(super) fn family(address: IpAddr) -> IpFamily {
    if address.is_ipv4() { IpFamily::V4 } else { IpFamily::V6 }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Which address of a packet.
#[derive(Clone, Copy)]
pub(super) enum End {
    Source,
    Destination,
}

/// Loads an address: RFC 791, section 3.1, and RFC 8200, section 3.
pub(super) fn address(family: IpFamily, end: End) -> Expression {
    let (offset, length) = match (family, end) {
        (IpFamily::V4, End::Source) => (12, 4),
        (IpFamily::V4, End::Destination) => (16, 4),
        (IpFamily::V6, End::Source) => (8, 16),
        (IpFamily::V6, End::Destination) => (24, 16),
    };
    bytes(Header::Network, offset, length)
}

/// Whether an address lies in a row; the family has been compared.
pub(super) fn within(row: Cidr, end: End) -> Rule {
    let load = address(family(row.first()), end);
    if row.prefix() == 0 {
        return Vec::new();
    }
    if row.first() == row.last() {
        return is(load, octets(row.first()));
    }
    vec![load, Expression::Within(FIRST, octets(row.first()), octets(row.last()))]
}

/// Whether it does not.
pub(super) fn outside(row: Cidr, end: End) -> Rule {
    let family = family(row.first());
    let mask = octets(Cidr::around(ones(family), row.prefix()).unwrap_or(row).first());
    vec![
        address(family, end),
        Expression::Mask(FIRST, mask),
        Expression::Compare(FIRST, Comparison::NotEqual, octets(row.first())),
    ]
}

fn ones(family: IpFamily) -> IpAddr {
    match family {
        IpFamily::V4 => [0xff; 4].into(),
        IpFamily::V6 => [0xff; 16].into(),
    }
}

/// Whether one of these bits is set in what is known of the connection.
pub(super) fn has(track: Track, bits: u32) -> Rule {
    vec![
        Expression::Track(track, FIRST),
        Expression::Mask(FIRST, bits.to_ne_bytes().into()),
        Expression::Compare(FIRST, Comparison::NotEqual, vec![0; 4]),
    ]
}

pub(super) fn rule(parts: impl IntoIterator<Item = Rule>, end: impl IntoIterator<Item = Expression>) -> Rule {
    parts.into_iter().flatten().chain(end).collect()
}
