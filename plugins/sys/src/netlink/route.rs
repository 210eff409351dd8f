//! Devices, addresses and routes, through rtnetlink(7).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::message::{Body, attribute, attributes, text, word};
use super::socket::{ACK, CREATE, DUMP, EXCLUSIVE, REPLACE, Socket};

/// Message types, `linux/rtnetlink.h`.
const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;
const NEWNEIGH: u16 = 28;
const DELNEIGH: u16 = 29;

/// Attributes, `linux/if_link.h`, `linux/if_addr.h` and `linux/rtnetlink.h`.
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_LEARNING: u16 = 8;
const IFLA_BRPORT_UNICAST_FLOOD: u16 = 9;
const IFLA_BRPORT_MCAST_FLOOD: u16 = 27;
const IFLA_BRPORT_BCAST_FLOOD: u16 = 30;
const IFLA_NET_NS_FD: u16 = 28;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_PERMANENT: u32 = 0x80;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
/// What the kernel says of an address: that its probe is under way, or failed.
const IFA_F_STATES: u32 = 0x40 | 0x08 | 0x04 | IFA_F_PERMANENT;
const IFF_UP: u32 = 1;
/// `linux/neighbour.h`.
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NTF_MASTER: u8 = 4;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;

/// Values of `struct rtmsg`.
const TABLE_MAIN: u8 = 254;
const PROTOCOL_STATIC: u8 = 4;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const UNICAST: u8 = 1;

const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// A device of the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: i32,
    /// Its name.
    pub name: String,
}

/// An address of a device, as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    family: u8,
    prefix_length: u8,
    scope: u8,
    flags: u32,
    /// `IFA_ADDRESS`, `IFA_LOCAL` and `IFA_BROADCAST`.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// One for good, with the addresses of its network that are reached without a gateway. Nobody is asked first whether
    /// somebody has it (`IFA_F_NODAD`).
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        let mut attributes = vec![(IFA_LOCAL, bytes(address)), (IFA_ADDRESS, bytes(address))];
        if let IpAddr::V4(v4) = address
            && prefix < 31
        {
            let broadcast = v4.to_bits() | u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            attributes.push((IFA_BROADCAST, broadcast.to_be_bytes().to_vec()));
        }
        Self { family: family(address), prefix_length: prefix, scope: 0, flags: IFA_F_NODAD, attributes }
    }

    /// Without a route to its network (`IFA_F_NOPREFIXROUTE`): whoever has it reaches nobody without being told how.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { flags: self.flags | IFA_F_NOPREFIXROUTE, ..self }
    }

    /// Whether an operator gave it to the device for good, to be reached from anywhere: `RT_SCOPE_UNIVERSE`.
    pub fn is_permanent_and_global(&self) -> bool {
        self.flags & IFA_F_PERMANENT != 0 && self.scope == 0
    }
}

/// A pair of devices: what goes into one comes out of the other, veth(4).
#[derive(Debug, Clone, Copy)]
pub struct Veth<'a> {
    /// The end that stays.
    pub outer: &'a str,
    /// Both ends' largest packet, in bytes.
    pub mtu: u32,
    /// The other end, in another network namespace.
    pub inner: Attachment<'a>,
}

/// The end of a pair that a container sees.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'a> {
    /// Its name there.
    pub name: &'a str,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Where it is.
    pub namespace: BorrowedFd<'a>,
}

/// A bridge.
#[derive(Debug, Clone, Copy)]
pub struct Bridge<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its hardware address: without one it would change with the first device in it.
    pub mac: [u8; 6],
    /// Its largest packet, in bytes.
    pub mtu: u32,
}

/// How a device stands in a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// It gets what is meant for it, also from itself, and nothing else: the bridge floods nothing to it and learns nothing
    /// from it. Whom it has must be said ([`Route::add_port_address`]).
    Told,
}

/// A row of addresses: the first, and how many bits all have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The first.
    pub address: IpAddr,
    /// 0 to 32, or to 128.
    pub prefix: u8,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// The destination is a neighbour on the device.
    Link,
    /// Through this neighbour.
    Via(IpAddr),
}

