//! The network of a plan.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use nucleus_abi::ContainerId;
use serde::{Deserialize, Serialize};

use super::decided::Decided;
use crate::profile::values::{Cidr, MacAddress, NetworkName, Ports, Publish};

/// The network.
#[derive(Debug, Clone, PartialEq)]
pub enum NetworkPlan {
    /// A namespace with a loopback interface and nothing else.
    None,
    /// The host's.
    Host,
    /// A namespace of the container's own, which the core attaches to a network.
    Attached(Box<AttachedPlan>),
    /// That of another container.
    Container(ContainerId),
}

impl NetworkPlan {
    /// Whether the container has a network namespace that is not the host's.
    pub fn is_own(&self) -> bool {
        *self != Self::Host
    }

    /// Whether its parameters are the container's own to set.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::None | Self::Attached(_))
    }

    /// What the core attaches; `None` where it has nothing to do.
    pub fn attached(&self) -> Option<&AttachedPlan> {
        match self {
            Self::Attached(attached) => Some(attached),
            Self::None | Self::Host | Self::Container(_) => None,
        }
    }
}

/// A network that the core attaches.
#[derive(Debug, Clone, PartialEq)]
pub struct AttachedPlan {
    /// What leads out of it.
    pub way: Way,
    /// The network that is joined.
    pub name: Decided<NetworkName>,
    /// Its addresses, where the profile says them: the network must have these, or gets them.
    pub subnets: Option<Decided<Vec<Cidr>>>,
    /// The container's own addresses; of a kind that is missing it gets the next that is free.
    pub address: Option<Decided<Vec<IpAddr>>>,
    /// The hardware address of its device.
    pub mac: Option<Decided<MacAddress>>,
    /// The largest packet in bytes.
    pub mtu: Decided<u32>,
    /// Who is asked for names.
    pub resolver: ResolverPlan,
    /// Names that are found without asking.
    pub hosts: BTreeMap<String, Decided<IpAddr>>,
    /// Ports of the host that lead into the container.
    pub publish: Vec<Decided<Publish>>,
    /// Where the workload may connect to; `None`: everywhere.
    pub egress: Option<Decided<EgressPlan>>,
}

/// What leads out of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The host, which routes and translates addresses.
    Bridge,
    /// A program of the host, in a network of the container's alone.
    Userspace(UserspacePlan),
}

/// A program that passes on what comes out of a network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserspacePlan {
    /// Which.
    pub kind: UserspaceKind,
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself.
    pub version: String,
}

/// The programs that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserspaceKind {
    /// passt(1).
    Pasta,
    /// slirp4netns(1).
    Slirp4netns,
}

/// Who is asked for names.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolverPlan {
    /// The name servers; `None`: the host's.
    pub servers: Option<Decided<Vec<IpAddr>>>,
    /// Domains in which short names are looked up; `None`: those of the host, if its servers are asked.
    pub search: Option<Decided<Vec<String>>>,
}

/// Where the workload may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressPlan {
    /// What becomes of what no rule speaks of.
    pub otherwise: Egress,
    /// In this order; the first that speaks of a connection counts.
    pub rules: Vec<EgressRule>,
}

impl EgressPlan {
    /// Whether it forbids anything.
    pub fn restricts(&self) -> bool {
        self.otherwise == Egress::Denied || self.rules.iter().any(|rule| rule.verdict == Egress::Denied)
    }
}

/// Whether a connection may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Egress {
    /// It may.
    Allowed,
    /// It is refused, and its sender is told.
    Denied,
}

impl Egress {
    /// As `explain` shows it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allow",
            Self::Denied => "deny",
        }
    }
}

/// What is said of connections to some addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressRule {
    /// What is said.
    pub verdict: Egress,
    /// The addresses.
    pub to: Cidr,
    /// The ports and protocols; `None`: all.
    pub ports: Option<Ports>,
}
