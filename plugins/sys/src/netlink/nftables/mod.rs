//! The packet filter, `nf_tables` (nft(8)).

mod batch;
mod expression;

use std::io;

use rustix::net::netlink::NETFILTER;

use super::message::{Body, attribute, attributes, text};
use super::socket::{DUMP, Socket};

pub use batch::{Base, Batch, Element, Found, Gives, Hook, Map, Purpose, Type};
pub use expression::{
    Comparison, Count, Expression, Header, IpFamily, Meta, Refusal, Register, Track, Verdict, state, status,
};

/// `NFNL_SUBSYS_NFTABLES`.
const NFTABLES: u16 = 10;
const GET_TABLE: u16 = 1;
const GET_CHAIN: u16 = 4;
const GET_RULE: u16 = 7;
const GET_ELEMENT: u16 = 13;
const NEW_RULE: u16 = NFTABLES << 8 | 6;

/// What a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// All frames of a device.
    Device,
}

impl Family {
    /// `NFPROTO_*`.
    const fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Device => 5,
        }
    }

    /// As nft(8) calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Device => "netdev",
        }
    }
}

/// `struct nfgenmsg`.
fn header(family: Family) -> Body {
    Body::new([family.number(), 0, 0, 0])
}

/// A rule as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    expressions: Vec<u8>,
}

impl Rule {
    fn read(body: &[u8]) -> Option<Self> {
        let body = body.get(4..)?;
        let expressions = attribute(body, 4).unwrap_or_default().to_vec();
        Some(Self { table: text(attribute(body, 1)?), chain: text(attribute(body, 2)?), expressions })
    }

    /// Whether it is made of these, in this order.
    pub fn is(&self, expressions: &[Expression]) -> bool {
        let mut body = Body::default();
        body.nested(0, |inner| expression::list(expressions, inner));
        // Behind the head of the one attribute.
        body.message(0, 0, 0).is_ok_and(|message| {
            let sent = message.get(super::message::HEADER + 4..).unwrap_or_default();
            expression::is_same(&self.expressions, sent)
        })
    }

    /// What its first counter has counted.
    pub fn count(&self) -> Option<Count> {
        expression::count(&self.expressions)
    }
}

/// A socket that speaks to the packet filter of the network namespace in which it was made.
#[derive(Debug)]
pub struct NfTables {
    socket: Socket,
}

impl NfTables {
    /// Opens one for the caller's network namespace. EPROTONOSUPPORT where the kernel has no netfilter.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::open(Some(NETFILTER))? })
    }

    /// Makes changes: all of them, or none.
    pub fn commit(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        // Of a batch that fails each message is answered. What nobody reads of that would fill this socket, and the
        // answers to later requests would be lost.
        batch.commit(&mut Socket::open(Some(NETFILTER))?)
    }

    /// Whether there is such a table. EINVAL where the kernel has no `nf_tables`.
    pub fn has_table(&mut self, family: Family, name: &str) -> io::Result<bool> {
        let mut body = header(family);
        body.text(1, name);
        match self.socket.ask(NFTABLES << 8 | GET_TABLE, super::socket::ACK, &body) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            answer => answer.map(|_| true),
        }
    }

    /// Names of all chains of a table.
    pub fn chains(&mut self, family: Family, table: &str) -> io::Result<Vec<String>> {
        let answers = self.socket.ask(NFTABLES << 8 | GET_CHAIN, DUMP, &header(family))?;
        let of_table = |body: &[u8]| {
            let body = body.get(4..)?;
            (text(attribute(body, 1)?) == table).then(|| attribute(body, 3).map(text))?
        };
        Ok(answers.iter().filter_map(|(_, body)| of_table(body)).collect())
    }

    /// All rules of a table, or of all tables, in the order of their chains. None for a table that is not there.
    pub fn rules(&mut self, family: Family, table: Option<&str>) -> io::Result<Vec<Rule>> {
        let mut body = header(family);
        if let Some(table) = table {
            body.text(1, table);
        }
        let answers = self.socket.ask(NFTABLES << 8 | GET_RULE, DUMP, &body)?;
        Ok(answers
            .iter()
            .filter(|(kind, _)| *kind == NEW_RULE)
            .filter_map(|(_, body)| Rule::read(body))
            .collect())
    }

    /// The entries of a map. ENOENT if it is not there.
    pub fn elements(&mut self, family: Family, table: &str, map: &str) -> io::Result<Vec<Element>> {
        let mut body = header(family);
        body.text(1, table);
        body.text(2, map);
        let answers = self.socket.ask(NFTABLES << 8 | GET_ELEMENT, DUMP, &body)?;
        let mut found = Vec::new();
        for (_, body) in &answers {
            let elements = body.get(4..).and_then(|body| attribute(body, 3)).unwrap_or_default();
            found.extend(attributes(elements).filter_map(|(_, element)| Element::read(element)));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
