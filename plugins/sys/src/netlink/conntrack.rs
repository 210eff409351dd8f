//! What the kernel remembers of connections (`linux/netfilter/nfnetlink_conntrack.h`).

use std::io;
use std::net::IpAddr;

use rustix::net::netlink::NETFILTER;

use super::message::Body;
use super::socket::{ACK, Socket};

/// `NFNL_SUBSYS_CTNETLINK` and `IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 1 << 8 | 2;
/// `CTA_TUPLE_ORIG` and `CTA_TUPLE_REPLY`; what began the connection, and what answers it.
const BEGAN: u16 = 1;
const ANSWERS: u16 = 2;
const TUPLE_IP: u16 = 1;
const FILTER: u16 = 25;
/// `CTA_FILTER_F_CTA_IP_SRC`: of a tuple, only its source counts.
const SOURCE: u32 = 1;

/// Forgets all connections of an address, whoever began them: to whoever has it next they would count as established.
///
/// # Errors
/// EOPNOTSUPP before Linux 5.8, which cannot filter; EPERM without `CAP_NET_ADMIN`.
pub fn forget(address: IpAddr) -> io::Result<()> {
    let mut socket = Socket::open(Some(NETFILTER))?;
    [BEGAN, ANSWERS].into_iter().try_for_each(|tuple| match socket.ask(DELETE, ACK, &body(address, tuple)) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        answer => answer.map(drop),
    })
}

fn body(address: IpAddr, tuple: u16) -> Body {
    // The attributes of a source: `CTA_IP_V4_SRC` and `CTA_IP_V6_SRC`.
    let (family, kind, bytes) = match address {
        IpAddr::V4(address) => (libc::AF_INET, 1, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, 3, address.octets().to_vec()),
    };
    let mut body = Body::new([family.to_le_bytes()[0], 0, 0, 0]);
    body.nested(tuple, |inner| inner.nested(TUPLE_IP, |ip| ip.attribute(kind, &bytes)));
    // `CTA_FILTER_ORIG_FLAGS` and `CTA_FILTER_REPLY_FLAGS` have the numbers of their tuples.
    body.nested(FILTER, |filter| filter.attribute(tuple, &SOURCE.to_ne_bytes()));
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loopback;
    use crate::namespace::{NamespaceSet, unshare};
    use crate::netlink::nftables::{
        Base, Batch, Expression, Family, Hook, NfTables, Purpose, Register, Track, Verdict,
    };
    use crate::testing::in_child;
    use std::net::UdpSocket;

    fn known() -> Vec<String> {
        let text = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn connections_of_one_address_are_forgotten_and_others_stay() {
        in_child(|| {
            unshare(NamespaceSet::NETWORK).unwrap();
            loopback::bring_up().unwrap();
            // The kernel follows connections only where somebody asks.
            let mut batch = Batch::new(Family::Inet, "t");
            batch.table();
            let base = Base {
                purpose: Purpose::Filter,
                hook: Hook::Output,
                priority: 0,
                otherwise: &Verdict::Accept,
            };
            batch.chain("c", Some(base));
            batch.rule("c", &[Expression::Track(Track::State, Register(0))]);
            NfTables::open().unwrap().commit(&batch).unwrap();
            for (from, to) in [
                ("127.0.0.2:0", "127.0.0.3:9"),
                ("127.0.0.4:0", "127.0.0.2:9"),
                ("127.0.0.5:0", "127.0.0.6:9"),
            ] {
                UdpSocket::bind(from).unwrap().send_to(b"x", to).unwrap();
            }
            assert_eq!(known().len(), 3, "{:?}", known());
            forget("127.0.0.2".parse().unwrap()).unwrap();
            let left = known();
            assert!(left.len() == 1 && left[0].contains("src=127.0.0.5"), "{left:?}");
            forget("127.0.0.2".parse().unwrap()).unwrap();
            forget("fd00::1".parse().unwrap()).unwrap();
            assert_eq!(known().len(), 1);
        });
    }
}
