//! Devices by descriptor, verified.

use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, major, makedev, minor, openat};
use rustix::io::Errno;

/// Opens `directory`/`name` as a handle (`O_PATH`) after checking that it *is* the character device
/// `major`:`minor`, and not a link or a file that the image put in its place (CVE-2025-31133).
///
/// Errors: ENXIO if it is something else.
pub fn open_char_device(directory: BorrowedFd<'_>, name: &CStr, number: (u32, u32)) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let device = openat(directory, name, flags, Mode::empty())?;
    let stat = fstat(&device)?;
    let is_char = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if is_char && (major(stat.st_rdev), minor(stat.st_rdev)) == number {
        Ok(device)
    } else {
        Err(Errno::NXIO.into())
    }
}

/// Opens `null` in a `/dev` directory, verified to be the device 1:3.
pub fn open_null(dev: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    open_char_device(dev, c"null", (1, 3))
}

/// Makes a character device; the caller's umask applies to `mode`. EPERM in a user namespace.
pub fn make_char_device(
    directory: BorrowedFd<'_>,
    name: &CStr,
    number: (u32, u32),
    mode: Mode,
) -> io::Result<()> {
    let device = makedev(number.0, number.1);
    Ok(rustix::fs::mknodat(directory, name, FileType::CharacterDevice, mode, device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::open;
    use std::os::fd::AsFd;

    #[test]
    fn only_the_real_device_opens() {
        let dev = open("/dev", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        open_null(dev.as_fd()).unwrap();
        let wrong = open_char_device(dev.as_fd(), c"zero", (1, 3)).unwrap_err();
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
}
