//! A socket to a part of the kernel: requests, dumps and batches.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

use super::message::{Body, Message, refused, split};

/// `linux/netlink.h`.
pub(super) const REQUEST: u16 = 0x1;
pub(super) const ACK: u16 = 0x4;
pub(super) const DUMP: u16 = 0x300;
pub(super) const CREATE: u16 = 0x400;
pub(super) const EXCLUSIVE: u16 = 0x200;
pub(super) const REPLACE: u16 = 0x100;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// The kernel's dumps come in parts of at most 32 KiB.
const PART: usize = 1 << 16;

/// A socket that speaks to the kernel about the network namespace in which it was made.
#[derive(Debug)]
pub(super) struct Socket {
    socket: OwnedFd,
    sequence: u32,
}

impl Socket {
    pub(super) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The number of the next message.
    pub(super) fn next(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    /// One request, and types and bodies of what answers it.
    pub(super) fn ask(&mut self, kind: u16, flags: u16, body: &Body) -> io::Result<Vec<(u16, Vec<u8>)>> {
        let sequence = self.next();
        self.send(&body.message(kind, flags | REQUEST, sequence)?)?;
        self.answers(sequence, sequence)
    }

    /// Sends messages that were built before. The kernel takes all of a batch from one send(2), however large.
    pub(super) fn send(&self, messages: &[u8]) -> io::Result<()> {
        if messages.len() > PART {
            set_socket_send_buffer_size_force(&self.socket, messages.len() * 2)?;
        }
        retry_on_intr(|| send(&self.socket, messages, SendFlags::empty()))?;
        Ok(())
    }

    /// What comes back for the messages from `first` to `last`, up to the first error or the end of the last one's answers.
    pub(super) fn answers(&self, first: u32, last: u32) -> io::Result<Vec<(u16, Vec<u8>)>> {
        let mut answers = Vec::new();
        let mut buffer = vec![0; PART];
        let mut flags = RecvFlags::TRUNC;
        loop {
            let (_, length) = match retry_on_intr(|| recv(&self.socket, &mut buffer[..], flags)) {
                // There were more answers than room: the first ones wait to be read, and no others come (netlink(7)).
                Err(Errno::NOBUFS) => {
                    flags |= RecvFlags::DONTWAIT;
                    continue;
                }
                Err(Errno::AGAIN) => return Err(Errno::NOBUFS.into()),
                received => received?,
            };
            let mut rest = buffer.get(..length).ok_or(Errno::MSGSIZE)?;
            while let Some((message, after)) = split(rest) {
                rest = after;
                match message {
                    // What is left of an earlier request that failed half way.
                    Message { sequence, .. } if !(first..=last).contains(&sequence) => {}
                    Message { kind: DONE, .. } => return Ok(answers),
                    Message { kind: ERROR, body, sequence } => match refused(body) {
                        Some(errno) => return Err(errno.into()),
                        None if sequence == last => return Ok(answers),
                        None => {}
                    },
                    Message { kind, body, .. } => answers.push((kind, body.to_vec())),
                }
            }
        }
    }
}