/// A socket that speaks to the kernel about the network namespace in which it was made.
#[derive(Debug)]
pub struct Route {
    socket: Socket,
}

impl Route {
    /// Opens one for the caller's network namespace.
    pub fn open() -> io::Result<Self> {
        // Without a protocol it is NETLINK_ROUTE.
        Ok(Self { socket: Socket::open(None)? })
    }

    /// All devices.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let answers = self.ask(GETLINK, DUMP, &link_header(0, 0))?;
        Ok(answers.iter().filter_map(|body| link(body)).collect())
    }

    /// The device of a name. `None` if there is none.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut body = link_header(0, 0);
        body.text(IFLA_IFNAME, name);
        match self.ask(GETLINK, ACK, &body) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            answers => Ok(answers?.iter().find_map(|body| link(body))),
        }
    }

    /// The addresses of a device.
    pub fn addresses(&mut self, index: i32) -> io::Result<Vec<Address>> {
        let answers = self.ask(GETADDR, DUMP, &Body::new([0; ADDRESS_HEADER]))?;
        Ok(answers.iter().filter_map(|body| address(body, index)).collect())
    }

    /// Where all routes of the main table lead to, default routes left out.
    pub fn destinations(&mut self) -> io::Result<Vec<Destination>> {
        let answers = self.ask(GETROUTE, DUMP, &Body::new([0; ROUTE_HEADER]))?;
        Ok(answers.iter().filter_map(|body| destination(body)).collect())
    }

    /// Moves a device into another namespace, where it is called `name`; a `%d` in it becomes a number that is free. It
    /// arrives down and without addresses.
    ///
    /// Errors: EEXIST if the name is taken there, EINVAL for a device that can't be moved, such as `lo`.
    pub fn move_link(&mut self, index: i32, namespace: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        let mut body = link_header(index, 0);
        body.attribute(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
        body.text(IFLA_IFNAME, name);
        self.tell(NEWLINK, 0, &body)
    }

    /// Makes a bridge, which is down. EEXIST if the name is taken.
    pub fn add_bridge(&mut self, bridge: Bridge<'_>) -> io::Result<()> {
        let mut body = link_header(0, 0);
        body.text(IFLA_IFNAME, bridge.name);
        body.attribute(IFLA_ADDRESS, &bridge.mac);
        body.attribute(IFLA_MTU, &bridge.mtu.to_ne_bytes());
        body.nested(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "bridge");
            // It would hold back what neighbours of isolated devices ask each other.
            info.nested(IFLA_INFO_DATA, |data| data.attribute(IFLA_BR_MCAST_SNOOPING, &[0]));
        });
        self.tell(NEWLINK, CREATE | EXCLUSIVE, &body)
    }

    /// Makes a pair, both ends down. EEXIST if a name is taken.
    pub fn add_veth(&mut self, veth: Veth<'_>) -> io::Result<()> {
        let mut body = link_header(0, 0);
        body.text(IFLA_IFNAME, veth.outer);
        body.attribute(IFLA_MTU, &veth.mtu.to_ne_bytes());
        let mut peer = link_header(0, 0);
        peer.text(IFLA_IFNAME, veth.inner.name);
        peer.attribute(IFLA_MTU, &veth.mtu.to_ne_bytes());
        peer.attribute(IFLA_ADDRESS, &veth.inner.mac);
        peer.attribute(IFLA_NET_NS_FD, &veth.inner.namespace.as_raw_fd().to_ne_bytes());
        body.nested(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "veth");
            info.nested(IFLA_INFO_DATA, |data| data.body(VETH_INFO_PEER, &peer));
        });
        self.tell(NEWLINK, CREATE | EXCLUSIVE, &body)
    }

    /// Puts a device into a bridge.
    pub fn put_into(&mut self, index: i32, bridge: i32) -> io::Result<()> {
        let mut body = link_header(index, 0);
        body.attribute(IFLA_MASTER, &bridge.to_ne_bytes());
        self.tell(NEWLINK, 0, &body)
    }

    /// Says how a device stands in its bridge.
    pub fn set_port(&mut self, index: i32, Port::Told: Port) -> io::Result<()> {
        const FLAGS: [(u16, u8); 5] = [
            (IFLA_BRPORT_MODE, 1),
            (IFLA_BRPORT_LEARNING, 0),
            (IFLA_BRPORT_UNICAST_FLOOD, 0),
            (IFLA_BRPORT_MCAST_FLOOD, 0),
            (IFLA_BRPORT_BCAST_FLOOD, 0),
        ];
        let mut body = link_header(index, 0);
        body.nested(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_SLAVE_KIND, "bridge");
            info.nested(IFLA_INFO_SLAVE_DATA, |data| {
                for (flag, value) in FLAGS {
                    data.attribute(flag, &[value]);
                }
            });
        });
        self.tell(NEWLINK, 0, &body)
    }

    /// Tells a bridge that a hardware address is behind one of its devices.
    pub fn add_port_address(&mut self, index: i32, mac: [u8; 6]) -> io::Result<()> {
        let mut body = neighbour(libc::AF_BRIDGE, index, NUD_NOARP, NTF_MASTER);
        body.attribute(NDA_LLADDR, &mac);
        self.tell(NEWNEIGH, CREATE | REPLACE, &body)
    }

    /// Tells the kernel the hardware address of a neighbour on a device, for good: it believes nobody else.
    pub fn add_neighbour(&mut self, index: i32, address: IpAddr, mac: [u8; 6]) -> io::Result<()> {
        let mut body = neighbour(family(address).into(), index, NUD_PERMANENT, 0);
        body.attribute(NDA_DST, &bytes(address));
        body.attribute(NDA_LLADDR, &mac);
        self.tell(NEWNEIGH, CREATE | REPLACE, &body)
    }

    /// Forgets a neighbour. ENOENT if it is not known.
    pub fn delete_neighbour(&mut self, index: i32, address: IpAddr) -> io::Result<()> {
        let mut body = neighbour(family(address).into(), index, 0, 0);
        body.attribute(NDA_DST, &bytes(address));
        self.tell(DELNEIGH, 0, &body)
    }

    /// Removes a device; of a pair both ends go. ENODEV if there is none.
    pub fn delete_link(&mut self, index: i32) -> io::Result<()> {
        self.tell(DELLINK, 0, &link_header(index, 0))
    }

    /// Gives an address to a device.
    pub fn add_address(&mut self, index: i32, address: &Address) -> io::Result<()> {
        let flags = address.flags & !IFA_F_STATES;
        let mut header = vec![address.family, address.prefix_length, flags.to_le_bytes()[0], address.scope];
        header.extend(index.to_ne_bytes());
        let mut body = Body::new(header);
        for (kind, value) in &address.attributes {
            body.attribute(*kind, value);
        }
        body.attribute(IFA_FLAGS, &flags.to_ne_bytes());
        self.tell(NEWADDR, CREATE, &body)
    }

    /// Leads to a destination through a device. EEXIST if a route leads there.
    pub fn add_route(&mut self, to: Destination, hop: Hop, index: i32) -> io::Result<()> {
        let scope = match hop {
            Hop::Link => SCOPE_LINK,
            Hop::Via(_) => SCOPE_UNIVERSE,
        };
        let head =
            [family(to.address), to.prefix, 0, 0, TABLE_MAIN, PROTOCOL_STATIC, scope, UNICAST, 0, 0, 0, 0];
        let mut body = Body::new(head);
        if to.prefix > 0 {
            body.attribute(RTA_DST, &bytes(to.address));
        }
        if let Hop::Via(gateway) = hop {
            body.attribute(RTA_GATEWAY, &bytes(gateway));
        }
        body.attribute(RTA_OIF, &index.to_ne_bytes());
        self.tell(NEWROUTE, CREATE | EXCLUSIVE, &body)
    }

    /// Brings a device up.
    pub fn bring_up(&mut self, index: i32) -> io::Result<()> {
        self.tell(NEWLINK, 0, &link_header(index, IFF_UP))
    }

    fn tell(&mut self, kind: u16, flags: u16, body: &Body) -> io::Result<()> {
        self.ask(kind, flags | ACK, body).map(drop)
    }

    fn ask(&mut self, kind: u16, flags: u16, body: &Body) -> io::Result<Vec<Vec<u8>>> {
        Ok(self.socket.ask(kind, flags, body)?.into_iter().map(|(_, body)| body).collect())
    }
}

