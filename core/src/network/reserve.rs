//! A place in a network, before anything of the container exists: its files need the address.

use std::os::fd::AsFd;
use std::path::Path;

use nucleus_abi::{ContainerId, Effect, Error, ErrorCode, Ledger, Process, Result};
use nucleus_sys::netlink::Route;

use super::document::{Guarded, Network, VERSION};
use super::fault::OrFail;
use super::files::{self, ProvidedFile};
use super::lease::{Refusal, lease};
use super::namespace::inside;
use super::store::Store;
use super::userspace::Outlet;
use super::{names, namespace, ports, subnet};
use crate::plan::{AttachedPlan, Plan, Way};
use crate::profile::Origin;
use crate::profile::values::{Cidr, NetworkName};

/// Where networks and containers are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// The state root.
    pub(crate) root: &'a Path,
    /// The container's directory in it.
    pub(crate) container: &'a Path,
    /// The name of this boot.
    pub(crate) boot: &'a str,
}

/// A place that is the container's.
#[derive(Debug)]
pub(crate) struct Reservation {
    /// The network.
    pub(super) network: NetworkName,
    /// Whose it is.
    pub(super) container: ContainerId,
    /// Files that it sees.
    pub(crate) files: Vec<ProvidedFile>,
}

/// Takes a place in the plan's network, which begins with it if nobody is on it; where a program leads out, in the namespace
/// of its `outlet`.
///
/// # Errors
/// `host-unfit` and `plan-invalid`, naming the profile's line; nothing stays then that the ledger does not undo.
pub(crate) fn reserve(
    plan: &Plan,
    wanted: &AttachedPlan,
    container: &ContainerId,
    (places, outlet): (Places<'_>, Option<&Outlet>),
    ledger: &mut Ledger,
) -> Result<Reservation> {
    let store = Store::open(places.root)?;
    let name = &network_name(wanted)?;
    ledger.record(&Effect::Network { name: name.to_string() }).or_fail("write the ledger", name)?;
    let mut others = store.all()?;
    let known = others.iter().position(|network| network.name == *name).map(|index| others.remove(index));
    let mut network = match known {
        Some(network) if network.boot == places.boot && !network.leases.is_empty() => {
            joined(network, wanted)?
        }
        _ => match outlet {
            None => begun((name, None), wanted, &others, places.boot)?,
            Some(outlet) => {
                let begin = || begun((name, Some(outlet.keeper)), wanted, &[], places.boot);
                inside(outlet.as_fd(), begin).or_fail("begin a network", name)??
            }
        },
    };
    // Who has no directory has no device either: somebody removed it by hand.
    network.leases.retain(|lease| places.root.join(lease.container.as_str()).exists());
    let all: Vec<Network> = others.into_iter().chain([network.clone()]).collect();
    ports::check_others(wanted, &all)?;
    // A program that leads out holds its ports already: it looked for itself.
    if outlet.is_none() {
        ports::check_host(wanted, &ports::kinds(&network))?;
    }
    let device = names::device().or_fail("name the container's network device", container)?;
    let lease = lease(&network, wanted, container, device, own_names(plan, container))
        .map_err(|refusal| refuse(refusal, wanted))?;
    network.leases.push(lease);
    let files = files::provide(wanted, &network, places.container)?;
    store.write(&network)?;
    Ok(Reservation { network: name.clone(), container: container.clone(), files })
}

/// What a program passes on is no network that others could join: its name is not to be guessed.
fn network_name(wanted: &AttachedPlan) -> Result<NetworkName> {
    let unnamed = || Error::new(ErrorCode::SystemCall, "name a network");
    match wanted.way {
        Way::Bridge => Ok(wanted.name.value.clone()),
        Way::Userspace(_) => {
            let key = names::key().or_fail("name a network", "userspace")?;
            format!("userspace-{key}").parse().map_err(|_| unnamed())
        }
    }
}

/// By which names others find the container: its id, and the host name that somebody chose.
fn own_names(plan: &Plan, container: &ContainerId) -> Vec<String> {
    let chosen = plan.process.hostname.as_ref().filter(|name| !matches!(name.origin, Origin::BuiltIn(_)));
    let mut names = vec![container.as_str().to_owned()];
    names.extend(chosen.map(|name| name.value.clone()).filter(|name| name != container.as_str()));
    names
}

/// A network that is there must be what the profile takes it for.
fn joined(network: Network, wanted: &AttachedPlan) -> Result<Network> {
    let here = namespace::own().and_then(|own| namespace::identity(own.as_fd()));
    if here.or_fail("join the network", &network.name)? != network.namespace {
        return Err(Error::new(ErrorCode::HostUnfit, "join the network")
            .on(&network.name)
            .because("its bridge is in another network namespace than nucleus")
            .hint("run nucleus where the others on it were run, or use another name"));
    }
    if let Some(subnets) =
        wanted.subnets.as_ref().filter(|subnets| !is_same(&subnets.value, &network.subnets))
    {
        return Err(other_than(wanted, "subnets", &subnets.origin)
            .because(format!("those who are on it know it as {}", list(&network.subnets))));
    }
    if wanted.mtu.value != network.mtu && !matches!(wanted.mtu.origin, Origin::BuiltIn(_)) {
        return Err(other_than(wanted, "mtu", &wanted.mtu.origin)
            .because(format!("those who are on it have an MTU of {}", network.mtu)));
    }
    Ok(network)
}

fn other_than(wanted: &AttachedPlan, field: &str, origin: &Origin) -> Error {
    Error::new(ErrorCode::PlanInvalid, format!("join the network `{}`", wanted.name.value))
        .on(format!("`network.{field}` ({origin})"))
        .hint("use the same values in all profiles of a network, or another `network.name`")
}

fn is_same(one: &[Cidr], other: &[Cidr]) -> bool {
    one.len() == other.len() && one.iter().all(|row| other.contains(row))
}

fn list(rows: &[Cidr]) -> String {
    rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A network that nobody is on yet.
fn begun(
    (name, keeper): (&NetworkName, Option<Process>),
    wanted: &AttachedPlan,
    others: &[Network],
    boot: &str,
) -> Result<Network> {
    let step = "begin a network";
    let own = namespace::own().and_then(|own| namespace::identity(own.as_fd())).or_fail(step, name)?;
    let routes = Route::open().and_then(|mut route| route.destinations()).or_fail(step, name)?;
    let routes = routes.iter().filter_map(|route| Cidr::around(route.address, route.prefix));
    let others = others.iter().filter(|other| other.boot == boot).flat_map(|other| other.subnets.clone());
    // A link-local row is on every device.
    let taken: Vec<Cidr> = routes.chain(others).filter(|row| !is_link_local(*row)).collect();
    let subnets = match &wanted.subnets {
        Some(rows) => {
            match rows.value.iter().find_map(|row| Some((row, taken.iter().find(|it| it.meets(*row))?))) {
                None => rows.value.clone(),
                Some((row, taken)) => {
                    return Err(Error::new(ErrorCode::HostUnfit, step)
                        .on(format!("`network.subnets: {row}` ({})", rows.origin))
                        .because(format!("the host reaches {taken} elsewhere already"))
                        .hint("choose a row that the host has no route to, or leave the choice to nucleus"));
                }
            }
        }
        None => vec![subnet::free(&taken).ok_or_else(|| {
            Error::new(ErrorCode::HostUnfit, step)
                .on(name)
                .because("the host has routes to all rows of private addresses (RFC 1918)")
                .hint("name one in `network.subnets`")
        })?],
    };
    Ok(Network {
        version: VERSION,
        name: name.clone(),
        boot: boot.to_owned(),
        namespace: own,
        keeper,
        key: names::key().or_fail(step, name)?,
        subnets,
        mtu: wanted.mtu.value,
        guarded: Guarded::default(),
        leases: Vec::new(),
    })
}

fn is_link_local(row: Cidr) -> bool {
    match row.first() {
        std::net::IpAddr::V4(address) => address.is_link_local() || address.is_multicast(),
        std::net::IpAddr::V6(address) => address.is_unicast_link_local() || address.is_multicast(),
    }
}

fn refuse(refusal: Refusal, wanted: &AttachedPlan) -> Error {
    let failed = |code| Error::new(code, format!("join the network `{}`", wanted.name.value));
    let asked = |origin: Option<&Origin>, field: &str| {
        origin.map_or_else(|| field.to_owned(), |origin| format!("`network.{field}` ({origin})"))
    };
    let address = asked(wanted.address.as_ref().map(|it| &it.origin), "address");
    match refusal {
        Refusal::Full(row) => failed(ErrorCode::HostUnfit)
            .on(row)
            .because("all of its addresses are taken")
            .hint("delete containers that have ended, or use a larger row in `network.subnets`"),
        Refusal::Taken(taken, holder) => failed(ErrorCode::HostUnfit)
            .on(address)
            .because(format!("the container `{holder}` has {taken}"))
            .hint("choose another address, or leave the choice to nucleus"),
        Refusal::Elsewhere(stray) => failed(ErrorCode::PlanInvalid)
            .on(address)
            .because(format!("{stray} lies in no row of the network"))
            .hint("`network.subnets` says which rows it has"),
        Refusal::SameDevice(mac, holder) => failed(ErrorCode::HostUnfit)
            .on(asked(wanted.mac.as_ref().map(|it| &it.origin), "mac"))
            .because(format!("{mac} is taken: `{holder}` or the gateway has it"))
            .hint("choose another hardware address, or leave the choice to nucleus"),
    }
}
