//! The root file system as a descriptor: a private tmpfs that hangs nowhere, or a directory that was opened once.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::calls;
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::mount::FsContext;
use nucleus_sys::process::set_umask;
use nucleus_sys::{Mode, OFlags};
use rustix::fs::{AtFlags, FileType, Gid, Uid};
use rustix::mount::MountAttrFlags;

use super::identity::{self, Accounts};
use super::skeleton::Item;

/// Room for the skeleton alone: the root is read-only once the container runs.
const SIZE: &str = "4m";

/// The user and group of the host that own what nucleus makes in the root: the container's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Makes a private root on a tmpfs of its own. It hangs nowhere: closing the descriptor removes it, so a crash leaves
/// nothing behind.
///
/// # Errors
/// `system-call`, naming the item.
pub(super) fn private_root(items: &[Item], owner: Owner) -> Result<OwnedFd> {
    let root =
        tmpfs().map_err(|error| failed("make a private root file system", Path::new("tmpfs"), &error))?;
    // The modes below are meant exactly; one call instead of a chmod for each item.
    let before = set_umask(Mode::empty());
    let made = items.iter().try_for_each(|item| {
        make(root.as_fd(), item, owner)
            .map_err(|error| failed("fill the private root file system", item.path(), &error))
    });
    set_umask(before);
    made?;
    chown(root.as_fd(), c"", owner)
        .map_err(|error| failed("give the root to the container", Path::new("/"), &error))?;
    Ok(root)
}

fn tmpfs() -> io::Result<OwnedFd> {
    let context = FsContext::open("tmpfs")?;
    context.set("mode", "0755")?.set("size", SIZE)?;
    let mount = context.mount(MountAttrFlags::MOUNT_ATTR_NODEV)?;
    mount.as_fd().try_clone_to_owned()
}

/// Parents come before children and nobody else sees the tree yet, so plain relative names are safe here.
fn make(root: BorrowedFd<'_>, item: &Item, owner: Owner) -> io::Result<()> {
    let path = relative(item.path())?;
    match item {
        Item::Directory(_, mode) => rustix::fs::mkdirat(root, &path, Mode::from_raw_mode(*mode))?,
        Item::Link(_, target) => {
            rustix::fs::symlinkat(target.as_path(), root, &path)?;
        }
        Item::File(_, mode, text) => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = rustix::fs::openat(root, &path, flags, Mode::from_raw_mode(*mode))?;
            io::Write::write_all(&mut fs::File::from(file), text.as_bytes())?;
        }
    }
    chown(root, &path, owner)
}

fn chown(root: BorrowedFd<'_>, path: &std::ffi::CStr, owner: Owner) -> io::Result<()> {
    if owner == (Owner { uid: 0, gid: 0 }) {
        return Ok(());
    }
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    Ok(rustix::fs::chownat(
        root,
        path,
        Some(Uid::from_raw(owner.uid)),
        Some(Gid::from_raw(owner.gid)),
        flags,
    )?)
}

fn relative(path: &Path) -> io::Result<CString> {
    let path = path.strip_prefix("/").unwrap_or(path);
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Opens a directory that is to be the root. A link to it is followed: the operator named it.
///
/// # Errors
/// `host-unfit`, naming the directory.
pub(super) fn directory(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| cannot_open(path).because(io::Error::from(errno)))
}

/// Takes what is open already, if it is a directory.
///
/// # Errors
/// As for [`directory`].
pub(super) fn directory_of(opened: OwnedFd, path: &Path) -> Result<OwnedFd> {
    match rustix::fs::fstat(&opened).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Directory) => Ok(opened),
        Ok(_) => Err(cannot_open(path).because(io::Error::from(io::ErrorKind::NotADirectory))),
        Err(errno) => Err(cannot_open(path).because(io::Error::from(errno))),
    }
}

pub(super) fn cannot_open(path: &Path) -> Error {
    Error::new(ErrorCode::HostUnfit, "open the root file system")
        .on(path.display())
        .hint("`rootfs.path` names a directory that holds the workload's files")
}

/// Reads the account files of a root, in-root: a hostile image could make them links to the host's. Of its layers, the
/// topmost first, the first that has a file counts.
pub(super) fn accounts<'a>(layers: impl Iterator<Item = BorrowedFd<'a>>) -> Accounts {
    let mut accounts = Accounts::default();
    for layer in layers {
        for (name, found) in [("/etc/passwd", &mut accounts.passwd), ("/etc/group", &mut accounts.group)] {
            if found.is_empty() {
                *found = text(layer, name);
            }
        }
    }
    accounts
}

/// The home directory of a user, where the root's `/etc/passwd` lists one. Reads in-root.
pub(crate) fn home(root: BorrowedFd<'_>, uid: u32) -> Option<String> {
    let accounts = Accounts { passwd: text(root, "/etc/passwd"), group: String::new() };
    identity::home(&accounts, uid).map(str::to_owned)
}

/// Longest account file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

fn text(root: BorrowedFd<'_>, path: &str) -> String {
    let read = || -> io::Result<String> {
        let path = InRootPath::new(path).map_err(|_| io::ErrorKind::InvalidInput)?;
        // NONBLOCK: a fifo in place of the file must not hold us.
        let file = fs::File::from(Root::new(root).open(&path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        io::read_to_string(io::Read::take(file, LONGEST))
    };
    read().unwrap_or_default()
}

fn failed(step: &'static str, path: &Path, error: &io::Error) -> Error {
    match calls::behind(error) {
        Some(call) => Error::new(ErrorCode::HostUnfit, step).on(path.display()).because(call),
        None => Error::new(ErrorCode::SystemCall, step).on(path.display()).because(error),
    }
}
