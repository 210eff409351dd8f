//! What rules are made of (`linux/netfilter/nf_tables.h`).

use super::super::message::{Body, attribute, attributes, half, text};

/// Attributes of lists and of values.
pub(super) const LIST_ELEMENT: u16 = 1;
const NAME: u16 = 1;
const DATA: u16 = 2;
pub(super) const VALUE: u16 = 1;
pub(super) const VERDICT: u16 = 2;

/// Marks an attribute that holds attributes.
const NESTED: u16 = 0x8000;

/// Where a rule keeps what it compares: the number of a word of four bytes, 0 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(pub u8);

impl Register {
    /// As the kernel numbers them when it is asked: words that begin a place of 16 bytes have the number of the place
    /// (`nft_dump_register`).
    fn number(self) -> u32 {
        match self.0 {
            word if word % 4 == 0 => u32::from(word / 4) + 1,
            word => u32::from(word) + 8,
        }
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It goes on.
    Accept,
    /// It goes.
    Drop,
    /// Another chain judges it; what that has no word on comes back.
    Jump(String),
    /// The chain has no word on it.
    Return,
}

impl Verdict {
    /// As the kernel shows it. `None` for one that we never make.
    pub(super) fn read(verdict: &[u8]) -> Option<Self> {
        let code = attribute(verdict, 1)?.try_into().ok().map(i32::from_be_bytes)?;
        match code {
            0 => Some(Self::Drop),
            1 => Some(Self::Accept),
            -3 => attribute(verdict, 2).map(|chain| Self::Jump(text(chain))),
            -5 => Some(Self::Return),
            _ => None,
        }
    }

    /// `NFTA_VERDICT_CODE` and `NFTA_VERDICT_CHAIN`.
    pub(super) fn fill(&self, body: &mut Body) {
        let code: i32 = match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Jump(_) => -3,
            Self::Return => -5,
        };
        body.number(1, code.cast_unsigned());
        if let Self::Jump(chain) = self {
            body.text(2, chain);
        }
    }
}

/// What is known of a packet beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// Its protocol: an `EtherType`, in the order of the network.
    Protocol,
    /// Number of the device that it came in by, in the host's order.
    InputIndex,
    /// Number of the device that it goes out by.
    OutputIndex,
    /// Name of the device that it came in by: 16 bytes.
    InputName,
    /// Name of the device that it goes out by.
    OutputName,
    /// Its family: `NFPROTO_IPV4` (2) or `NFPROTO_IPV6` (10), one byte.
    Family,
    /// Its transport protocol, one byte.
    Transport,
}

impl Meta {
    const fn key(self) -> u32 {
        match self {
            Self::Protocol => 1,
            Self::InputIndex => 4,
            Self::OutputIndex => 5,
            Self::InputName => 6,
            Self::OutputName => 7,
            Self::Family => 15,
            Self::Transport => 16,
        }
    }
}

/// Where in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// From the Ethernet header.
    Link,
    /// From the IP or ARP header.
    Network,
    /// From the transport header.
    Transport,
}

/// What is known of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// A bit of [`state`].
    State,
    /// A bit of [`status`].
    Status,
}

/// States of connections; four bytes in the host's order.
pub mod state {
    /// No connection can be told.
    pub const INVALID: u32 = 1;
    /// An answer has been seen.
    pub const ESTABLISHED: u32 = 2;
    /// Another connection brought it about.
    pub const RELATED: u32 = 4;
}

/// Status of connections; four bytes in the host's order.
pub mod status {
    /// Its destination is translated: `IPS_DST_NAT`.
    pub const DESTINATION_TRANSLATED: u32 = 32;
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Comparison {
    const fn code(self) -> u32 {
        match self {
            Self::Equal => 0,
            Self::NotEqual => 1,
        }
    }
}

/// What the sender of a packet is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The connection is reset: for TCP.
    Reset,
    /// An operator forbids it: ICMP or `ICMPv6`.
    Prohibited,
}

/// Which address is translated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpFamily {
    /// `NFPROTO_*`.
    pub const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// One part of a rule. A rule holds as far as its comparisons do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Loads what is known of the packet.
    Meta(Meta, Register),
    /// Loads bytes of the packet.
    Payload {
        /// From which header.
        header: Header,
        /// So many bytes behind its beginning.
        offset: u8,
        /// So many bytes.
        length: u8,
        /// Where to.
        to: Register,
    },
    /// Loads what is known of the connection.
    Track(Track, Register),
    /// Loads what the host takes the destination for: four bytes in its order; 2 is one of its own addresses.
    DestinationType(Register),
    /// Keeps the bits of a mask.
    Mask(Register, Vec<u8>),
    /// Compares a value.
    Compare(Register, Comparison, Vec<u8>),
    /// Compares with a first and a last value.
    Within(Register, Vec<u8>, Vec<u8>),
    /// Looks the value up in a set.
    IsIn(Register, String),
    /// Looks the value up in a map of verdicts, and obeys.
    Judge(Register, String),
    /// Looks the value up in a map and loads what it finds.
    Find(Register, String, Register),
    /// Counts packets and bytes.
    Count,
    /// Ends the rule.
    Verdict(Verdict),
    /// Drops the packet and tells its sender.
    Reject(Refusal),
    /// Translates the destination to an address and a port that have been loaded.
    Destination(IpFamily, Register, Register),
    /// Translates the source to the address of the device that the packet goes out by.
    Masquerade,
}

