//! Which addresses a container gets. Pure.

use std::net::IpAddr;

use nucleus_abi::ContainerId;

use super::document::{Lease, Network};
use super::names;
use crate::plan::AttachedPlan;
use crate::profile::values::{Cidr, MacAddress};

/// So many addresses of a row are tried: as many as a large network of IPv4 has.
const TRIES: u64 = 1 << 16;

/// Why a container gets no place in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Every address of a row is taken.
    Full(Cidr),
    /// Somebody has the address that was asked for.
    Taken(IpAddr, ContainerId),
    /// Somebody has the hardware address that was asked for.
    SameDevice(MacAddress, ContainerId),
    /// The address that was asked for lies in no row of the network.
    Elsewhere(IpAddr),
}

/// Finds a place.
///
/// # Errors
/// Why there is none.
pub(super) fn lease(
    network: &Network,
    plan: &AttachedPlan,
    container: &ContainerId,
    device: String,
    names: Vec<String>,
) -> Result<Lease, Refusal> {
    let asked = plan.address.as_ref().map_or(&[][..], |address| &address.value);
    let stray = asked.iter().find(|address| !network.subnets.iter().any(|row| row.contains(**address)));
    if let Some(stray) = stray {
        return Err(Refusal::Elsewhere(*stray));
    }
    let addresses = network
        .subnets
        .iter()
        .map(|row| match asked.iter().find(|address| row.contains(**address)) {
            Some(asked) => own(network, *asked),
            None => next(network, *row),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mac = match (&plan.mac, addresses.first()) {
        (Some(mac), _) => mac.value,
        (None, Some(first)) => names::mac(*first),
        (None, None) => MacAddress::from([2, 0, 0, 0, 0, 1]),
    };
    if let Some(other) = network.leases.iter().find(|lease| lease.mac == mac) {
        return Err(Refusal::SameDevice(mac, other.container.clone()));
    }
    if network.mac() == mac {
        return Err(Refusal::SameDevice(mac, container.clone()));
    }
    Ok(Lease {
        container: container.clone(),
        addresses,
        mac,
        device,
        names,
        publish: plan.publish.iter().map(|publish| publish.value).collect(),
        egress: plan.egress.as_ref().map(|egress| egress.value.clone()),
        attached: false,
    })
}

fn holder(network: &Network, address: IpAddr) -> Option<&Lease> {
    network.leases.iter().find(|lease| lease.addresses.contains(&address))
}

fn own(network: &Network, address: IpAddr) -> Result<IpAddr, Refusal> {
    match holder(network, address) {
        Some(lease) => Err(Refusal::Taken(address, lease.container.clone())),
        None => Ok(address),
    }
}

/// The first that is free behind the gateway.
fn next(network: &Network, row: Cidr) -> Result<IpAddr, Refusal> {
    (2..TRIES)
        .map_while(|number| row.nth(number))
        .filter(|address| address.is_ipv6() || *address != row.last())
        .find(|address| holder(network, *address).is_none())
        .ok_or(Refusal::Full(row))
}

#[cfg(test)]
pub(super) mod tests {
    use nucleus_abi::Inode;
    use proptest::prelude::*;

    use super::*;
    use crate::network::document::{Guarded, VERSION};
    use crate::plan::{Decided, ResolverPlan};
    use crate::profile::Origin;
    use crate::profile::values::NetworkName;

    pub(in crate::network) fn network(subnets: &[&str]) -> Network {
        Network {
            version: VERSION,
            name: NetworkName::default_network(),
            boot: "boot".into(),
            namespace: Inode { device: 4, inode: 1, born: 0 },
            keeper: None,
            key: "0badf00d00".into(),
            subnets: subnets.iter().map(|row| row.parse().unwrap()).collect(),
            mtu: 1500,
            guarded: Guarded::default(),
            leases: Vec::new(),
        }
    }

    fn decided<T>(value: T) -> Decided<T> {
        Decided::new(value, Origin::BuiltIn("test"))
    }

    pub(in crate::network) fn plan() -> AttachedPlan {
        AttachedPlan {
            way: crate::plan::Way::Bridge,
            name: decided(NetworkName::default_network()),
            subnets: None,
            address: None,
            mac: None,
            mtu: decided(1500),
            resolver: ResolverPlan { servers: None, search: None },
            hosts: std::collections::BTreeMap::new(),
            publish: Vec::new(),
            egress: None,
        }
    }

    pub(in crate::network) fn take(network: &mut Network, plan: &AttachedPlan) -> Result<Lease, Refusal> {
        let number = network.leases.len();
        let id = format!("c{number}").parse().unwrap();
        let lease = lease(network, plan, &id, format!("nv-{number}"), vec![format!("c{number}")])?;
        network.leases.push(lease.clone());
        Ok(lease)
    }

    fn texts(lease: &Lease) -> Vec<String> {
        lease.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_gets_the_next_of_each_kind() {
        let mut network = network(&["10.88.0.0/24", "fd00::/64"]);
        assert_eq!(texts(&take(&mut network, &plan()).unwrap()), ["10.88.0.2", "fd00::2"]);
        assert_eq!(texts(&take(&mut network, &plan()).unwrap()), ["10.88.0.3", "fd00::3"]);
        network.leases.remove(0);
        let again = lease(&network, &plan(), &"x".parse().unwrap(), "d".into(), Vec::new()).unwrap();
        assert_eq!(texts(&again), ["10.88.0.2", "fd00::2"]);
    }

    #[test]
    fn an_address_that_is_asked_for_is_given_once() {
        let mut network = network(&["10.88.0.0/24"]);
        let wanted: IpAddr = "10.88.0.9".parse().unwrap();
        let asking = AttachedPlan { address: Some(decided(vec![wanted])), ..plan() };
        assert_eq!(take(&mut network, &asking).unwrap().addresses, [wanted]);
        assert_eq!(take(&mut network, &asking).unwrap_err(), Refusal::Taken(wanted, "c0".parse().unwrap()));
        let stray: IpAddr = "10.99.0.9".parse().unwrap();
        let asking = AttachedPlan { address: Some(decided(vec![stray])), ..plan() };
        assert_eq!(take(&mut network, &asking).unwrap_err(), Refusal::Elsewhere(stray));
    }

    #[test]
    fn a_full_row_is_told() {
        let mut network = network(&["10.88.0.0/30"]);
        take(&mut network, &plan()).unwrap();
        assert_eq!(take(&mut network, &plan()).unwrap_err(), Refusal::Full("10.88.0.0/30".parse().unwrap()));
    }

    #[test]
    fn no_two_devices_are_called_alike() {
        let mut network = network(&["10.88.0.0/24"]);
        let mac: MacAddress = "02:00:00:00:00:07".parse().unwrap();
        let asking = AttachedPlan { mac: Some(decided(mac)), ..plan() };
        assert_eq!(take(&mut network, &asking).unwrap().mac, mac);
        assert!(matches!(take(&mut network, &asking), Err(Refusal::SameDevice(..))));
        let gateways =
            AttachedPlan { mac: Some(decided(names::mac("10.88.0.1".parse().unwrap()))), ..plan() };
        assert!(matches!(take(&mut network, &gateways), Err(Refusal::SameDevice(..))));
    }

    proptest! {
        #[test]
        fn whoever_comes_and_goes_addresses_are_unique(gone in proptest::collection::vec(any::<prop::sample::Index>(), 0..40)) {
            let mut network = network(&["10.88.0.0/26"]);
            for (number, gone) in gone.iter().enumerate() {
                let id = format!("n{number}").parse().unwrap();
                let lease = lease(&network, &plan(), &id, format!("d{number}"), Vec::new()).unwrap();
                network.leases.push(lease);
                if number % 3 == 0 {
                    let at = gone.index(network.leases.len());
                    network.leases.remove(at);
                }
            }
            let mut all: Vec<_> = network.leases.iter().flat_map(|lease| lease.addresses.clone()).collect();
            let count = all.len();
            all.sort();
            all.dedup();
            prop_assert_eq!(all.len(), count);
            prop_assert!(!all.contains(&"10.88.0.1".parse().unwrap()));
        }
    }
}
