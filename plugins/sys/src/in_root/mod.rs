//! Paths inside a directory that is hostile and changes while we look at it.
//!
//! A path is resolved once, by descriptor, as if the directory were `/`: links and `..` in it can't lead
//! out, magic links are refused. Afterwards only the descriptor is used (CVE-2021-30465, CVE-2019-18837).
//!
//! The kernel does it (openat2, `RESOLVE_IN_ROOT`); where the call is missing, or gives up because renames
//! race with `..`, a walk in user space does the same, one component at a time.

mod path;
mod resolve;
mod walk;

#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

pub use path::{InRootPath, InvalidPath};
use walk::MAX_LINKS;

/// What to do with a link at the very end of a path. Links before the end are always followed, in-root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastLink {
    Follow,
    Keep,
}

/// A directory that is the root for every path resolved in it.
#[derive(Debug, Clone, Copy)]
pub struct Root<'a>(BorrowedFd<'a>);

impl<'a> Root<'a> {
    /// `directory` may be an `O_PATH` descriptor.
    pub fn new(directory: BorrowedFd<'a>) -> Self {
        Self(directory)
    }

    /// Opens `path`, following links in-root. Adds `O_CLOEXEC` and `O_NOCTTY`; never creates.
    pub fn open(self, path: &InRootPath, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(resolve::resolve(self.0, path, flags, LastLink::Follow)?)
    }

    /// Like [`Root::open`], but a link at the end is not followed: ELOOP, or with `O_PATH` the link itself.
    pub fn open_no_follow(self, path: &InRootPath, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(resolve::resolve(self.0, path, flags, LastLink::Keep)?)
    }

    /// Opens the directory `path` as a handle (`O_PATH`), making what is missing of it.
    ///
    /// What exists is resolved in-root, also a link that leads to nothing yet; what is missing is made and opened
    /// one by one, by descriptor, and may hold neither `..` nor links: no inode is ever made outside
    /// (CVE-2024-45310). The umask applies to `mode`.
    pub fn mkdir_all(self, path: &InRootPath, mode: Mode) -> io::Result<OwnedFd> {
        let (mut here, missing) = self.longest_existing(path)?;
        for name in &missing {
            here = make_directory(here.as_fd(), name, mode)?;
        }
        Ok(here)
    }

    /// Opens the file `path` as a handle (`O_PATH`), making it, empty, and its directories if it is missing:
    /// the place for a file to be mounted on. A link that leads to nothing is completed, in-root. `mode` is the
    /// file's; directories get 0755.
    ///
    /// Errors: EISDIR if a directory is there.
    pub fn create_file(self, path: &InRootPath, mode: Mode) -> io::Result<OwnedFd> {
        match self.open(path, OFlags::PATH) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => self.make_file(path, mode),
            Ok(found) if is_directory(&found)? => Err(Errno::ISDIR.into()),
            result => result,
        }
    }

    /// Makes the link `path` with the text `target`, and its directories if they are missing. EEXIST if
    /// anything is there.
    pub fn symlink(self, target: &CStr, path: &InRootPath) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(rustix::fs::symlinkat(target, &parent, name)?)
    }

    /// The text of the link at `path`; EINVAL if it is none.
    pub fn read_link(self, path: &InRootPath) -> io::Result<CString> {
        let link = self.open_no_follow(path, OFlags::PATH)?;
        Ok(rustix::fs::readlinkat(&link, c"", Vec::new())?)
    }

    /// The directory that holds the last component of `path`, made with mode 0755 if missing, and that
    /// component. EINVAL if `path` is the root or ends with `..`.
    pub fn parent(self, path: &InRootPath) -> io::Result<(OwnedFd, &CStr)> {
        let (directory, name) = path.split_last().ok_or(Errno::INVAL)?;
        Ok((self.mkdir_all(&directory, Mode::from(0o755))?, name))
    }

    fn make_file(self, path: &InRootPath, mode: Mode) -> io::Result<OwnedFd> {
        let (mut here, missing) = self.longest_existing(path)?;
        let (name, above) = missing.split_last().ok_or(Errno::EXIST)?;
        for directory in above {
            here = make_directory(here.as_fd(), directory, Mode::from(0o755))?;
        }
        let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&here, name, new, mode)?;
        Ok(openat(&here, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// The deepest directory of `path` that exists, and the names that are missing below it.
    ///
    /// A link to nothing looks like nothing (ENOENT): its text takes the place of what it stands for, and we look
    /// again, as often as the kernel would.
    fn longest_existing(self, path: &InRootPath) -> io::Result<(OwnedFd, Vec<CString>)> {
        let mut path = path.clone();
        for _ in 0..=MAX_LINKS {
            let (found, depth) = self.deepest(&path)?;
            let Some(name) = path.components().get(depth) else { return Ok((found, Vec::new())) };
            match rustix::fs::readlinkat(&found, name, Vec::new()) {
                Ok(target) => path = path.with_link(depth, &target)?,
                Err(Errno::NOENT | Errno::INVAL) => return Ok((found, path.components()[depth..].to_vec())),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::LOOP.into())
    }

    /// The longest prefix of `path` that is a directory, and how many components it has.
    fn deepest(self, path: &InRootPath) -> io::Result<(OwnedFd, usize)> {
        let mut prefix = path.clone();
        loop {
            let error = match self.open(&prefix, OFlags::PATH | OFlags::DIRECTORY) {
                Ok(found) => return Ok((found, prefix.components().len())),
                Err(error) => error,
            };
            if error.raw_os_error() != Some(libc::ENOENT) {
                return Err(error);
            }
            // `missing/..` means nothing that could be made; the root itself can't be missing.
            let Some((shorter, _)) = prefix.split_last() else { return Err(error) };
            prefix = shorter;
        }
    }
}

/// A link that took the directory's place after we looked is refused: ENOTDIR.
fn make_directory(parent: BorrowedFd<'_>, name: &CStr, mode: Mode) -> io::Result<OwnedFd> {
    match mkdirat(parent, name, mode) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

fn is_directory(file: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode) == FileType::Directory)
}
