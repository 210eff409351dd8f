//! What is known of a network beyond the kernel: a file per network, below the state root.

use std::net::IpAddr;

use nucleus_abi::{ContainerId, Inode, Process};
use serde::{Deserialize, Serialize};

use crate::plan::EgressPlan;
use crate::profile::values::{Cidr, MacAddress, NetworkName, Publish};

/// The version that this release writes.
pub(super) const VERSION: u32 = 1;

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Network {
    /// [`VERSION`].
    pub(super) version: u32,
    /// Its name.
    pub(super) name: NetworkName,
    /// The boot during which it began: nothing of it outlives one.
    pub(super) boot: String,
    /// The network namespace in which its bridge is.
    pub(super) namespace: Inode,
    /// The process that keeps this namespace, where it is not nucleus' own.
    #[serde(default)]
    pub(super) keeper: Option<Process>,
    /// What tells it from all others of the host: part of the names of its bridge and its table.
    pub(super) key: String,
    /// Its rows of addresses, one of each kind at most.
    pub(super) subnets: Vec<Cidr>,
    /// The largest packet in bytes.
    pub(super) mtu: u32,
    /// The kinds of addresses that the host did not route before.
    pub(super) guarded: Guarded,
    /// Who is on it.
    pub(super) leases: Vec<Lease>,
}

/// The kinds of addresses that the host routes only since we asked it to: it shall do so for containers alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Guarded {
    /// IPv4.
    pub(super) v4: bool,
    /// IPv6.
    pub(super) v6: bool,
}

/// A container's place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lease {
    /// Whose.
    pub(super) container: ContainerId,
    /// Its addresses, one for each row of the network.
    pub(super) addresses: Vec<IpAddr>,
    /// The hardware address of its device.
    pub(super) mac: MacAddress,
    /// The host's end of its device: a name that nothing else has had.
    pub(super) device: String,
    /// By which names others on the network find it.
    pub(super) names: Vec<String>,
    /// Ports of the host that lead to it.
    pub(super) publish: Vec<Publish>,
    /// Where it may connect to; `None`: everywhere.
    pub(super) egress: Option<EgressPlan>,
    /// Whether its device and its rules are there, as far as we know.
    pub(super) attached: bool,
}

impl Lease {
    pub(super) fn v4(&self) -> Option<std::net::Ipv4Addr> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    }

    pub(super) fn v6(&self) -> Option<std::net::Ipv6Addr> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        })
    }
}

impl Network {
    /// The name of its bridge.
    pub(super) fn bridge(&self) -> String {
        format!("{}{}", super::names::BRIDGE, self.key)
    }

    /// Where its bridge is.
    pub(super) fn place(&self) -> (Inode, Option<Process>) {
        (self.namespace, self.keeper)
    }

    /// The name of its table.
    pub(super) fn table(&self) -> String {
        format!("nucleus-{}", self.key)
    }

    /// The host's address in a row: the gateway.
    pub(super) fn gateway(subnet: Cidr) -> IpAddr {
        subnet.nth(1).unwrap_or(subnet.first())
    }

    /// The hardware address of its bridge.
    pub(super) fn mac(&self) -> MacAddress {
        let first = self.gateways().next();
        first.map_or(MacAddress::from([2, 0, 0, 0, 0, 1]), |(gateway, _)| super::names::mac(gateway))
    }

    pub(super) fn gateways(&self) -> impl Iterator<Item = (IpAddr, Cidr)> {
        self.subnets.iter().map(|subnet| (Self::gateway(*subnet), *subnet))
    }

    /// Those whose device and rules must be there.
    pub(super) fn attached(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(|lease| lease.attached)
    }

    pub(super) fn lease(&self, container: &ContainerId) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.container == *container)
    }
}
