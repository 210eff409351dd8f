//! Network devices through rtnetlink(7): what it takes to give one to a container.
//!
//! Messages are built and read through checked lengths only (CVE-2021-43784).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// Message types and flags, `linux/rtnetlink.h` and `linux/netlink.h`.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// Attributes, `linux/if_link.h` and `linux/if_addr.h`.
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_PERMANENT: u32 = 0x80;
/// What the kernel says of an address: that its probe is under way, or failed.
const IFA_F_STATES: u32 = 0x40 | 0x08 | 0x04 | IFA_F_PERMANENT;
const IFF_UP: u32 = 1;

const HEADER: usize = 16;
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
/// The kernel's dumps come in parts of at most 32 KiB.
const PART: usize = 1 << 16;

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
    /// Whether an operator gave it to the device for good, to be reached from anywhere: `RT_SCOPE_UNIVERSE`.
    pub fn is_permanent_and_global(&self) -> bool {
        self.flags & IFA_F_PERMANENT != 0 && self.scope == 0
    }
}

/// A socket that speaks to the kernel about the network namespace in which it was made.
#[derive(Debug)]
pub struct Route {
    socket: OwnedFd,
    sequence: u32,
}

impl Route {
    /// Opens one for the caller's network namespace.
    pub fn open() -> io::Result<Self> {
        // Without a protocol it is NETLINK_ROUTE.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// All devices.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let answers = self.ask(RTM_GETLINK, NLM_F_DUMP, &Body::link(0, 0))?;
        Ok(answers.iter().filter_map(|body| link(body)).collect())
    }

    /// The addresses of a device.
    pub fn addresses(&mut self, index: i32) -> io::Result<Vec<Address>> {
        let answers = self.ask(RTM_GETADDR, NLM_F_DUMP, &Body(vec![0; ADDRESS_HEADER]))?;
        Ok(answers.iter().filter_map(|body| address(body, index)).collect())
    }

    /// Moves a device into another namespace, where it is called `name`; a `%d` in it becomes a number that is free. It
    /// arrives down and without addresses.
    ///
    /// Errors: EEXIST if the name is taken there, EINVAL for a device that can't be moved, such as `lo`.
    pub fn move_link(&mut self, index: i32, namespace: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        let mut body = Body::link(index, 0);
        body.attribute(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes())?;
        body.attribute(IFLA_IFNAME, &[name.as_bytes(), b"\0"].concat())?;
        self.ask(RTM_NEWLINK, NLM_F_ACK, &body).map(drop)
    }

    /// Gives an address to a device.
    pub fn add_address(&mut self, index: i32, address: &Address) -> io::Result<()> {
        let flags = address.flags & !IFA_F_STATES;
        let mut header = vec![address.family, address.prefix_length, flags.to_le_bytes()[0], address.scope];
        header.extend(index.to_ne_bytes());
        let mut body = Body(header);
        for (kind, value) in &address.attributes {
            body.attribute(*kind, value)?;
        }
        body.attribute(IFA_FLAGS, &flags.to_ne_bytes())?;
        self.ask(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &body).map(drop)
    }

    /// Brings a device up.
    pub fn bring_up(&mut self, index: i32) -> io::Result<()> {
        self.ask(RTM_NEWLINK, NLM_F_ACK, &Body::link(index, IFF_UP)).map(drop)
    }

    /// One request, and the bodies of what answers it.
    fn ask(&mut self, kind: u16, flags: u16, body: &Body) -> io::Result<Vec<Vec<u8>>> {
        self.sequence += 1;
        let length = u32::try_from(HEADER + body.0.len()).map_err(|_| Errno::MSGSIZE)?;
        let mut message = Vec::with_capacity(HEADER + body.0.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(&body.0);
        retry_on_intr(|| send(&self.socket, &message, SendFlags::empty()))?;
        self.listen()
    }

    fn listen(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut answers = Vec::new();
        let mut buffer = vec![0; PART];
        loop {
            let (_, length) = retry_on_intr(|| recv(&self.socket, &mut buffer[..], RecvFlags::TRUNC))?;
            let mut rest = buffer.get(..length).ok_or(Errno::MSGSIZE)?;
            while let Some((message, after)) = split(rest) {
                rest = after;
                match message {
                    // What is left of an earlier request that failed half way.
                    Message { sequence, .. } if sequence != self.sequence => {}
                    Message { kind: NLMSG_DONE, .. } => return Ok(answers),
                    Message { kind: NLMSG_ERROR, body, .. } => {
                        return refused(body).map_or(Ok(answers), |errno| Err(errno.into()));
                    }
                    Message { body, .. } => answers.push(body.to_vec()),
                }
            }
        }
    }
}

/// A message's body, as it is being built.
struct Body(Vec<u8>);

impl Body {
    /// `struct ifinfomsg`; only those of `flags` that are set are changed.
    fn link(index: i32, flags: u32) -> Self {
        let mut header = vec![0; 4];
        header.extend(index.to_ne_bytes());
        header.extend(flags.to_ne_bytes());
        header.extend(flags.to_ne_bytes());
        Self(header)
    }

    /// `struct rtattr` and its value, filled up to a multiple of four bytes.
    fn attribute(&mut self, kind: u16, value: &[u8]) -> io::Result<()> {
        let length = u16::try_from(4 + value.len()).map_err(|_| Errno::MSGSIZE)?;
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        Ok(())
    }
}

/// A message of the kernel's.
struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

/// The first message, and what follows it.
fn split(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = usize::try_from(word(bytes, 0)?).ok()?;
    let body = bytes.get(HEADER..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((Message { kind: half(bytes, 4)?, sequence: word(bytes, 8)?, body }, rest))
}

/// The error of a `NLMSG_ERROR`; 0 acknowledges.
fn refused(body: &[u8]) -> Option<Errno> {
    match word(body, 0).map(u32::cast_signed) {
        Some(0) => None,
        Some(negative) => Some(Errno::from_raw_os_error(negative.wrapping_neg())),
        None => Some(Errno::BADMSG),
    }
}

fn link(body: &[u8]) -> Option<Link> {
    let name = attributes(body.get(LINK_HEADER..)?).find(|(kind, _)| *kind == IFLA_IFNAME)?.1;
    let name = name.split(|byte| *byte == 0).next()?;
    Some(Link { index: word(body, 4)?.cast_signed(), name: String::from_utf8_lossy(name).into_owned() })
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

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(half(bytes, 0)?);
        let (kind, value) = (half(bytes, 2)?, bytes.get(4..length)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
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

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = bytes.as_slice();
            while let Some((message, after)) = split(rest) {
                let _ = (link(message.body), address(message.body, 1), refused(message.body));
                prop_assert!(after.len() < rest.len());
                rest = after;
            }
            let _ = (link(&bytes), address(&bytes, 0), attributes(&bytes).count());
        }
    }
}
