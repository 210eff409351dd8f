//! `tmpcopyup`: a new tmpfs is filled with what it covers.
//!
//! The image is hostile and may change meanwhile: everything is reached by descriptor, from the covered directory down,
//! and no link is followed. Devices and sockets are left out: on the tmpfs the ones would be no devices, and the others
//! would lead nowhere.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::Result;
use nucleus_sys::in_root::InRootPath;
use nucleus_sys::mount::DetachedMount;
use nucleus_sys::{Mode, OFlags};
use rustix::fs::{self, AtFlags, Dir, FileType, Gid, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::config::{Datum, FileSystem};
use crate::fault::system;

const STEP: &str = "fill a tmpfs with what it covers";

/// Copies what is in the directory `covered` into `tmpfs`, which hangs nowhere yet. Its root gets mode and owner of what it
/// covers, as far as its own options do not say them.
pub(super) fn fill(
    tmpfs: &DetachedMount,
    covered: &OwnedFd,
    file_system: &FileSystem,
    target: &InRootPath,
) -> Result<()> {
    let says = |key: &str| file_system.data.iter().any(|datum: &Datum| datum.key == key);
    let copied = directory_at(covered.as_fd(), c".").and_then(|from| {
        let to = directory_at(tmpfs.as_fd(), c".")?;
        contents(&from, &to)?;
        let stat = fs::fstat(&from)?;
        if !says("uid") && !says("gid") {
            own(&to, &stat)?;
        }
        if !says("mode") {
            fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode))?;
        }
        attributes(&from, &to)
    });
    copied.map_err(|errno| match errno {
        Errno::NOSPC => system(STEP, &errno.into())
            .on(target)
            .because("the tmpfs is too small for it (ENOSPC)")
            .hint("raise its `size=` or `nr_inodes=`, or leave out `tmpcopyup`"),
        _ => system(STEP, &errno.into()).on(target),
    })
}

fn directory_at(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}

fn contents(from: &OwnedFd, to: &OwnedFd) -> rustix::io::Result<()> {
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            copy(from, to, name)?;
        }
    }
    Ok(())
}

fn copy(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    let stat = fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => directory(from, to, name),
        FileType::RegularFile => file(from, to, name),
        FileType::Symlink => {
            fs::symlinkat(fs::readlinkat(from, name, Vec::new())?, to, name)?;
            own_at(to, name, &stat)
        }
        FileType::Fifo => {
            fs::mknodat(to, name, FileType::Fifo, Mode::from_raw_mode(stat.st_mode), 0)?;
            own_at(to, name, &stat)
        }
        _ => Ok(()),
    }
}

fn directory(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    let from = directory_at(from.as_fd(), name)?;
    fs::mkdirat(to, name, Mode::RWXU)?;
    let to = directory_at(to.as_fd(), name)?;
    contents(&from, &to)?;
    settle(&from, &to)
}

fn file(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    // What became a pipe since we looked must not make us wait.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut from = File::from(fs::openat(from, name, flags, Mode::empty())?);
    if FileType::from_raw_mode(fs::fstat(&from)?.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut to = File::from(fs::openat(to, name, new, Mode::RUSR | Mode::WUSR)?);
    std::io::copy(&mut from, &mut to).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    settle(from, to)
}

/// Owner, mode, extended attributes and times; the mode after the owner, whose change clears the bits of setuid, and the
/// attributes after both, for those clear file capabilities.
fn settle(from: impl AsFd, to: impl AsFd) -> rustix::io::Result<()> {
    let stat = fs::fstat(&from)?;
    own(&to, &stat)?;
    fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode))?;
    attributes(&from, &to)?;
    fs::futimens(&to, &times(&stat))
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Timestamps {
        last_access: time(stat.st_atime, i64::try_from(stat.st_atime_nsec).unwrap_or(0)),
        last_modification: time(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
    }
}

fn own(file: impl AsFd, stat: &Stat) -> rustix::io::Result<()> {
    within_map(fs::fchown(file, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid))))
}

fn own_at(directory: &OwnedFd, name: &CStr, stat: &Stat) -> rustix::io::Result<()> {
    let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    within_map(fs::chownat(directory, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW))
}

/// An owner whom the user namespace does not map can't own the copy: it stays the container's root's.
fn within_map(owned: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match owned {
        Err(Errno::INVAL) => Ok(()),
        result => result,
    }
}

fn attributes(from: impl AsFd, to: impl AsFd) -> rustix::io::Result<()> {
    let mut names = vec![0; fs::flistxattr_query(&from)?];
    let length = fs::flistxattr(&from, &mut names[..])?;
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let mut value = vec![0; fs::fgetxattr_query(&from, name)?];
        let length = fs::fgetxattr(&from, name, &mut value[..])?;
        match fs::fsetxattr(&to, name, &value[..length], XattrFlags::empty()) {
            // A kind of attribute that a tmpfs of this kernel does not keep, or, of those, one that is not ours to set.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn owners_modes_attributes_and_links_are_kept() {
        let from = std::env::temp_dir().join(format!("nucleus-copy-up-{}", std::process::id()));
        let to = from.with_extension("copy");
        std::fs::create_dir_all(from.join("deep/er")).unwrap();
        std::fs::create_dir(&to).unwrap();
        std::fs::write(from.join("deep/file"), "content").unwrap();
        symlink("/nowhere", from.join("link")).unwrap();
        fs::mknodat(fs::CWD, from.join("fifo"), FileType::Fifo, Mode::from(0o640), 0).unwrap();
        fs::mknodat(fs::CWD, from.join("device"), FileType::CharacterDevice, Mode::from(0o600), 0x103)
            .unwrap();
        std::os::unix::fs::chown(from.join("deep/file"), Some(17), Some(18)).unwrap();
        std::os::unix::fs::lchown(from.join("link"), Some(19), Some(20)).unwrap();
        std::fs::set_permissions(from.join("deep/file"), PermissionsExt::from_mode(0o4751)).unwrap();
        fs::setxattr(from.join("deep/file"), "trusted.nucleus", b"kept", XattrFlags::empty()).unwrap();
        let open = |path| fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        contents(&open(&from), &open(&to)).unwrap();
        let stat = |path: &str| to.join(path).symlink_metadata().unwrap();
        let file = stat("deep/file");
        let (link, fifo, device) = (stat("link"), stat("fifo"), to.join("device").exists());
        let text = std::fs::read_to_string(to.join("deep/file")).unwrap();
        let mut value = [0; 4];
        fs::getxattr(to.join("deep/file"), "trusted.nucleus", &mut value).unwrap();
        let target = std::fs::read_link(to.join("link")).unwrap();
        let modified = from.join("deep/file").metadata().unwrap().mtime_nsec();
        std::fs::remove_dir_all(&from).unwrap();
        std::fs::remove_dir_all(&to).unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (17, 18, 0o4751));
        assert_eq!((text.as_str(), &value, file.mtime_nsec()), ("content", b"kept", modified));
        assert_eq!((link.uid(), link.gid(), target.to_str()), (19, 20, Some("/nowhere")));
        assert_eq!(fifo.mode() & 0o7777, 0o640);
        assert!(!device);
    }
}
