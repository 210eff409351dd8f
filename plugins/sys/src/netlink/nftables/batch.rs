//! Changes of tables: all of a batch take effect at once, or none.

use std::io;

use super::super::message::{Body, attribute};
use super::super::socket::{ACK, CREATE, EXCLUSIVE, REQUEST, Socket};
use super::expression::{Expression, LIST_ELEMENT, VALUE, VERDICT, Verdict, list};
use super::{Family, NFTABLES, header};

/// Messages of `linux/netfilter/nf_tables.h`.
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const NEW_ELEMENT: u16 = 12;
const DELETE_ELEMENT: u16 = 14;
/// `NFNL_MSG_BATCH_*`.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
const APPEND: u16 = 0x800;

/// So many elements fit into one message, whatever they are.
const ELEMENTS: usize = 256;

/// Where the kernel asks a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook<'a> {
    /// Of what comes in, before it is routed.
    Prerouting,
    /// Of what the host passes on.
    Forward,
    /// Of what the host's own processes send.
    Output,
    /// Of what goes out.
    Postrouting,
    /// Of what a device receives, before anything else sees it; `netdev` tables only.
    Ingress(&'a str),
}

/// What a chain of a hook may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Judge packets.
    Filter,
    /// Translate addresses; asked for the first packet of a connection.
    Nat,
}

/// A chain that the kernel asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base<'a> {
    /// What for.
    pub purpose: Purpose,
    /// Where.
    pub hook: Hook<'a>,
    /// In which order; smaller is earlier.
    pub priority: i32,
    /// What becomes of a packet that no rule has a word on: [`Verdict::Accept`] or [`Verdict::Drop`].
    pub otherwise: &'a Verdict,
}

/// A type of values, with the numbers by which nft(8) shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A transport protocol.
    Protocol,
    /// A port.
    Port,
}

impl Type {
    const fn number(self) -> u32 {
        match self {
            Self::Ipv4 => 7,
            Self::Ipv6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
        }
    }

    /// Each takes whole words of four bytes.
    const fn length(self) -> u32 {
        match self {
            Self::Ipv6 => 16,
            Self::Ipv4 | Self::Protocol | Self::Port => 4,
        }
    }

    fn of(types: &[Self]) -> (u32, u32) {
        let number = types.iter().fold(0, |number, kind| number << 6 | kind.number());
        (number, types.iter().map(|kind| kind.length()).sum())
    }
}

/// What a map gives for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives<'a> {
    /// A verdict.
    Verdict,
    /// Values.
    Values(&'a [Type]),
}

/// A map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is looked up.
    pub key: &'a [Type],
    /// What is found.
    pub gives: Gives<'a>,
}

/// An entry of a map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// What is looked up; each part fills words of four bytes.
    pub key: Vec<u8>,
    /// What is found.
    pub value: Found,
}

impl Element {
    /// As the kernel shows it.
    pub(super) fn read(element: &[u8]) -> Option<Self> {
        let key = attribute(attribute(element, 1)?, VALUE)?.to_vec();
        let data = attribute(element, 2)?;
        let value = match attribute(data, VERDICT) {
            Some(verdict) => Found::Verdict(Verdict::read(verdict)?),
            None => Found::Values(attribute(data, VALUE)?.to_vec()),
        };
        Some(Self { key, value })
    }
}

/// What is found in a map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// A verdict.
    Verdict(Verdict),
    /// Values; each part fills words of four bytes.
    Values(Vec<u8>),
}

/// Changes of one table.
#[derive(Debug)]
pub struct Batch<'a> {
    family: Family,
    table: &'a str,
    messages: Vec<(u16, u16, Body)>,
    sets: u32,
}

impl<'a> Batch<'a> {
    /// No changes yet.
    pub fn new(family: Family, table: &'a str) -> Self {
        Self { family, table, messages: Vec::new(), sets: 0 }
    }

