//! Ports of the host that lead into a container.

use std::net::IpAddr;

use nucleus_sys::netlink::nftables::{Element, Found};

use super::Entries;
use super::egress::number;
use super::matching::octets;
use crate::network::document::Lease;
use crate::profile::values::Publish;

/// The entries of the maps of all addresses and of single ones.
pub(in crate::network) fn published(lease: &Lease) -> Entries {
    lease.publish.iter().flat_map(|publish| entries(*publish, lease)).collect()
}

fn entries(publish: Publish, lease: &Lease) -> Entries {
    let v4 = lease.v4().map(IpAddr::from);
    let v6 = lease.v6().map(IpAddr::from);
    let fits = |target: &IpAddr| publish.address.is_none_or(|host| host.is_ipv4() == target.is_ipv4());
    let each = |target: IpAddr| publish.pairs().map(move |(host, inner)| entry(publish, host, target, inner));
    v4.into_iter().chain(v6).filter(fits).flat_map(each).collect()
}

fn entry(publish: Publish, host: u16, target: IpAddr, inner: u16) -> (&'static str, Element) {
    let map = match (publish.address, target) {
        (None, IpAddr::V4(_)) => "publish4",
        (None, IpAddr::V6(_)) => "publish6",
        (Some(_), IpAddr::V4(_)) => "publish4-at",
        (Some(_), IpAddr::V6(_)) => "publish6-at",
    };
    let mut key = vec![number(publish.protocol), 0, 0, 0];
    key.extend(publish.address.map(octets).unwrap_or_default());
    key.extend(word(host));
    (map, Element { key, value: Found::Values([octets(target), word(inner)].concat()) })
}

/// A port, filled up.
fn word(port: u16) -> Vec<u8> {
    [port.to_be_bytes(), [0, 0]].concat()
}
