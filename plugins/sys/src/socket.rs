//! A pair of sockets for whole messages with descriptors (`SOCK_SEQPACKET`, `SCM_RIGHTS`; unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, sendmsg,
    socket_with, socketpair,
};

/// The most descriptors that a message may carry; the kernel's own limit is 253.
pub const MAX_DESCRIPTORS: usize = 64;

/// One end.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// What came.
#[derive(Debug)]
pub enum Received {
    /// A whole message with its descriptors, which are close-on-exec.
    Message(Vec<u8>, Vec<OwnedFd>),
    /// The other end is closed, and nothing is left to read.
    Closed,
}

impl Socket {
    /// Two connected ends, close-on-exec.
    pub fn pair() -> io::Result<(Self, Self)> {
        let ends = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(ends.0), Self(ends.1)))
    }

    /// Sends one message. EINVAL for an empty one, which would look like the end, or for too many
    /// descriptors; EMSGSIZE for one larger than the send buffer (about 200 KiB); EPIPE if the other end is
    /// closed.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(self.0.as_fd(), bytes, descriptors)
    }

    /// Waits for one message. EBADMSG if it or its descriptors arrived cut short: nothing of it is returned
    /// then.
    pub fn recv(&self) -> io::Result<Received> {
        let mut bytes = vec![0; self.next_length()?];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = retry_on_intr(|| {
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(Errno::BADMSG.into());
        }
        match got.bytes {
            0 => Ok(Received::Closed),
            length => {
                bytes.truncate(length);
                Ok(Received::Message(bytes, descriptors))
            }
        }
    }

    /// Asks for the length of the next message without taking it; the kernel reports the whole length.
    fn next_length(&self) -> io::Result<usize> {
        let look = RecvFlags::PEEK | RecvFlags::TRUNC;
        let (_, length) = retry_on_intr(|| rustix::net::recv(&self.0, &mut [0u8; 1][..], look))?;
        Ok(length)
    }
}

/// Connects to a stream socket at a path, close-on-exec. Neither this nor any later send on it waits longer than `patience`
/// for the other side: EAGAIN then (`SO_SNDTIMEO` in socket(7), which holds for connect(2) of unix(7) too).
pub fn connect_within(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    retry_on_intr(|| connect(&socket, &address))?;
    Ok(socket.into())
}

/// Sends one descriptor, with a name, through a socket of any type. EINVAL for an empty name; EPIPE if nobody listens.
pub fn send_descriptor(socket: BorrowedFd<'_>, name: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<()> {
    send(socket, name, &[descriptor])
}

/// A pair of connected stream sockets, close-on-exec, of which the first does not wait: EAGAIN instead.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let ends = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::io::ioctl_fionbio(&ends.0, true)?;
    Ok(ends)
}

/// Sends as much as a stream takes at once, with descriptors, and returns how many bytes that was. EAGAIN if it takes nothing now;
/// EPIPE if nobody listens.
pub fn send_some(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if bytes.is_empty() || descriptors.len() > MAX_DESCRIPTORS {
        return Err(Errno::INVAL.into());
    }
    transmit(socket, bytes, descriptors)
}

/// Takes what a stream has, with the descriptors, close-on-exec, that came with it; no bytes at its end. EAGAIN if it has nothing
/// now; EBADMSG if descriptors were cut off.
pub fn receive_some(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(bytes)];
    let got = retry_on_intr(|| recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC))?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if got.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Errno::BADMSG.into());
    }
    Ok((got.bytes, descriptors))
}

/// Takes the first descriptor of the next message, whatever comes with it, from a socket of any type. `None` if none came.
/// Waits for a message.
pub fn receive_descriptor(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut name = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut name)];
    retry_on_intr(|| recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC))?;
    // What else came is closed when it is dropped.
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    Ok(rights.flatten().collect::<Vec<_>>().into_iter().next())
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if bytes.is_empty() || descriptors.len() > MAX_DESCRIPTORS {
        return Err(Errno::INVAL.into());
    }
    transmit(socket, bytes, descriptors).map(drop)
}

