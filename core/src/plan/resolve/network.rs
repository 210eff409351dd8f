//! The network.

use std::net::IpAddr;

use super::Resolver;
use crate::plan::decided::Decided;
use crate::plan::network::{
    AttachedPlan, Egress, EgressPlan, EgressRule, NetworkPlan, ResolverPlan, UserspaceKind, Way,
};
use crate::profile::values::{Cidr, NetworkName, Protocol};
use crate::profile::{self, Network, NetworkMode, NetworkProgram};

/// The largest packet of Ethernet.
const MTU: u32 = 1500;

impl Resolver<'_> {
    pub(super) fn network(&mut self) -> Decided<NetworkPlan> {
        let network = match self.profile.network.mode {
            NetworkMode::None => NetworkPlan::None,
            NetworkMode::Host => {
                self.host_network();
                NetworkPlan::Host
            }
            NetworkMode::Bridge => NetworkPlan::Attached(Box::new(self.attached(Way::Bridge))),
            NetworkMode::Userspace => self.userspace(),
            NetworkMode::Container => self.of_container(),
        };
        self.decided("/network/mode", network)
    }

    fn host_network(&mut self) {
        if !self.profile.network.allow_host {
            self.mistake(
                "/network/mode",
                "the host's network is given only where the profile allows it",
                "add `allowHost: true` to `network`, or choose another mode",
            );
        }
        if self.profile.network.egress.is_some() {
            self.mistake(
                "/network/egress",
                "what leaves the host's network cannot be told from what the host itself sends",
                "use `mode: bridge`, or remove the policy",
            );
        }
    }

    fn userspace(&mut self) -> NetworkPlan {
        let Some(program) = self.facts.userspace.clone() else {
            self.mistake(
                "/network/mode",
                match self.profile.network.program {
                    Some(NetworkProgram::Pasta) => "pasta is not installed",
                    Some(NetworkProgram::Slirp4netns) => "slirp4netns is not installed",
                    None => "neither pasta nor slirp4netns is installed",
                },
                "install one of them (packages passt, slirp4netns), or use `mode: bridge`",
            );
            return NetworkPlan::None;
        };
        let network = &self.profile.network;
        for (index, publish) in network.publish.iter().enumerate() {
            let v6 = publish.address.is_some_and(|address| address.is_ipv6());
            let cause = match (publish.protocol, program.kind) {
                (Protocol::Sctp | Protocol::Icmp, _) => "nothing but TCP and UDP is passed on",
                (_, UserspaceKind::Slirp4netns) if v6 => "slirp4netns passes ports of IPv4 alone",
                _ => continue,
            };
            let hint = format!(
                "{} passes packets on; `mode: bridge` leads in what it cannot",
                program.path.display()
            );
            self.mistake(&format!("/network/publish/{index}"), cause, hint);
        }
        if network.name.is_some() {
            self.mistake(
                "/network/name",
                "a network of a program is the container's alone",
                "remove it, or use `mode: bridge`",
            );
        }
        NetworkPlan::Attached(Box::new(self.attached(Way::Userspace(program))))
    }

    fn of_container(&mut self) -> NetworkPlan {
        let network = &self.profile.network;
        for (field, given) in [
            ("egress", network.egress.is_some()),
            ("publish", given(&network.publish)),
            ("address", given(&network.address)),
            ("mac", network.mac.is_some()),
        ] {
            if given {
                self.mistake(
                    &format!("/network/{field}"),
                    "the network is another container's, and so is what may leave and enter",
                    "say it in that container's profile",
                );
            }
        }
        self.refuse_joined();
        if let Some(id) = &network.id {
            return NetworkPlan::Container(id.id().clone());
        }
        self.mistake(
            "/network/mode",
            "nobody says whose network it is",
            "add `id`, a container of this state directory",
        );
        NetworkPlan::None
    }

    fn refuse_joined(&mut self) {
        if self.profile.namespaces.network.is_some() {
            self.mistake(
                "/namespaces/network/path",
                "a network namespace that is joined has its network already",
                format!("`network.mode` is at {}; keep one of them", self.loaded.origins.of("/network/mode")),
            );
        }
    }

    fn attached(&mut self, way: Way) -> AttachedPlan {
        let network = &self.profile.network;
        self.refuse_joined();
        self.subnets(network);
        self.addresses(network);
        self.published(network);
        let list = |list: &[profile::values::IpAddress]| list.iter().map(|address| address.get()).collect();
        let name = network.name.clone().unwrap_or_else(NetworkName::default_network);
        let mtu = network.mtu.map_or(MTU, |mtu| u32::try_from(mtu.get()).unwrap_or(MTU));
        let addresses: Vec<IpAddr> = list(&network.address);
        let search = || network.dns_search.iter().map(ToString::to_string).collect();
        AttachedPlan {
            way,
            name: self.decided("/network/name", name),
            subnets: given(&network.subnets)
                .then(|| self.decided("/network/subnets", network.subnets.clone())),
            address: given(&addresses).then(|| self.decided("/network/address", addresses)),
            mac: network.mac.map(|mac| self.decided("/network/mac", mac)),
            mtu: self.decided("/network/mtu", mtu),
            resolver: ResolverPlan {
                servers: network.dns.as_ref().map(|dns| self.decided("/network/dns", list(dns))),
                search: given(&network.dns_search).then(|| self.decided("/network/dnsSearch", search())),
            },
            hosts: network
                .hosts
                .iter()
                .map(|(name, address)| {
                    let pointer = format!("/network/hosts/{name}");
                    (name.to_string(), self.decided(&pointer, address.get()))
                })
                .collect(),
            publish: network
                .publish
                .iter()
                .enumerate()
                .map(|(index, publish)| self.decided(&format!("/network/publish/{index}"), *publish))
                .collect(),
            egress: network.egress.as_ref().map(|egress| self.decided("/network/egress", policy(egress))),
        }
    }

    /// A network has one row of each kind, with room for a gateway and somebody else.
    fn subnets(&mut self, network: &Network) {
        for (index, subnet) in network.subnets.iter().enumerate() {
            let pointer = format!("/network/subnets/{index}");
            let is_v4 = subnet.first().is_ipv4();
            if network.subnets[..index].iter().any(|earlier| earlier.first().is_ipv4() == is_v4) {
                self.mistake(
                    &pointer,
                    "a network has one row of IPv4 and one of IPv6 at most",
                    "use two networks",
                );
            }
            let longest = if is_v4 { 30 } else { 126 };
            if subnet.prefix() > longest || subnet.prefix() < 8 {
                self.mistake(
                    &pointer,
                    format!("{subnet} is no network: its prefix lies between 8 and {longest}"),
                    "such as 10.88.0.0/24 or fd00:88::/64",
                );
            }
            if is_special(subnet.first()) || is_special(subnet.last()) {
                self.mistake(
                    &pointer,
                    format!("{subnet} holds addresses that belong to no container: loopback, link-local or multicast"),
                    "such as 10.88.0.0/24 or fd00:88::/64",
                );
            }
        }
    }

    fn addresses(&mut self, network: &Network) {
        for (index, address) in network.address.iter().enumerate() {
            let address = address.get();
            let pointer = format!("/network/address/{index}");
            let earlier = &network.address[..index];
            if earlier.iter().any(|earlier| earlier.get().is_ipv4() == address.is_ipv4()) {
                self.mistake(&pointer, "a container has one address of each kind", "remove one of them");
            }
            let Some(subnet) =
                network.subnets.iter().find(|subnet| subnet.first().is_ipv4() == address.is_ipv4())
            else {
                self.mistake(
                    &pointer,
                    "the profile does not say in which row it lies",
                    "add the network's row to `network.subnets`",
                );
                continue;
            };
            if let Some(cause) = unfit(address, *subnet) {
                self.mistake(&pointer, cause, format!("choose another address of {subnet}"));
            }
        }
    }

    /// One port of the host leads to one place.
    fn published(&mut self, network: &Network) {
        for (index, publish) in network.publish.iter().enumerate() {
            let pointer = format!("/network/publish/{index}");
            let clash = network.publish[..index].iter().find(|earlier| {
                earlier.protocol == publish.protocol
                    && earlier.host.first <= publish.host.last
                    && publish.host.first <= earlier.host.last
                    && (earlier.address.is_none()
                        || publish.address.is_none()
                        || earlier.address == publish.address)
            });
            if let Some(clash) = clash {
                self.mistake(
                    &pointer,
                    format!("`{clash}` publishes the same port of the host"),
                    "publish it once",
                );
            }
            if publish.address.is_some_and(|address| address.is_ipv6() && address.is_loopback()) {
                self.mistake(
                    &pointer,
                    "the kernel leads nothing from the loopback address of IPv6 to another device (it has `route_localnet` for IPv4 alone)",
                    "publish it at 127.0.0.1, or at another address of the host",
                );
            }
            let has_v6 = network.subnets.iter().any(|subnet| subnet.first().is_ipv6());
            let has_v4 = network.subnets.is_empty() || network.subnets.iter().any(|it| it.first().is_ipv4());
            let reachable = publish.address.is_none_or(|it| if it.is_ipv4() { has_v4 } else { has_v6 });
            if !reachable {
                self.mistake(
                    &pointer,
                    "the network has no addresses of this kind to lead to",
                    "add a row of this kind to `network.subnets`",
                );
            }
        }
    }
}

