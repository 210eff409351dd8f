//! The rules in the kernel: put there, read back, compared, and put there anew where somebody changed them.

use std::collections::BTreeMap;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::netlink::nftables::{
    Base, Batch, Element, Family, Hook, NfTables, Purpose, Rule as Shown, Verdict,
};

use super::account::Counted;
use super::document::{Lease, Network};
use super::fault::OrFail;
use super::rules::{self, DEVICE_CHAIN, MAPS, Rule};

const STEP: &str = "put the network's rules in force";

/// Everything that a network's table holds.
struct Wanted {
    bases: Vec<(&'static str, Base<'static>, Vec<Rule>)>,
    chains: Vec<(String, Vec<Rule>)>,
    entries: BTreeMap<&'static str, Vec<Element>>,
}

impl Wanted {
    fn of(network: &Network) -> Self {
        let mut wanted =
            Self { bases: rules::base_chains(network), chains: Vec::new(), entries: BTreeMap::new() };
        for lease in network.attached() {
            let (chain, entries) = rules::judged(lease);
            if !chain.is_empty() {
                wanted.chains.push((rules::egress_chain(lease), chain));
            }
            for (map, element) in entries.into_iter().chain(rules::published(lease)) {
                wanted.entries.entry(map).or_default().push(element);
            }
        }
        wanted
    }

    fn rules(&self) -> BTreeMap<&str, &[Rule]> {
        let bases = self.bases.iter().map(|(name, _, rules)| (*name, rules.as_slice()));
        bases.chain(self.chains.iter().map(|(name, rules)| (name.as_str(), rules.as_slice()))).collect()
    }
}

/// The packet filter of the host.
pub(super) struct Filter {
    tables: NfTables,
}

impl Filter {
    pub(super) fn open() -> Result<Self> {
        Ok(Self { tables: NfTables::open().or_fail("speak to the packet filter", "nf_tables")? })
    }

    /// Adds what a new container needs. The rest is there already; where it is not, all of it is made anew.
    ///
    /// # Errors
    /// `host-unfit` where the rules that the kernel shows are not those that were sent.
    pub(super) fn admit(&mut self, network: &Network, lease: &Lease) -> Result<()> {
        let added = self.add(network, lease).is_ok() && self.holds(network)?;
        if added {
            return Ok(());
        }
        self.rebuild(network)?;
        if self.holds(network)? { Ok(()) } else { Err(changed(network)) }
    }

    fn add(&mut self, network: &Network, lease: &Lease) -> std::io::Result<()> {
        let name = network.table();
        let mut batch = Batch::new(Family::Inet, &name);
        let (chain, entries) = rules::judged(lease);
        if !chain.is_empty() {
            add_chain(&mut batch, &rules::egress_chain(lease), &chain);
        }
        for (map, element) in entries.into_iter().chain(rules::published(lease)) {
            batch.elements(map, &[element]);
        }
        self.tables.commit(&batch)
    }

    /// Removes what a container needed, who is not on the network any more. What is gone already is no error.
    pub(super) fn dismiss(&mut self, network: &Network, lease: &Lease) -> Result<()> {
        let name = network.table();
        let mut batch = Batch::new(Family::Inet, &name);
        let (chain, entries) = rules::judged(lease);
        for (map, element) in entries.into_iter().chain(rules::published(lease)) {
            batch.delete_elements(map, &[element]);
        }
        if !chain.is_empty() {
            batch.empty_chain(&rules::egress_chain(lease));
            batch.delete_chain(&rules::egress_chain(lease));
        }
        match self.tables.commit(&batch) {
            // All or part of it is gone: nothing has been removed by us then.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => return removed.or_fail("remove the container's rules", &name),
        }
        let left = self.tables.has_table(Family::Inet, &name).or_fail("read the network's rules", &name)?;
        if left { self.rebuild(network) } else { Ok(()) }
    }