/// `struct ifinfomsg`; only those of `flags` that are set are changed.
fn link_header(index: i32, flags: u32) -> Body {
    let mut header = vec![0; 4];
    header.extend(index.to_ne_bytes());
    header.extend(flags.to_ne_bytes());
    header.extend(flags.to_ne_bytes());
    Body::new(header)
}

/// `struct ndmsg`.
fn neighbour(family: i32, index: i32, state: u16, flags: u8) -> Body {
    let mut header = vec![family.to_le_bytes()[0], 0, 0, 0];
    header.extend(index.to_ne_bytes());
    header.extend(state.to_ne_bytes());
    header.extend([flags, 0]);
    Body::new(header)
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    family.to_le_bytes()[0]
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn link(body: &[u8]) -> Option<Link> {
    let name = attribute(body.get(LINK_HEADER..)?, IFLA_IFNAME)?;
    Some(Link { index: word(body, 4)?.cast_signed(), name: text(name) })
}

fn destination(body: &[u8]) -> Option<Destination> {
    let (prefix, table) = (*body.get(1)?, *body.get(4)?);
    let to = attribute(body.get(ROUTE_HEADER..)?, RTA_DST)?;
    let address = <[u8; 4]>::try_from(to)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(to).map(IpAddr::from))
        .ok()?;
    (table == TABLE_MAIN).then_some(Destination { address, prefix })
}

