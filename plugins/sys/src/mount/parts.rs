//! Parts of a mount that hangs nowhere, each as a mount of its own.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::{DetachedMount, Propagation, Reach, set_root_propagation};
use crate::clone::{Clone3, spawn};
use crate::namespace::NamespaceSet;
use crate::socket::{Received, Socket};

impl DetachedMount {
    /// A mount of each of these files or directories of it, in their order.
    ///
    /// Since Linux 6.15 `open_tree(2)` clones parts of a mount that hangs nowhere; before, only of one in the caller's mount
    /// namespace (EINVAL). There a child with a mount namespace of its own makes them, which takes a caller of one thread and
    /// `CAP_SYS_ADMIN`.
    pub fn parts(&self, paths: &[&CStr]) -> io::Result<Vec<Self>> {
        match self.clone_parts(paths) {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                self.parts_by_child(paths)
            }
            parts => parts,
        }
    }

    fn clone_parts(&self, paths: &[&CStr]) -> io::Result<Vec<Self>> {
        paths.iter().map(|path| Self::clone_at(self.as_fd(), path, Reach::Mount)).collect()
    }

    /// A child attaches it where nobody else sees it, and sends the clones. They outlive its mount namespace.
    fn parts_by_child(&self, paths: &[&CStr]) -> io::Result<Vec<Self>> {
        let (ours, theirs) = Socket::pair()?;
        let child = spawn(Clone3 { namespaces: NamespaceSet::MOUNT, ..Clone3::default() }, || {
            i32::from(self.send_parts(paths, &theirs).is_err())
        })?;
        drop(theirs);
        let mut parts = Vec::new();
        while let Received::Message(_, descriptors) = ours.recv()? {
            parts.extend(descriptors.into_iter().map(Self::from));
        }
        child.pidfd.wait()?;
        if parts.len() == paths.len() { Ok(parts) } else { Err(Errno::INVAL.into()) }
    }

    fn send_parts(&self, paths: &[&CStr], to: &Socket) -> io::Result<()> {
        set_root_propagation(Propagation::Private)?;
        let place = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let attached = Self::from(self.as_fd().try_clone_to_owned()?).attach(place.as_fd())?;
        let attached = Self::from(attached);
        for path in paths {
            to.send(b"part", &[Self::clone_at(attached.as_fd(), path, Reach::Mount)?.as_fd()])?;
        }
        Ok(())
    }
}

impl From<DetachedMount> for OwnedFd {
    fn from(mount: DetachedMount) -> Self {
        mount.0
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    use rustix::fs::openat;

    use super::*;
    use crate::mount::{FsContext, MountAttrFlags};
    use crate::testing::in_child;

    fn tmpfs() -> DetachedMount {
        let mount = FsContext::open("tmpfs").unwrap().mount(MountAttrFlags::MOUNT_ATTR_NOSUID).unwrap();
        for name in ["a", "b"] {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            let mut file = File::from(openat(&mount, name, flags, Mode::RUSR).unwrap());
            file.write_all(name.as_bytes()).unwrap();
        }
        mount
    }

    fn content(part: &DetachedMount) -> String {
        let mut text = String::new();
        let path = format!("/proc/self/fd/{}", part.as_fd().as_raw_fd());
        File::open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_part_outlives_the_whole() {
        in_child(|| {
            let parts = tmpfs().parts(&[c"b", c"a"]).unwrap();
            assert_eq!(parts.iter().map(content).collect::<Vec<_>>(), ["b", "a"]);
        });
    }

    /// What kernels before 6.15 need.
    #[test]
    fn a_child_makes_the_same_parts() {
        in_child(|| {
            let parts = tmpfs().parts_by_child(&[c"b", c"a"]).unwrap();
            assert_eq!(parts.iter().map(content).collect::<Vec<_>>(), ["b", "a"]);
            // By this others know what hangs nowhere.
            let path = format!("/proc/self/fd/{}", parts[0].as_fd().as_raw_fd());
            assert_eq!(std::fs::read_link(path).unwrap().as_os_str(), "/");
            assert!(tmpfs().parts_by_child(&[c"none"]).is_err());
        });
    }
}
