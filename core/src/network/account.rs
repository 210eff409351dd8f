//! What can be told of a container's network.

use std::net::IpAddr;
use std::path::Path;

use nucleus_abi::{ContainerId, Result};
use serde::Serialize;

use super::document::{Lease, Network};
use super::fault::OrFail;
use super::namespace::inside_of;
use super::store::Store;
use super::table::Filter;
use crate::profile::values::{MacAddress, NetworkName, Publish};

/// A container's network, as `state` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkState {
    /// The network's name.
    pub name: NetworkName,
    /// The container's addresses.
    pub addresses: Vec<IpAddr>,
    /// The hardware address of its device.
    pub mac: MacAddress,
    /// Ports of the host that lead to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publish>,
    /// What its policy refused; none without a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<Counted>,
    /// Frames that did not say truly who sent them, or of what protocol they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrue: Option<Counted>,
}

/// What rules have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What is known of a container's network; `None` for one that nucleus did not attach.
///
/// # Errors
/// `record-unreadable`, `system-call`.
pub(crate) fn state(root: &Path, container: &ContainerId) -> Result<Option<NetworkState>> {
    let Some(store) = Store::existing(root)? else { return Ok(None) };
    let networks = store.all()?;
    drop(store);
    let found = networks.iter().find_map(|network| Some((network, network.lease(container)?)));
    found.map(|(network, lease)| tell(network, lease)).transpose()
}

fn tell(network: &Network, lease: &Lease) -> Result<NetworkState> {
    let counts = inside_of(network.namespace, network.keeper, || Filter::open()?.counts(network, lease))
        .or_fail("enter the network namespace of the network", &network.name)?
        .transpose()?;
    Ok(NetworkState {
        name: network.name.clone(),
        addresses: lease.addresses.clone(),
        mac: lease.mac,
        publish: lease.publish.clone(),
        denied: counts.filter(|_| lease.egress.is_some()).map(|(denied, _)| denied),
        untrue: counts.map(|(_, untrue)| untrue),
    })
}