fn transmit(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL.into());
    }
    let parts = [IoSlice::new(bytes)];
    Ok(retry_on_intr(|| sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL))?)
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Socket {
    /// Takes over an end that was inherited or received; it must be of type `SOCK_SEQPACKET`.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(received: Received) -> (Vec<u8>, Vec<OwnedFd>) {
        match received {
            Received::Message(bytes, descriptors) => (bytes, descriptors),
            Received::Closed => panic!("closed"),
        }
    }

    #[test]
    fn a_descriptor_comes_through_a_stream() {
        let (one, other) = UnixStream::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        send_descriptor(one.as_fd(), b"null", null.as_fd()).unwrap();
        let identity = |file: BorrowedFd<'_>| rustix::fs::fstat(file).map(|stat| (stat.st_dev, stat.st_ino));
        let came = receive_descriptor(other.as_fd()).unwrap().unwrap();
        assert_eq!(identity(came.as_fd()).unwrap(), identity(null.as_fd()).unwrap());
        drop(one);
        assert!(receive_descriptor(other.as_fd()).unwrap().is_none());
    }

    #[test]
    fn a_stream_that_does_not_wait_says_so_and_carries_descriptors() {
        let (ours, theirs) = stream_pair().unwrap();
        let nothing = receive_some(ours.as_fd(), &mut [0; 8]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(send_some(ours.as_fd(), b"ab", &[theirs.as_fd()]).unwrap(), 2);
        let mut bytes = [0; 8];
        let (length, descriptors) = receive_some(theirs.as_fd(), &mut bytes).unwrap();
        assert_eq!((&bytes[..length], descriptors.len()), (&b"ab"[..], 1));
        drop((theirs, descriptors));
        assert_eq!(receive_some(ours.as_fd(), &mut bytes).unwrap().0, 0);
    }

    #[test]
    fn messages_stay_apart_and_whole() {
        let (one, other) = Socket::pair().unwrap();
        one.send(b"first", &[]).unwrap();
        one.send(&vec![7; 100_000], &[]).unwrap();
        assert_eq!(message(other.recv().unwrap()).0, b"first");
        assert_eq!(message(other.recv().unwrap()).0, vec![7; 100_000]);
        assert!(one.send(b"", &[]).is_err());
    }

    #[test]
    fn descriptors_arrive_close_on_exec() {
        let (one, other) = Socket::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        one.send(b"x", &[file.as_fd(); MAX_DESCRIPTORS]).unwrap();
        let (_, descriptors) = message(other.recv().unwrap());
        assert_eq!(descriptors.len(), MAX_DESCRIPTORS);
        for descriptor in &descriptors {
            assert!(rustix::io::fcntl_getfd(descriptor).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
            assert_eq!(rustix::fs::fstat(descriptor).unwrap().st_rdev, rustix::fs::makedev(1, 3));
        }
        assert!(one.send(b"x", &[file.as_fd(); MAX_DESCRIPTORS + 1]).is_err());
    }

    #[test]
    fn a_stream_takes_a_descriptor_too() {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        send_descriptor(one.as_fd(), b"null", file.as_fd()).unwrap();
        let (name, descriptors) = message(Socket::from(OwnedFd::from(other)).recv().unwrap());
        // A stream has no messages: its length is what was read of it.
        assert!(b"null".starts_with(&name));
        assert_eq!(rustix::fs::fstat(&descriptors[0]).unwrap().st_rdev, rustix::fs::makedev(1, 3));
    }

    #[test]
    fn whoever_listens_and_never_accepts_or_reads_keeps_nobody() {
        let path = std::env::temp_dir().join(format!("nucleus-sys-deaf-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let deaf = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&deaf, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        // One connection waits to be accepted; there is no room for a second.
        rustix::net::listen(&deaf, 0).unwrap();
        let patience = Duration::from_millis(50);
        let mut first = connect_within(&path, patience).unwrap();
        let second = connect_within(&path, patience).unwrap_err();
        let unread = io::Write::write_all(&mut first, &vec![0; 16 << 20]).unwrap_err();
        std::fs::remove_file(path).unwrap();
        assert_eq!((second.kind(), unread.kind()), (io::ErrorKind::WouldBlock, io::ErrorKind::WouldBlock));
    }

    #[test]
    fn the_end_is_told_apart() {
        let (one, other) = Socket::pair().unwrap();
        one.send(b"last", &[]).unwrap();
        drop(one);
        assert_eq!(message(other.recv().unwrap()).0, b"last");
        assert!(matches!(other.recv().unwrap(), Received::Closed));
        assert_eq!(other.send(b"x", &[]).unwrap_err().raw_os_error(), Some(libc::EPIPE));
    }

    #[test]
    fn too_many_descriptors_from_a_stranger_are_refused_and_closed() {
        let (one, other) = Socket::pair().unwrap();
        let many = vec![one.as_fd(); MAX_DESCRIPTORS + 20];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS + 20))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
        sendmsg(&one, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
        assert_eq!(other.recv().unwrap_err().raw_os_error(), Some(libc::EBADMSG));
    }
}