    /// Makes the whole table anew, at once.
    fn rebuild(&mut self, network: &Network) -> Result<()> {
        let (name, wanted) = (network.table(), Wanted::of(network));
        let mut batch = Batch::new(Family::Inet, &name);
        // Removing one that may not be there is no error this way.
        batch.table();
        batch.delete_table();
        batch.table();
        for map in MAPS {
            batch.map(map);
        }
        for (chain, rules) in &wanted.chains {
            add_chain(&mut batch, chain, rules);
        }
        for (map, elements) in &wanted.entries {
            batch.elements(map, elements);
        }
        for (chain, base, rules) in &wanted.bases {
            batch.chain(chain, Some(*base));
            add_rules(&mut batch, chain, rules);
        }
        self.tables.commit(&batch).or_fail(STEP, &name)
    }

    /// Whether the kernel shows exactly what should be there.
    fn holds(&mut self, network: &Network) -> Result<bool> {
        let (name, wanted) = (network.table(), Wanted::of(network));
        let shown =
            self.tables.rules(Family::Inet, Some(&name)).or_fail("read the network's rules", &name)?;
        if !is_same(&shown, &wanted.rules()) {
            return Ok(false);
        }
        for map in MAPS {
            let Ok(mut shown) = self.tables.elements(Family::Inet, &name, map.name) else { return Ok(false) };
            let mut wanted = wanted.entries.get(map.name).cloned().unwrap_or_default();
            shown.sort();
            wanted.sort();
            if shown != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes a network's table.
    pub(super) fn remove(&mut self, family: Family, table: &str) -> Result<()> {
        let mut batch = Batch::new(family, table);
        batch.delete_table();
        gone(self.tables.commit(&batch)).or_fail("remove rules", table)
    }

    /// Holds a device to its lease, and reads back that it is.
    pub(super) fn hold(&mut self, network: &Network, lease: &Lease) -> Result<()> {
        let (table, rules) = (device_table(&lease.device), rules::device(network, lease));
        let mut batch = Batch::new(Family::Device, &table);
        batch.table();
        batch.delete_table();
        batch.table();
        let base = Base {
            purpose: Purpose::Filter,
            hook: Hook::Ingress(&lease.device),
            priority: 0,
            otherwise: &Verdict::Drop,
        };
        batch.chain(DEVICE_CHAIN, Some(base));
        add_rules(&mut batch, DEVICE_CHAIN, &rules);
        self.tables.commit(&batch).or_fail("hold the container's device to its addresses", &table)
    }

    /// What was refused to a container, and what its device sent untruly.
    pub(super) fn counts(&mut self, network: &Network, lease: &Lease) -> Result<(Counted, Counted)> {
        let step = "read what was counted";
        let (table, device) = (network.table(), device_table(&lease.device));
        let own = rules::egress_chain(lease);
        let refused = self.tables.rules(Family::Inet, Some(&table)).or_fail(step, &table)?;
        let untrue = self.tables.rules(Family::Device, Some(&device)).or_fail(step, &device)?;
        Ok((sum(refused.iter().filter(|rule| rule.chain == own)), sum(untrue.iter())))
    }

    /// The devices of a network that are not held to their leases.
    pub(super) fn unheld<'n>(&mut self, network: &'n Network) -> Result<Vec<&'n Lease>> {
        let mut shown: BTreeMap<String, Vec<Shown>> = BTreeMap::new();
        for rule in self.tables.rules(Family::Device, None).or_fail("read the rules of devices", "netdev")? {
            shown.entry(rule.table.clone()).or_default().push(rule);
        }
        let held = |lease: &Lease| {
            let rules = rules::device(network, lease);
            let shown = shown.get(&device_table(&lease.device)).map_or(&[][..], Vec::as_slice);
            is_same(shown, &BTreeMap::from([(DEVICE_CHAIN, rules.as_slice())]))
        };
        Ok(network.attached().filter(|lease| !held(lease)).collect())
    }
}

