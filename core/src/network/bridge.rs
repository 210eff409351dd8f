//! A network's bridge, and the devices on it.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use nucleus_abi::Result;
use nucleus_sys::netlink::{Address, Attachment, Bridge, Destination, Hop, Port, Route, Veth};
use nucleus_sys::procfs::{ProcBase, ProcFs};

use super::document::{Lease, Network};
use super::fault::OrFail;

/// What the workload calls its device.
const DEVICE: &str = "eth0";

/// Finds the bridge, or makes it and puts those on it who should be there. Returns its number.
pub(super) fn ensure(route: &mut Route, network: &Network) -> Result<i32> {
    let name = network.bridge();
    let step = "make the network's bridge";
    if let Some(bridge) = route.link(&name).or_fail(step, &name)? {
        return Ok(bridge.index);
    }
    let mac = network.mac().bytes();
    route.add_bridge(Bridge { name: &name, mac, mtu: network.mtu }).or_fail(step, &name)?;
    let made = route.link(&name).and_then(|link| link.ok_or_else(|| io::ErrorKind::NotFound.into()));
    let index = made.or_fail(step, &name)?.index;
    let proc = ProcFs::open().or_fail(step, "/proc")?;
    if network.gateways().any(|(gateway, _)| gateway.is_ipv4()) {
        // Ports that are published on loopback addresses; containers are kept from those by a rule.
        set(&proc, &format!("ipv4/conf/{name}/route_localnet"), "1").or_fail(step, &name)?;
        // Neighbours reach each other through us, and shall not be told otherwise.
        set(&proc, &format!("ipv4/conf/{name}/send_redirects"), "0").or_fail(step, &name)?;
    }
    if network.gateways().all(|(gateway, _)| gateway.is_ipv4()) {
        no_ipv6(&proc, &name).or_fail(step, &name)?;
    }
    for (gateway, row) in network.gateways() {
        route.add_address(index, &Address::new(gateway, row.prefix())).or_fail(step, gateway)?;
    }
    route.bring_up(index).or_fail(step, &name)?;
    // Somebody removed it under those who were on it.
    for lease in network.attached() {
        if let Some(device) = route.link(&lease.device).or_fail(step, &lease.device)? {
            put(route, (device.index, index), lease).or_fail(step, &lease.device)?;
        }
    }
    Ok(index)
}

/// Makes a container's device: its host's end stands in the bridge, and nothing is up yet.
pub(super) fn add_device(
    route: &mut Route,
    network: &Network,
    lease: &Lease,
    namespace: BorrowedFd<'_>,
    bridge: i32,
) -> Result<i32> {
    let step = "make the container's network device";
    let inner = Attachment { name: DEVICE, mac: lease.mac.bytes(), namespace };
    route.add_veth(Veth { outer: &lease.device, mtu: network.mtu, inner }).or_fail(step, &lease.device)?;
    let made = route.link(&lease.device).and_then(|link| link.ok_or_else(|| io::ErrorKind::NotFound.into()));
    let index = made.or_fail(step, &lease.device)?.index;
    // It carries frames, and has no business of its own.
    ProcFs::open().and_then(|proc| no_ipv6(&proc, &lease.device)).or_fail(step, &lease.device)?;
    put(route, (index, bridge), lease).or_fail(step, &lease.device)?;
    Ok(index)
}

/// The bridge and the host know from the lease who is there: nobody can tell them otherwise, and nobody is asked.
fn put(route: &mut Route, (device, bridge): (i32, i32), lease: &Lease) -> io::Result<()> {
    route.put_into(device, bridge)?;
    route.set_port(device, Port::Told)?;
    route.add_port_address(device, lease.mac.bytes())?;
    lease.addresses.iter().try_for_each(|address| route.add_neighbour(bridge, *address, lease.mac.bytes()))
}

/// The host forgets who was there.
pub(super) fn forget(route: &mut Route, network: &Network, lease: &Lease) -> io::Result<()> {
    let Some(bridge) = route.link(&network.bridge())? else { return Ok(()) };
    lease.addresses.iter().try_for_each(|address| match route.delete_neighbour(bridge.index, *address) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        forgotten => forgotten,
    })
}

/// The container's side, from inside its namespace: its addresses, and the gateway for everything else, neighbours too.
pub(super) fn configure(network: &Network, lease: &Lease) -> io::Result<()> {
    let proc = ProcFs::open()?;
    let mut route = Route::open()?;
    let device = route.link(DEVICE)?.ok_or(io::ErrorKind::NotFound)?.index;
    // All of its ports are the container's own: none needs a privilege.
    set(&proc, "ipv4/ip_unprivileged_port_start", "0")?;
    if lease.v4().is_some() {
        // The way through the host is the only one that is judged, whatever somebody recommends.
        set(&proc, "ipv4/conf/all/accept_redirects", "0")?;
        set(&proc, &format!("ipv4/conf/{DEVICE}/accept_redirects"), "0")?;
    }
    match lease.v6() {
        Some(_) => {
            for (name, value) in [("accept_redirects", "0"), ("accept_ra", "0")] {
                set(&proc, &format!("ipv6/conf/{DEVICE}/{name}"), value)?;
            }
        }
        None => no_ipv6(&proc, DEVICE)?,
    }
    for address in &lease.addresses {
        let row =
            network.subnets.iter().find(|row| row.contains(*address)).ok_or(io::ErrorKind::InvalidData)?;
        route.add_address(device, &Address::new(*address, row.prefix()).alone())?;
    }
    route.bring_up(device)?;
    for (gateway, _) in network.gateways() {
        let (alone, any): (u8, IpAddr) =
            if gateway.is_ipv4() { (32, [0; 4].into()) } else { (128, [0; 16].into()) };
        route.add_route(Destination { address: gateway, prefix: alone }, Hop::Link, device)?;
        route.add_route(Destination { address: any, prefix: 0 }, Hop::Via(gateway), device)?;
    }
    Ok(())
}

/// Removes a device by its name. One that is gone is no error.
pub(super) fn remove(route: &mut Route, name: &str) -> io::Result<()> {
    let Some(link) = route.link(name)? else { return Ok(()) };
    match route.delete_link(link.index) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Ok(()),
        removed => removed,
    }
}

fn no_ipv6(proc: &ProcFs, device: &str) -> io::Result<()> {
    match set(proc, &format!("ipv6/conf/{device}/disable_ipv6"), "1") {
        // A kernel without IPv6 has nothing to turn off.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        set => set,
    }
}

fn set(proc: &ProcFs, parameter: &str, value: &str) -> io::Result<()> {
    proc.write(ProcBase::Root, &format!("sys/net/{parameter}"), value.as_bytes())
}