    fn push(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Body)) {
        let mut body = header(self.family);
        body.text(1, self.table);
        fill(&mut body);
        self.messages.push((kind, flags, body));
    }

    /// Makes the table, unless it is there.
    pub fn table(&mut self) {
        self.push(NEW_TABLE, CREATE, |_| {});
    }

    /// Removes the table with all that is in it. ENOENT if there is none.
    pub fn delete_table(&mut self) {
        self.push(DELETE_TABLE, 0, |_| {});
    }

    /// Makes a chain.
    pub fn chain(&mut self, name: &str, base: Option<Base<'_>>) {
        self.push(NEW_CHAIN, CREATE | EXCLUSIVE, |body| {
            body.text(3, name);
            if let Some(base) = base {
                fill_base(body, base);
            }
        });
    }

    /// Removes all rules of a chain.
    pub fn empty_chain(&mut self, name: &str) {
        self.push(DELETE_RULE, 0, |body| body.text(2, name));
    }

    /// Removes a chain without rules that nobody jumps to. ENOENT if there is none.
    pub fn delete_chain(&mut self, name: &str) {
        self.push(DELETE_CHAIN, 0, |body| body.text(3, name));
    }

    /// Adds a rule at the end of a chain.
    pub fn rule(&mut self, chain: &str, expressions: &[Expression]) {
        self.push(NEW_RULE, CREATE | APPEND, |body| {
            body.text(2, chain);
            body.nested(4, |inner| list(expressions, inner));
        });
    }

    /// Makes a map.
    pub fn map(&mut self, map: Map<'_>) {
        const IS_MAP: u32 = 8;
        const VERDICTS: u32 = 0xffff_ff00;
        self.sets += 1;
        let (id, (key, length)) = (self.sets, Type::of(map.key));
        self.push(NEW_SET, CREATE | EXCLUSIVE, |body| {
            body.text(2, map.name);
            for (kind, number) in [(3, IS_MAP), (4, key), (5, length), (10, id)] {
                body.number(kind, number);
            }
            match map.gives {
                Gives::Verdict => body.number(6, VERDICTS),
                Gives::Values(types) => {
                    let (number, length) = Type::of(types);
                    body.number(6, number);
                    body.number(7, length);
                }
            }
        });
    }

    /// Adds entries to a map. EEXIST for one that is there and gives something else.
    pub fn elements(&mut self, map: &str, elements: &[Element]) {
        self.each_part(NEW_ELEMENT, CREATE, map, elements, |element, body| match &element.value {
            Found::Verdict(verdict) => {
                body.nested(2, |data| data.nested(VERDICT, |inner| verdict.fill(inner)));
            }
            Found::Values(values) => body.nested(2, |data| data.attribute(VALUE, values)),
        });
    }

    /// Removes entries of a map. ENOENT if one is not there.
    pub fn delete_elements(&mut self, map: &str, elements: &[Element]) {
        self.each_part(DELETE_ELEMENT, 0, map, elements, |_, _| {});
    }

    fn each_part(
        &mut self,
        kind: u16,
        flags: u16,
        map: &str,
        elements: &[Element],
        value: impl Fn(&Element, &mut Body),
    ) {
        for part in elements.chunks(ELEMENTS) {
            self.push(kind, flags, |body| {
                body.text(2, map);
                body.nested(3, |all| {
                    for element in part {
                        all.nested(LIST_ELEMENT, |body| {
                            body.nested(1, |data| data.attribute(VALUE, &element.key));
                            value(element, body);
                        });
                    }
                });
            });
        }
    }

    /// Sends all of it.
    pub(super) fn commit(&self, socket: &mut Socket) -> io::Result<()> {
        let mut bytes = Vec::new();
        let first = socket.next();
        bytes.extend(boundary().message(BEGIN, REQUEST, first)?);
        let mut last = first;
        for (index, (kind, flags, body)) in self.messages.iter().enumerate() {
            last = socket.next();
            let ack = if index + 1 == self.messages.len() { ACK } else { 0 };
            bytes.extend(body.message(NFTABLES << 8 | kind, flags | REQUEST | ack, last)?);
        }
        bytes.extend(boundary().message(END, REQUEST, socket.next())?);
        if self.messages.is_empty() {
            return Ok(());
        }
        socket.send(&bytes)?;
        socket.answers(first, last).map(drop)
    }
}

/// Of no family, and for `nf_tables`.
fn boundary() -> Body {
    let [high, low] = NFTABLES.to_be_bytes();
    Body::new([0, 0, high, low])
}

/// `NFTA_CHAIN_HOOK`, `NFTA_CHAIN_POLICY` and `NFTA_CHAIN_TYPE`.
fn fill_base(body: &mut Body, base: Base<'_>) {
    let (number, device) = match base.hook {
        Hook::Prerouting => (0, None),
        Hook::Forward => (2, None),
        Hook::Output => (3, None),
        Hook::Postrouting => (4, None),
        Hook::Ingress(device) => (0, Some(device)),
    };
    body.nested(4, |hook| {
        hook.number(1, number);
        hook.number(2, base.priority.cast_unsigned());
        if let Some(device) = device {
            hook.text(3, device);
        }
    });
    body.number(5, u32::from(*base.otherwise != Verdict::Drop));
    body.text(
        7,
        match base.purpose {
            Purpose::Filter => "filter",
            Purpose::Nat => "nat",
        },
    );
}