impl Expression {
    fn name(&self) -> &'static str {
        match self {
            Self::Meta(..) => "meta",
            Self::Payload { .. } => "payload",
            Self::Track(..) => "ct",
            Self::DestinationType(_) => "fib",
            Self::Mask(..) => "bitwise",
            Self::Compare(..) => "cmp",
            Self::Within(..) => "range",
            Self::IsIn(..) | Self::Judge(..) | Self::Find(..) => "lookup",
            Self::Count => "counter",
            Self::Verdict(_) => "immediate",
            Self::Reject(_) => "reject",
            Self::Destination(..) => "nat",
            Self::Masquerade => "masq",
        }
    }

    /// `NFTA_EXPR_NAME` and `NFTA_EXPR_DATA`.
    fn fill(&self, body: &mut Body) {
        body.text(NAME, self.name());
        body.nested(DATA, |data| self.data(data));
    }

    fn data(&self, body: &mut Body) {
        match self {
            Self::Meta(meta, to) => {
                body.number(1, to.number());
                body.number(2, meta.key());
            }
            Self::Payload { header, offset, length, to } => {
                let base = match header {
                    Header::Link => 0,
                    Header::Network => 1,
                    Header::Transport => 2,
                };
                for (kind, number) in
                    [(1, to.number()), (2, base), (3, (*offset).into()), (4, (*length).into())]
                {
                    body.number(kind, number);
                }
            }
            Self::Track(what, to) => {
                body.number(1, to.number());
                body.number(2, if *what == Track::State { 0 } else { 2 });
            }
            Self::DestinationType(to) => {
                for (kind, number) in [(1, to.number()), (2, 3), (3, 2)] {
                    body.number(kind, number);
                }
            }
            Self::Mask(register, mask) => {
                body.number(1, register.number());
                body.number(2, register.number());
                body.number(3, u32::try_from(mask.len()).unwrap_or(u32::MAX));
                body.nested(4, |data| data.attribute(VALUE, mask));
                body.nested(5, |data| data.attribute(VALUE, &vec![0; mask.len()]));
            }
            Self::Compare(register, comparison, value) => {
                body.number(1, register.number());
                body.number(2, comparison.code());
                body.nested(3, |data| data.attribute(VALUE, value));
            }
            Self::Within(register, first, last) => {
                body.number(1, register.number());
                body.number(2, Comparison::Equal.code());
                body.nested(3, |data| data.attribute(VALUE, first));
                body.nested(4, |data| data.attribute(VALUE, last));
            }
            Self::IsIn(register, set) => {
                body.text(1, set);
                body.number(2, register.number());
            }
            Self::Judge(register, map) => {
                body.text(1, map);
                body.number(2, register.number());
                body.number(3, 0);
            }
            Self::Find(register, map, to) => {
                body.text(1, map);
                body.number(2, register.number());
                body.number(3, to.number());
            }
            Self::Count | Self::Masquerade => {}
            Self::Verdict(verdict) => {
                body.number(1, 0);
                body.nested(2, |data| data.nested(VERDICT, |inner| verdict.fill(inner)));
            }
            Self::Reject(Refusal::Reset) => body.number(1, 1),
            Self::Reject(Refusal::Prohibited) => {
                // Of either family, and its "administratively prohibited".
                body.number(1, 2);
                body.attribute(2, &[3]);
            }
            Self::Destination(family, address, port) => {
                body.number(1, 1);
                body.number(2, family.number().into());
                body.number(3, address.number());
                body.number(5, port.number());
            }
        }
    }
}

/// A list of expressions as one attribute's value.
pub(super) fn list(expressions: &[Expression], body: &mut Body) {
    for expression in expressions {
        body.nested(LIST_ELEMENT, |element| expression.fill(element));
    }
}

/// Whether a list that the kernel shows is the one that was sent. It may say more of each expression than we did.
pub(super) fn is_same(shown: &[u8], sent: &[u8]) -> bool {
    let (mut shown, mut sent) = (attributes(shown), attributes(sent));
    loop {
        match (shown.next(), sent.next()) {
            (None, None) => return true,
            (Some((_, shown)), Some((_, sent))) if has_all(shown, sent) => {}
            _ => return false,
        }
    }
}

/// Whether each attribute of `wanted` is among the others.
fn has_all(shown: &[u8], wanted: &[u8]) -> bool {
    raw(wanted).all(|(kind, value)| {
        let Some(found) = attribute(shown, kind & !NESTED) else { return false };
        if kind & NESTED == 0 { found == value } else { has_all(found, value) }
    })
}

/// Attributes with the mark of those that hold attributes.
fn raw(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(half(rest, 0)?), half(rest, 2)?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// What a rule has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the network header on (in `netdev` tables from the link's).
    pub bytes: u64,
}

/// The first counter of a list.
pub(super) fn count(list: &[u8]) -> Option<Count> {
    let counter = attributes(list)
        .find(|(_, element)| attribute(element, NAME).is_some_and(|name| text(name) == "counter"))?
        .1;
    let data = attribute(counter, DATA)?;
    let number = |kind| attribute(data, kind)?.try_into().ok().map(u64::from_be_bytes);
    Some(Count { bytes: number(1)?, packets: number(2)? })
}
