//! A socket that receives one descriptor, as engines listen for the terminals of their containers.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Listens at a path.
#[derive(Debug)]
pub struct DescriptorSocket {
    path: PathBuf,
    listener: UnixListener,
}

impl DescriptorSocket {
    /// Begins to listen.
    pub fn listen(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let listener = UnixListener::bind(&path).expect("listen");
        Self { path, listener }
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for a descriptor and the name that comes with it.
    pub fn receive(&self) -> (String, OwnedFd) {
        let (stream, _) = self.listener.accept().expect("somebody connects");
        let mut name = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut name)];
        let got = recvmsg(&stream, parts, &mut control, RecvFlags::CMSG_CLOEXEC).expect("a message comes");
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
            _ => None,
        });
        let name = String::from_utf8_lossy(&name[..got.bytes]).into_owned();
        (name, descriptor.expect("a descriptor comes with the message"))
    }
}