fn given<T>(list: &[T]) -> bool {
    !list.is_empty()
}

fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.octets()[0] == 0
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unicast_link_local() || address.is_multicast()
        }
    }
}

/// Why no container can have an address of a network.
fn unfit(address: IpAddr, subnet: Cidr) -> Option<String> {
    if !subnet.contains(address) {
        return Some(format!("{address} does not lie in {subnet}"));
    }
    if Some(address) == subnet.nth(1) {
        return Some(format!("{address} is the gateway of {subnet}"));
    }
    let ends = address == subnet.first() || (address.is_ipv4() && address == subnet.last());
    ends.then(|| format!("{address} means all of {subnet}, and no one of it"))
}

/// What is denied comes first: it holds whatever is allowed.
fn policy(egress: &profile::Egress) -> EgressPlan {
    let verdict = |verdict| match verdict {
        profile::Verdict::Allow => Egress::Allowed,
        profile::Verdict::Deny => Egress::Denied,
    };
    let rules = |list: &[profile::EgressRule], verdict: Egress| -> Vec<EgressRule> {
        let each = |rule: &profile::EgressRule| -> Vec<EgressRule> {
            let to = rule.cidr;
            if rule.ports.is_empty() {
                return vec![EgressRule { verdict, to, ports: None }];
            }
            rule.ports.iter().map(|ports| EgressRule { verdict, to, ports: Some(*ports) }).collect()
        };
        list.iter().flat_map(each).collect()
    };
    EgressPlan {
        otherwise: verdict(egress.default),
        rules: [rules(&egress.deny, Egress::Denied), rules(&egress.allow, Egress::Allowed)].concat(),
    }
}
