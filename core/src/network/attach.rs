//! Attaching a container's namespace: nothing of it is up before what it may do is in force, and has been read back.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use nucleus_abi::{Effect, Error, ErrorCode, Ledger, Result};
use nucleus_sys::netlink::{Route, conntrack};

use super::bridge;
use super::document::{Lease, Network};
use super::fault::OrFail;
use super::files;
use super::forwarding;
use super::namespace::inside;
use super::reserve::Reservation;
use super::store::Store;
use super::table::{Filter, device_table};
use super::userspace::Outlet;

/// Attaches a namespace to the network in which a place was taken for it, in `outlet` where that is what leads out.
///
/// # Errors
/// `host-unfit` and `system-call`; what was made is in the ledger.
pub(crate) fn attach(
    reservation: &Reservation,
    namespace: BorrowedFd<'_>,
    outlet: Option<&Outlet>,
    root: &Path,
    ledger: &mut Ledger,
) -> Result<()> {
    match outlet {
        None => attach_here(reservation, namespace, root, ledger),
        Some(outlet) => inside(outlet.as_fd(), || attach_here(reservation, namespace, root, ledger))
            .or_fail("enter the namespace between the host and the container", &reservation.network)?,
    }
}

fn attach_here(
    reservation: &Reservation,
    namespace: BorrowedFd<'_>,
    root: &Path,
    ledger: &mut Ledger,
) -> Result<()> {
    let store = Store::open(root)?;
    let (mut network, lease) = find(&store, reservation)?;
    network.guarded = forwarding::ensure(&network, &store.note(&forwarding::note(&network)))?;
    let mut route = Route::open().or_fail("speak to the kernel about the network", "netlink")?;
    let bridge = bridge::ensure(&mut route, &network)?;
    let mut note = |effect: Effect| ledger.record(&effect).or_fail("write the ledger", &lease.device);
    note(Effect::Link { name: lease.device.clone(), namespace: network.namespace })?;
    let device = bridge::add_device(&mut route, &network, &lease, namespace, bridge)?;
    note(Effect::Rules {
        family: "netdev".to_owned(),
        table: device_table(&lease.device),
        namespace: network.namespace,
    })?;
    let mut filter = Filter::open()?;
    filter.hold(&network, &lease)?;
    for address in &lease.addresses {
        conntrack::forget(*address).or_fail("forget connections of an earlier container", address)?;
    }
    mark_attached(&mut network, &lease);
    store.write(&network)?;
    filter.admit(&network, &lease)?;
    mend(&mut filter, &mut route, &network, &lease)?;
    route.bring_up(device).or_fail("bring the container's network device up", &lease.device)?;
    inside(namespace, || bridge::configure(&network, &lease))
        .and_then(|configured| configured)
        .or_fail("give the container its addresses and routes", &lease.device)?;
    files::tell_all(&network, root);
    Ok(())
}

fn find(store: &Store, reservation: &Reservation) -> Result<(Network, Lease)> {
    let network = store.read(&reservation.network)?;
    let found = network.and_then(|network| {
        let lease = network.lease(&reservation.container)?.clone();
        Some((network, lease))
    });
    found.ok_or_else(|| {
        Error::new(ErrorCode::RecordUnreadable, "find the container's place in the network")
            .on(&reservation.network)
            .because("somebody removed it meanwhile")
    })
}

fn mark_attached(network: &mut Network, lease: &Lease) {
    for known in &mut network.leases {
        known.attached |= known.container == lease.container;
    }
}

/// Rules of devices that somebody removed are put back. This container's own must be there.
fn mend(filter: &mut Filter, route: &mut Route, network: &Network, own: &Lease) -> Result<()> {
    let unheld: Vec<Lease> = filter.unheld(network)?.into_iter().cloned().collect();
    for lease in &unheld {
        // The device of one that has ended is gone with it.
        if route.link(&lease.device).or_fail("mend rules of devices", &lease.device)?.is_some() {
            filter.hold(network, lease)?;
        }
    }
    if unheld.is_empty() || filter.unheld(network)?.iter().all(|lease| lease.container != own.container) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::HostUnfit, "hold the container's device to its addresses")
        .on(device_table(&own.device))
        .because("the rules that the kernel shows are not those that were sent: another program changes them")
        .hint("find what rewrites the packet filter's rules of others, and start the container again"))
}
