//! The way back, after an end or a crash: each part by itself, whatever became of the others.

use std::path::Path;

use nucleus_abi::{ContainerId, Error, ErrorCode, Inode, Process, Result};
use nucleus_sys::netlink::Route;
use nucleus_sys::netlink::nftables::Family;

use super::document::{Lease, Network};
use super::fault::OrFail;
use super::forwarding;
use super::names::BRIDGE;
use super::namespace::inside_of;
use super::store::Store;
use super::table::{Filter, device_table};
use super::{bridge, files};
use crate::profile::values::NetworkName;

/// Removes a container's device.
///
/// # Errors
/// `system-call`.
pub(crate) fn remove_link(name: &str, namespace: Inode) -> Result<()> {
    within((namespace, None), name, || {
        let mut route = Route::open().or_fail("remove the container's network device", name)?;
        bridge::remove(&mut route, name).or_fail("remove the container's network device", name)
    })
}

/// Removes a table of rules.
///
/// # Errors
/// `system-call`; `teardown` for a family that this release does not know.
pub(crate) fn remove_rules(family: &str, table: &str, namespace: Inode) -> Result<()> {
    let known = [Family::Inet, Family::Device].into_iter().find(|known| known.name() == family);
    let family = known.ok_or_else(|| {
        Error::new(ErrorCode::Teardown, "remove rules")
            .on(format!("table {family} {table}"))
            .because("this release knows no such family")
    })?;
    within((namespace, None), table, || Filter::open()?.remove(family, table))
}

/// Takes a container off its network, which ends with the last one on it.
///
/// # Errors
/// `system-call`, `record-unreadable`.
pub(crate) fn leave(root: &Path, name: &str, container: &ContainerId) -> Result<()> {
    let Some(store) = Store::existing(root)? else { return Ok(()) };
    let left =
        name.parse::<NetworkName>().ok().map_or(Ok(()), |name| leave_one(&store, root, &name, container));
    store.tidy();
    left
}

/// Gives back places whose containers are gone without having left, and ends what another boot knew. Goes on after an
/// error and returns all of them.
pub(crate) fn collect(root: &Path, boot: &str) -> Vec<Error> {
    let store = match Store::existing(root) {
        Ok(Some(store)) => store,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![error],
    };
    let networks = match store.all() {
        Ok(networks) => networks,
        Err(error) => return vec![error],
    };
    let gone = |lease: &&Lease| !root.join(lease.container.as_str()).exists();
    let mut failures = Vec::new();
    for network in networks {
        if network.boot != boot {
            failures.extend(store.remove(&network.name).err());
            continue;
        }
        for lease in network.leases.iter().filter(gone) {
            let left = remove_link(&lease.device, network.namespace)
                .and_then(|()| remove_rules("netdev", &device_table(&lease.device), network.namespace))
                .and_then(|()| leave_one(&store, root, &network.name, &lease.container));
            failures.extend(left.err());
        }
    }
    store.tidy();
    failures
}

fn leave_one(store: &Store, root: &Path, name: &NetworkName, container: &ContainerId) -> Result<()> {
    let Some(mut network) = store.read(name)? else { return Ok(()) };
    let lease = network.leases.iter().position(|lease| lease.container == *container);
    let lease = lease.map(|index| network.leases.remove(index));
    if network.leases.is_empty() {
        within(network.place(), network.name.as_str(), || end(store, &network))?;
        // Where the namespace is gone, so is what was changed in it.
        let _ = network.keeper.map(|_| std::fs::remove_file(store.note(&forwarding::note(&network))));
        return store.remove(name);
    }
    let Some(lease) = lease else { return Ok(()) };
    if lease.attached {
        within(network.place(), network.name.as_str(), || {
            Filter::open()?.dismiss(&network, &lease)?;
            let forgotten = Route::open().and_then(|mut route| bridge::forget(&mut route, &network, &lease));
            forgotten.or_fail("forget the container's address", &lease.device)
        })?;
    }
    store.write(&network)?;
    files::tell_all(&network, root);
    Ok(())
}

/// Nobody is on it any more.
fn end(store: &Store, network: &Network) -> Result<()> {
    Filter::open()?.remove(Family::Inet, &network.table())?;
    let mut route = Route::open().or_fail("remove the network's bridge", network.bridge())?;
    bridge::remove(&mut route, &network.bridge()).or_fail("remove the network's bridge", network.bridge())?;
    let here = |other: &&Network| other.namespace == network.namespace;
    let alone = store.all()?.iter().filter(here).all(|other| other.name == network.name);
    if !alone {
        return Ok(());
    }
    let links = route.links().or_fail("look for other networks", "netlink")?;
    let others_remain = links.iter().any(|link| link.name.starts_with(BRIDGE));
    forwarding::restore(&store.note(&forwarding::note(network)), others_remain)
}

/// In the namespace in which it was made; nothing of it is left where that is gone.
fn within(
    (namespace, keeper): (Inode, Option<Process>),
    subject: &str,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    inside_of(namespace, keeper, work)
        .or_fail("enter the network namespace in which it was made", subject)
        .and_then(|done| done.unwrap_or(Ok(())))
}
