//! The network.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Keyed;
use crate::profile::values::{
    Bounded, Cidr, ContainerName, HostName, IpAddress, MacAddress, NetworkName, Ports, Publish,
};

/// The network that the workload sees.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Which network. Default: none.
    pub mode: NetworkMode,
    /// The operator's consent to `mode: host`, which gives up the isolation of the network. Default: false.
    pub allow_host: bool,
    /// Whether an engine may bring a network namespace that it prepared. Default: keep.
    pub engine_network: EngineNetwork,
    /// The network that `mode: bridge` joins; those on the same one reach each other. Default: default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<NetworkName>,
    /// The network's addresses: at most one row of IPv4 and one of IPv6. Default: a row of IPv4 that the host has no route to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<Cidr>,
    /// The container's own addresses, at most one of each kind. Default: the next that are free.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<IpAddress>,
    /// The hardware address of the container's device. Default: made of its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// The largest packet in bytes. Default: 1500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// The container whose network `mode: container` joins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<ContainerName>,
    /// The program of `mode: userspace`. Default: pasta where it is installed, else slirp4netns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<NetworkProgram>,
    /// Name servers. Default: the host's, as far as the container can reach them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Vec<IpAddress>>,
    /// Domains in which short names are looked up. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<HostName>,
    /// Names that the container finds without a name server. Default: those on the same network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Keyed<HostName, IpAddress>")]
    pub hosts: BTreeMap<HostName, IpAddress>,
    /// Ports of the host that lead into the container. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publish>,
    /// Where the workload may connect to. Default: everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
}

/// The largest packet: IPv6 asks for 1280 (RFC 8200, section 5), and a packet's length has 16 bits.
pub(super) type Mtu = Bounded<1280, 65535>;

/// What becomes of a network namespace that an engine prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum EngineNetwork {
    /// The container gets it.
    Keep,
    /// The container is refused: it may have a new one only.
    Refuse,
}

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum NetworkMode {
    /// A network namespace with nothing but `lo`.
    None,
    /// The host's own network; needs `allowHost: true`.
    Host,
    /// A device on a bridge of the host, which leads on by address translation.
    Bridge,
    /// A program of the host passes on what the workload sends: pasta, or else slirp4netns.
    Userspace,
    /// The network of another container.
    Container,
}

/// A program that passes packets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum NetworkProgram {
    /// passt(1).
    Pasta,
    /// slirp4netns(1).
    Slirp4netns,
}

/// Where the workload may connect to. What answers a connection from outside may always leave.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Egress {
    /// What becomes of what no rule speaks of.
    pub default: Verdict,
    /// Where it may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<EgressRule>,
    /// Where it may not, whatever `allow` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<EgressRule>,
}

/// Whether a connection may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It is refused, and its sender is told.
    Deny,
}

/// Connections to some addresses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressRule {
    /// The addresses.
    pub cidr: Cidr,
    /// Ports and protocols. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Ports>,
}