fn address(body: &[u8], index: i32) -> Option<Address> {
    if word(body, 4)?.cast_signed() != index {
        return None;
    }
    let all: Vec<_> = attributes(body.get(ADDRESS_HEADER..)?).collect();
    // The eight bits of the header came first; the attribute has them too, and more.
    let flags = all.iter().find(|(kind, _)| *kind == IFA_FLAGS).and_then(|(_, value)| word(value, 0));
    let kept = all.iter().filter(|(kind, _)| [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST].contains(kind));
    Some(Address {
        family: *body.first()?,
        prefix_length: *body.get(1)?,
        scope: *body.get(3)?,
        flags: flags.unwrap_or_else(|| body[2].into()),
        attributes: kept.map(|(kind, value)| (*kind, value.to_vec())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{self, Namespace, NamespaceSet, unshare};
    use crate::procfs::{ProcBase, ProcFs};
    use crate::testing::in_child;
    use proptest::prelude::*;
    use std::os::fd::AsFd;
    use std::process::Command;

    fn ip(arguments: &str) -> String {
        let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
        assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_device_is_moved_renamed_and_used_there() {
        in_child(|| {
            unshare(NamespaceSet::NETWORK).unwrap();
            let proc = ProcFs::open().unwrap();
            ip("link add host0 type veth peer name other0");
            ip("addr add 10.9.8.7/24 brd + dev host0");
            ip("-6 addr add fd00::7/64 nodad dev host0");
            let mut here = Route::open().unwrap();
            let found = here.links().unwrap().into_iter().find(|link| link.name == "host0").unwrap();
            let addresses = here.addresses(found.index).unwrap();
            assert_eq!(addresses.iter().filter(|address| address.is_permanent_and_global()).count(), 2);
            unshare(NamespaceSet::NETWORK).unwrap();
            let there = namespace::open(&proc, ProcBase::Itself, Namespace::Network).unwrap();
            here.move_link(found.index, there.as_fd(), "eth%d").unwrap();
            let mut route = Route::open().unwrap();
            let moved = route.links().unwrap().into_iter().find(|link| link.name == "eth0").unwrap();
            for address in &addresses {
                route.add_address(moved.index, address).unwrap();
            }
            route.bring_up(moved.index).unwrap();
            let text = ip("addr show dev eth0");
            assert!(text.contains("inet 10.9.8.7/24 brd 10.9.8.255 scope global eth0"), "{text}");
            assert!(text.contains("inet6 fd00::7/64 scope global"), "{text}");
            assert!(text.contains(",UP"), "{text}");
            let taken = here.links().unwrap().into_iter().find(|link| link.name == "other0").unwrap();
            let refused = here.move_link(taken.index, there.as_fd(), "eth0").unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EEXIST));
        });
    }

    #[test]
    fn what_does_not_exist_is_told() {
        in_child(|| {
            unshare(NamespaceSet::NETWORK).unwrap();
            let mut route = Route::open().unwrap();
            assert_eq!(route.bring_up(99).unwrap_err().raw_os_error(), Some(libc::ENODEV));
            let names: Vec<_> = route.links().unwrap().into_iter().map(|link| link.name).collect();
            assert_eq!(names, ["lo"]);
        });
    }

    #[test]
    fn a_pair_leads_into_a_bridge() {
        in_child(|| {
            unshare(NamespaceSet::NETWORK).unwrap();
            let proc = ProcFs::open().unwrap();
            let there = namespace::open(&proc, ProcBase::Itself, Namespace::Network).unwrap();
            unshare(NamespaceSet::NETWORK).unwrap();
            let mut route = Route::open().unwrap();
            route.add_bridge(Bridge { name: "br", mac: [2, 0, 0, 0, 0, 1], mtu: 1400 }).unwrap();
            let inner = Attachment { name: "eth0", mac: [2, 0, 0, 0, 0, 2], namespace: there.as_fd() };
            route.add_veth(Veth { outer: "out", mtu: 1400, inner }).unwrap();
            let (bridge, outer) = (route.link("br").unwrap().unwrap(), route.link("out").unwrap().unwrap());
            route.put_into(outer.index, bridge.index).unwrap();
            route.set_port(outer.index, Port::Told).unwrap();
            route.add_port_address(outer.index, [2, 0, 0, 0, 0, 2]).unwrap();
            let neighbour: IpAddr = "10.3.2.7".parse().unwrap();
            route.add_neighbour(bridge.index, neighbour, [2, 0, 0, 0, 0, 2]).unwrap();
            route.bring_up(bridge.index).unwrap();
            route.add_address(bridge.index, &Address::new("10.3.2.1".parse().unwrap(), 24)).unwrap();
            route.add_address(bridge.index, &Address::new("fd01::1".parse().unwrap(), 64)).unwrap();
            let to = Destination { address: "10.9.0.0".parse().unwrap(), prefix: 16 };
            route.add_route(to, Hop::Via("10.3.2.9".parse().unwrap()), bridge.index).unwrap();
            let text = ip("-d link show dev out");
            assert!(text.contains("master br") && text.contains("hairpin on"), "{text}");
            assert!(text.contains("learning off") && text.contains("bcast_flood off"), "{text}");
            assert!(ip("neigh show dev br").contains("10.3.2.7 lladdr 02:00:00:00:00:02 PERMANENT"));
            route.delete_neighbour(bridge.index, neighbour).unwrap();
            assert!(!ip("neigh show dev br").contains("10.3.2.7"));
            assert!(text.contains("mtu 1400"), "{text}");
            let destinations = route.destinations().unwrap();
            assert!(destinations.contains(&to), "{destinations:?}");
            assert!(ip("addr show dev br").contains("inet 10.3.2.1/24 brd 10.3.2.255"));
            route.delete_link(outer.index).unwrap();
            assert_eq!(route.link("out").unwrap(), None);
        });
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (link(&bytes), address(&bytes, 0), destination(&bytes));
        }
    }
}
