//! What the packet filter is told, as data. Pure.

mod device;
mod egress;
mod matching;
mod network;
mod publish;

pub(super) use device::{CHAIN as DEVICE_CHAIN, device};
pub(super) use egress::{chain as egress_chain, judged};
pub(super) use network::{MAPS, base_chains};
pub(super) use publish::published;

use nucleus_sys::netlink::nftables::{Element, Expression};

/// A rule.
pub(super) type Rule = Vec<Expression>;

/// Entries of a map, by its name.
pub(super) type Entries = Vec<(&'static str, Element)>;
