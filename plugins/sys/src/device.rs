//! Devices by descriptor, verified.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, major, makedev, minor, openat};
use rustix::io::Errno;

/// Opens `null` in a `/dev` directory, verified to be the device 1:3.
pub fn open_null(dev: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Special::Char(1, 3).open(dev, c"null")
}

/// What a special file is (`mknod(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// A character device, with its major and minor number.
    Char(u32, u32),
    /// A block device, with its major and minor number.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

impl Special {
    /// What the file is; `None` for files that are not special, and for sockets.
    pub fn of(file: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let stat = fstat(file)?;
        let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => Some(Self::Char(major, minor)),
            FileType::BlockDevice => Some(Self::Block(major, minor)),
            FileType::Fifo => Some(Self::Fifo),
            _ => None,
        })
    }

    /// Opens `directory`/`name` as a handle (`O_PATH`) after checking that it *is* this, and not a link or a file that the
    /// image put in its place (CVE-2025-31133).
    ///
    /// Errors: ENXIO if it is something else.
    pub fn open(self, directory: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(directory, name, flags, Mode::empty())?;
        if Self::of(found.as_fd())? == Some(self) { Ok(found) } else { Err(Errno::NXIO.into()) }
    }

    /// Makes it; the caller's umask applies to `mode`.
    ///
    /// Errors: EPERM without `CAP_MKNOD` in the initial user namespace, or if the cgroup's device rules refuse it;
    /// a named pipe anybody may make.
    pub fn make(self, directory: BorrowedFd<'_>, name: &CStr, mode: Mode) -> io::Result<()> {
        let (kind, device) = match self {
            Self::Char(major, minor) => (FileType::CharacterDevice, makedev(major, minor)),
            Self::Block(major, minor) => (FileType::BlockDevice, makedev(major, minor)),
            Self::Fifo => (FileType::Fifo, 0),
        };
        Ok(rustix::fs::mknodat(directory, name, kind, mode, device)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::open;

    #[test]
    fn only_the_real_device_opens() {
        let dev = open("/dev", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        open_null(dev.as_fd()).unwrap();
        let wrong = Special::Char(1, 3).open(dev.as_fd(), c"zero").unwrap_err();
        assert_eq!(wrong.raw_os_error(), Some(libc::ENXIO));
    }

    #[test]
    fn a_link_to_the_device_is_not_the_device() {
        let path = std::env::temp_dir().join(format!("nucleus-device-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", path.join("null")).unwrap();
        let dev = open(&path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let refused = open_null(dev.as_fd()).unwrap_err();
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(refused.raw_os_error(), Some(libc::ENXIO));
    }

    #[test]
    fn what_is_made_is_what_was_asked_for() {
        let path = std::env::temp_dir().join(format!("nucleus-special-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let directory = open(&path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let kinds =
            [(Special::Char(10, 229), c"char"), (Special::Block(7, 9), c"block"), (Special::Fifo, c"fifo")];
        let found = kinds.map(|(special, name)| {
            special.make(directory.as_fd(), name, Mode::from(0o600))?;
            special.open(directory.as_fd(), name).and_then(|file| Special::of(file.as_fd()))
        });
        let wrong = Special::Char(7, 9).open(directory.as_fd(), c"block").unwrap_err();
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(found.map(Result::unwrap), kinds.map(|(special, _)| Some(special)));
        assert_eq!(wrong.raw_os_error(), Some(libc::ENXIO));
    }
}
