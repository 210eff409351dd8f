//! The loopback interface of a new network namespace, which starts down.

use std::io;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::syscall::check;

/// Brings `lo` up in the caller's network namespace. EPERM without `CAP_NET_ADMIN` there.
pub fn bring_up() -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all zero is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    // A short in the structure, an int in the headers.
    let flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING);
    request.ifr_ifru.ifru_flags = flags.map_err(io::Error::other)?;
    // SAFETY: SIOCSIFFLAGS reads an `ifreq` whose name ends with NUL (netdevice(7)).
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{NamespaceSet, unshare};
    use crate::testing::in_child;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_to_ourselves_works_only_afterwards() {
        in_child(|| {
            unshare(NamespaceSet::NETWORK).unwrap();
            let listener = TcpListener::bind("0.0.0.0:0").unwrap();
            let address = ("127.0.0.1", listener.local_addr().unwrap().port());
            assert!(TcpStream::connect(address).is_err());
            bring_up().unwrap();
            TcpStream::connect(address).unwrap();
        });
    }
}
