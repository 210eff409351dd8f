//! Whether a port of the host can be published.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use nucleus_abi::{Error, ErrorCode, Result};

use super::document::Network;
use crate::plan::{AttachedPlan, Decided};
use crate::profile::values::{Cidr, Protocol, Publish};

const STEP: &str = "publish a port";

/// Refuses ports that another container has.
///
/// # Errors
/// `host-unfit`, naming the port and who has it.
pub(super) fn check_others(plan: &AttachedPlan, others: &[Network]) -> Result<()> {
    for publish in &plan.publish {
        for lease in others.iter().flat_map(|network| &network.leases) {
            if lease.publish.iter().any(|other| meet(*other, publish.value)) {
                return Err(taken(publish, &format!("the container `{}` publishes it", lease.container)));
            }
        }
    }
    Ok(())
}

/// Refuses ports at which a process of the host listens; `kinds` are the addresses that lead to the container.
///
/// # Errors
/// As for [`check_others`].
pub(super) fn check_host(plan: &AttachedPlan, kinds: &[IpAddr]) -> Result<()> {
    for publish in &plan.publish {
        for address in publish.value.address.map_or_else(|| kinds.to_vec(), |address| vec![address]) {
            for (port, _) in publish.value.pairs() {
                free(SocketAddr::new(address, port), publish.value.protocol)
                    .map_err(|error| refused(publish, address, port, &error))?;
            }
        }
    }
    Ok(())
}

/// Whether they want the same port of the same address.
fn meet(one: Publish, other: Publish) -> bool {
    let addresses = match (one.address, other.address) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    addresses
        && one.protocol == other.protocol
        && one.host.first <= other.host.last
        && other.host.first <= one.host.last
}

/// All addresses of the host, of the kinds that a network has.
pub(super) fn kinds(network: &Network) -> Vec<IpAddr> {
    let any = |row: &Cidr| {
        if row.first().is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
    };
    network.subnets.iter().map(any).collect()
}

/// Nobody will listen there for long: the port is translated before a socket of the host sees a packet.
fn free(address: SocketAddr, protocol: Protocol) -> io::Result<()> {
    match protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
        Protocol::Sctp | Protocol::Icmp => Ok(()),
    }
}

fn refused(publish: &Decided<Publish>, address: IpAddr, port: u16, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => taken(publish, &format!("a process of the host listens at port {port}")),
        io::ErrorKind::AddrNotAvailable => failed(publish)
            .because(format!("the host has no address {address}"))
            .hint("name an address of the host, or none for all of them"),
        _ => failed(publish).because(error),
    }
}

fn taken(publish: &Decided<Publish>, by: &str) -> Error {
    failed(publish)
        .because(format!("the port is taken: {by}"))
        .hint("choose another port of the host, or end whoever has it")
}

fn failed(publish: &Decided<Publish>) -> Error {
    Error::new(ErrorCode::HostUnfit, STEP)
        .on(format!("`network.publish: {}` ({})", publish.value, publish.origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::lease::tests::{network, plan, take};
    use crate::profile::Origin;

    fn publishing(text: &str) -> AttachedPlan {
        let publish = Decided::new(text.parse().unwrap(), Origin::Flag("--publish".into()));
        AttachedPlan { publish: vec![publish], ..plan() }
    }

    #[test]
    fn a_port_that_somebody_has_is_refused_and_he_is_named() {
        let here = network(&["10.88.0.0/24"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asking = publishing(&format!("127.0.0.1:{port}:80"));
        let error = check_host(&asking, &kinds(&here)).unwrap_err();
        assert!(
            error.to_string().contains(&format!("a process of the host listens at port {port}")),
            "{error}"
        );
        drop(listener);
        check_host(&asking, &kinds(&here)).unwrap();
        let mut other = network(&["10.99.0.0/24"]);
        take(&mut other, &asking).unwrap();
        let error = check_others(&asking, &[other]).unwrap_err();
        assert!(error.to_string().contains("the container `c0` publishes it"), "{error}");
    }

    #[test]
    fn an_address_that_the_host_lacks_is_told() {
        let error = check_host(&publishing("203.0.113.9:8080:80"), &[]).unwrap_err();
        assert_eq!(error.cause.as_deref(), Some("the host has no address 203.0.113.9"));
    }
}
