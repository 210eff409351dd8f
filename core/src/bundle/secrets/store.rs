//! The file system that secrets lie on: in memory, mounted nowhere, and read-only before anybody else sees it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::calls;
use nucleus_sys::mount::{Change, DetachedMount, FsContext, MountAttrFlags, Reach};
use nucleus_sys::{Mode, OFlags};
use rustix::fs::{Gid, Uid, fchmod, fchown, openat};

use crate::bundle::rootfs::Owner;
use crate::plan::{SecretPlan, SecretsPlan};

/// Where variables are gathered; files have numbers for names.
const ENVIRONMENT: &str = "environment";

/// The file system while it is being filled.
pub(super) struct Store {
    mount: DetachedMount,
    files: Vec<usize>,
    environment: Option<File>,
    swap: Option<String>,
}

impl Store {
    pub(super) fn new(secrets: &SecretsPlan) -> Result<Self> {
        let fail = |error: io::Error| {
            Error::new(ErrorCode::HostUnfit, "make a file system in memory for secrets")
                .because(calls::named(error))
        };
        let context = FsContext::open("tmpfs").map_err(fail)?;
        // One for each file, one for the variables, one for the top.
        let inodes = (secrets.list.len() + 2).to_string();
        let size = secrets.size.value.to_string();
        let options = [("source", "secrets"), ("mode", "0700"), ("size", &size), ("nr_inodes", &inodes)];
        for (key, value) in options {
            context.set(key, value).map_err(fail)?;
        }
        let swap = context.set_flag("noswap").err().map(|error| error.to_string());
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mount = context.mount(attributes).map_err(fail)?;
        let gathers = secrets.list.iter().any(|secret| secret.value.variable.is_some());
        let environment = gathers.then(|| create(mount.as_fd(), ENVIRONMENT)).transpose().map_err(fail)?;
        Ok(Self { mount, files: Vec::new(), environment, swap })
    }

    /// Why it may be swapped out, if it may.
    pub(super) fn swap(&self) -> Option<&str> {
        self.swap.as_deref()
    }

    /// An empty file, which nobody but its owner may read yet.
    pub(super) fn file(&mut self, index: usize) -> io::Result<File> {
        self.files.push(index);
        create(self.mount.as_fd(), &index.to_string())
    }

    /// Where the secret's variable is written, if it has one.
    pub(super) fn environment(&self, secret: &SecretPlan) -> Option<&File> {
        self.environment.as_ref().filter(|_| secret.variable.is_some())
    }

    /// Nothing can be written any more: a mount of each file, and the variables.
    pub(super) fn finish(self) -> Result<(BTreeMap<usize, OwnedFd>, Option<OwnedFd>)> {
        let fail = |step: &'static str| {
            move |error: io::Error| Error::new(ErrorCode::SystemCall, step).because(calls::named(error))
        };
        let gathered = self.environment.is_some();
        // A file system with files open for writing cannot become read-only.
        drop(self.environment);
        seal(&self.mount, self.swap.is_none()).map_err(fail("make the secrets read-only"))?;
        let reading = || open(self.mount.as_fd(), ENVIRONMENT, OFlags::RDONLY);
        let environment = gathered.then(reading).transpose().map_err(fail("open the secret variables"))?;
        let mounts = mounts_of(&self.mount, &self.files).map_err(fail("make a mount of each secret"))?;
        Ok((self.files.into_iter().zip(mounts).collect(), environment))
    }
}

/// Owner first: a change of owner takes bits away, chown(2).
pub(super) fn give(file: &File, owner: Owner, mode: u32) -> io::Result<()> {
    fchown(file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?;
    Ok(fchmod(file, Mode::from_raw_mode(mode))?)
}

fn create(directory: BorrowedFd<'_>, name: &str) -> io::Result<File> {
    open(directory, name, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY).map(File::from)
}

fn open(directory: BorrowedFd<'_>, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(directory, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?)
}

/// The file system itself, so that no other mount of it can be written to, and the mount.
fn seal(mount: &DetachedMount, unswapped: bool) -> io::Result<()> {
    let context = FsContext::pick(mount.as_fd())?;
    if unswapped {
        // Left out, it would mean "swap again", which tmpfs refuses.
        context.set_flag("noswap")?;
    }
    context.set_flag("ro")?.reconfigure()?;
    mount.change(Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() }, Reach::Mount)
}

fn mounts_of(mount: &DetachedMount, files: &[usize]) -> io::Result<Vec<OwnedFd>> {
    let names =
        files.iter().map(|file| Ok(CString::new(file.to_string())?)).collect::<io::Result<Vec<_>>>()?;
    let names: Vec<&CStr> = names.iter().map(CString::as_c_str).collect();
    Ok(mount.parts(&names)?.into_iter().map(OwnedFd::from).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use rustix::fs::fstat;
    use rustix::io::Errno;

    use super::*;
    use crate::plan::{Decided, Swap};
    use crate::profile::Origin;

    fn secrets(size: u64) -> SecretsPlan {
        let size = Decided::new(size, Origin::BuiltIn("test"));
        SecretsPlan { list: Vec::new(), size, swap: Swap::Never }
    }

    fn store() -> Store {
        let mut store = Store::new(&secrets(1 << 20)).unwrap();
        let mut file = store.file(3).unwrap();
        file.write_all(b"mine").unwrap();
        give(&file, Owner { uid: 5, gid: 6 }, 0o640).unwrap();
        store
    }

    fn read(mount: &OwnedFd) -> String {
        let mut text = String::new();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(mount));
        File::open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_file_is_a_mount_of_its_own_that_nobody_can_write_to() {
        let (files, environment) = store().finish().unwrap();
        assert!(environment.is_none());
        let mount = &files[&3];
        let stat = fstat(mount).unwrap();
        assert_eq!((stat.st_uid, stat.st_gid, stat.st_mode & 0o7777), (5, 6, 0o640));
        assert_eq!(read(mount), "mine");
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(mount));
        assert_eq!(std::fs::write(path, "x").unwrap_err().raw_os_error(), Some(Errno::ROFS.raw_os_error()));
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!table.contains("- tmpfs secrets"), "it is mounted somewhere:\n{table}");
    }

    #[test]
    fn its_size_is_a_limit() {
        let mut store = Store::new(&secrets(8192)).unwrap();
        let mut file = store.file(0).unwrap();
        file.write_all(&[1; 8192]).unwrap();
        assert_eq!(file.write_all(&[1]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
