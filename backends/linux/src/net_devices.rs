//! Network devices that move from the host into the container.
//!
//! A device loses its addresses and goes down on the way. It gets back the permanent global ones and comes up; what
//! becomes of it when the namespace ends is the kernel's affair (config-linux.md, "Network Devices").

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::Pid;
use nucleus_sys::namespace::{self, Namespace};
use nucleus_sys::netlink::{Address, Route};
use nucleus_sys::procfs::{ProcBase, ProcFs};

use crate::config::NetDevice;
use crate::fault::OrFail;
use crate::joining::Target;

/// The network namespace that the configuration joins, if devices are to go there: the one that was checked when it was
/// opened, whatever its path leads to since. The child may not have entered it yet.
pub(crate) fn joined(devices: &[NetDevice], joins: &[Target]) -> Result<Option<OwnedFd>> {
    let network = joins.iter().find(|target| target.kind == Namespace::Network && !devices.is_empty());
    let copy = |target: &Target| {
        target.file.try_clone().or_fail("duplicate a namespace's descriptor", target.path.display())
    };
    network.map(copy).transpose()
}

/// The network namespace in which the container was born.
pub(crate) fn network(child: Pid) -> Result<OwnedFd> {
    ProcFs::open()
        .and_then(|proc| namespace::open(&proc, ProcBase::Process(child), Namespace::Network))
        .or_fail("open the container's network namespace", "net")
}

/// Moves all of them.
pub(crate) fn give(devices: &[NetDevice], network: BorrowedFd<'_>) -> Result<()> {
    let mut here = Route::open().or_fail("speak to the kernel about network devices", "netlink")?;
    let mut there = open_in(network)?;
    devices.iter().try_for_each(|device| give_one(device, network, &mut here, &mut there))
}

fn give_one(device: &NetDevice, network: BorrowedFd<'_>, here: &mut Route, there: &mut Route) -> Result<()> {
    let field = format!("config.json: linux.netDevices.{}", device.host_name);
    let step = "move a network device to the container";
    let found = here.links().or_fail(step, &field)?.into_iter().find(|link| link.name == device.host_name);
    let index = found.ok_or_else(|| no_device(step, &field))?.index;
    let addresses = here.addresses(index).or_fail(step, &field)?;
    let before = there.links().or_fail(step, &field)?;
    // The kernel moves it first and renames it then: too late to find out that the name is taken.
    if before.iter().any(|link| link.name == device.name) {
        return Err(taken(device).on(field));
    }
    let before: BTreeSet<_> = before.iter().map(|link| link.index).collect();
    here.move_link(index, network, &device.name).or_fail(step, &field).map_err(immovable)?;
    // Neither its name nor its number need be the same.
    let arrived = there.links().or_fail(step, &field)?.into_iter().find(|link| !before.contains(&link.index));
    let index = arrived.ok_or_else(|| no_device(step, &field))?.index;
    for address in addresses.iter().filter(|address| Address::is_permanent_and_global(address)) {
        there.add_address(index, address).or_fail("give a network device its addresses back", &field)?;
    }
    there.bring_up(index).or_fail("bring a network device up", &field)
}

/// A socket keeps to the namespace in which it was made.
fn open_in(network: BorrowedFd<'_>) -> Result<Route> {
    let proc = ProcFs::open().or_fail("open the host's procfs", "/proc")?;
    let own = namespace::open(&proc, ProcBase::Itself, Namespace::Network)
        .or_fail("open our own namespace", "net")?;
    namespace::join(network, Namespace::Network).or_fail("join the container's network namespace", "net")?;
    let route = Route::open();
    // Going on in the container's network would attach the wrong one: better not to go on at all.
    namespace::join(own.as_fd(), Namespace::Network).expect("a process can return to its own namespace");
    route.or_fail("speak to the kernel about network devices", "netlink")
}

fn no_device(step: &'static str, field: &str) -> Error {
    Error::new(ErrorCode::HostUnfit, step)
        .on(field)
        .because("there is no such device in this network namespace")
        .hint("`ip link` lists the devices")
}

fn taken(device: &NetDevice) -> Error {
    Error::new(ErrorCode::HostUnfit, "move a network device to the container")
        .because(format!("the container's network has a device `{}` already", device.name))
        .hint("give it another `name`, or one that ends in `%d`")
}

fn immovable(error: Error) -> Error {
    match error.cause.as_deref() {
        Some(cause) if cause.contains("EINVAL") => {
            error.because("this device cannot leave its network namespace (EINVAL)")
        }
        _ => error,
    }
}