fn sum<'r>(rules: impl Iterator<Item = &'r Shown>) -> Counted {
    rules.filter_map(Shown::count).fold(Counted::default(), |sum, count| Counted {
        packets: sum.packets + count.packets,
        bytes: sum.bytes + count.bytes,
    })
}

/// The name of a device's own table.
pub(super) fn device_table(device: &str) -> String {
    format!("nucleus-{device}")
}

fn add_chain(batch: &mut Batch<'_>, name: &str, rules: &[Rule]) {
    batch.chain(name, None);
    add_rules(batch, name, rules);
}

fn add_rules(batch: &mut Batch<'_>, chain: &str, rules: &[Rule]) {
    for rule in rules {
        batch.rule(chain, rule);
    }
}

/// Chain by chain, in order.
fn is_same(shown: &[Shown], wanted: &BTreeMap<&str, &[Rule]>) -> bool {
    let mut by_chain: BTreeMap<&str, Vec<&Shown>> = BTreeMap::new();
    for rule in shown {
        by_chain.entry(&rule.chain).or_default().push(rule);
    }
    let known = by_chain.keys().all(|chain| wanted.contains_key(chain));
    known
        && wanted.iter().all(|(chain, rules)| {
            let shown = by_chain.get(chain).map_or(&[][..], Vec::as_slice);
            shown.len() == rules.len() && shown.iter().zip(*rules).all(|(shown, rule)| shown.is(rule))
        })
}

fn gone(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn changed(network: &Network) -> Error {
    Error::new(ErrorCode::HostUnfit, STEP)
        .on(format!("table inet {}", network.table()))
        .because("the rules that the kernel shows are not those that were sent: another program changes them")
        .hint("find what rewrites the packet filter's rules of others, and start the container again")
}

#[cfg(test)]
mod tests {
    use nucleus_sys::namespace::{NamespaceSet, unshare};
    use nucleus_sys::netlink::{Bridge, Route};

    use super::*;
    use crate::network::lease::tests::{network, plan, take};

    /// A thread's network namespace is its own.
    fn in_namespace(test: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(|| {
            unshare(NamespaceSet::NETWORK).unwrap();
            test();
        });
        thread.join().unwrap();
    }

    fn lease_with_device() -> (Network, Lease) {
        let mut network = network(&["10.88.0.0/24", "fd00::/64"]);
        let mut lease = take(&mut network, &plan()).unwrap();
        lease.attached = true;
        network.leases = vec![lease.clone()];
        // Any device will do.
        Route::open().unwrap().add_bridge(Bridge { name: &lease.device, mac: [2; 6], mtu: 1500 }).unwrap();
        (network, lease)
    }

    #[test]
    fn a_device_is_held_to_its_lease_until_somebody_changes_that() {
        in_namespace(|| {
            let (network, lease) = lease_with_device();
            let mut filter = Filter::open().unwrap();
            assert_eq!(filter.unheld(&network).unwrap(), [&lease]);
            filter.hold(&network, &lease).unwrap();
            assert_eq!(filter.unheld(&network).unwrap(), Vec::<&Lease>::new());
            let table = device_table(&lease.device);
            let mut batch = Batch::new(Family::Device, &table);
            batch.rule(DEVICE_CHAIN, &[nucleus_sys::netlink::nftables::Expression::Verdict(Verdict::Accept)]);
            filter.tables.commit(&batch).unwrap();
            assert_eq!(filter.unheld(&network).unwrap(), [&lease]);
            filter.hold(&network, &lease).unwrap();
            assert_eq!(filter.unheld(&network).unwrap(), Vec::<&Lease>::new());
            filter.remove(Family::Device, &table).unwrap();
            filter.remove(Family::Device, &table).unwrap();
            assert_eq!(filter.unheld(&network).unwrap(), [&lease]);
        });
    }
}
