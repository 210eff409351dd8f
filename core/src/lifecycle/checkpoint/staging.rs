//! Where a checkpoint is made: a directory inside that of its images. What lies there moves up when it is whole, so that an
//! attempt that fails leaves an older checkpoint as it was.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::{Mode, OFlags};
use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;

use super::files::names;
use super::kept::{self, Kept};

const NAME: &str = ".new";
const PARENT: &str = "parent";
/// What said of an older checkpoint what it is, while another takes its place.
const OLDER: &str = "older.json";
const STEP: &str = "write the checkpoint";

/// The directory, while the images' is locked.
#[derive(Debug)]
pub(super) struct Staging<'a> {
    images: BorrowedFd<'a>,
    directory: OwnedFd,
}

impl<'a> Staging<'a> {
    /// # Errors
    /// `wrong-state` while another checkpoint is written into the same directory; `system-call`.
    pub(super) fn make(images: BorrowedFd<'a>) -> Result<Self> {
        if !lock(images).map_err(|error| failed(&error))? {
            return Err(Error::new(ErrorCode::WrongState, STEP)
                .because("another checkpoint is being written into the directory"));
        }
        finish_locked(images)?;
        let make = || -> io::Result<OwnedFd> {
            // One that was killed has left it.
            clear(images)?;
            rustix::fs::mkdirat(images, NAME, Mode::from(0o700))?;
            open(images)
        };
        Ok(Self { images, directory: make().map_err(|error| failed(&error))? })
    }

    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// A link to earlier images, and its name. The link leads to the same place when it has moved up, but for one `..`.
    pub(super) fn link(&self, parent: &Path) -> Result<&'static str> {
        let made = rustix::fs::symlinkat(Path::new("..").join(parent), &self.directory, PARENT);
        made.map(|()| PARENT).map_err(|errno| failed(&errno.into()))
    }

    /// Takes all of it away.
    pub(super) fn discard(&self) {
        let _ = clear(self.images);
    }

    /// Puts it in the place of an older checkpoint: what says what the images are goes first and comes last, so that there is
    /// never a mixture that could be restored.
    pub(super) fn settle(self) -> Result<()> {
        self.replace().map_err(|error| {
            failed(&error)
                .hint(format!("the checkpoint is whole, in the directory `{NAME}` inside that of the images"))
        })
    }

    /// Each step can be taken again: who is killed at one is followed by somebody who begins anew ([`finish`]).
    fn replace(&self) -> io::Result<()> {
        match rustix::fs::renameat(self.images, kept::FILE, &self.directory, OLDER) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ours = Kept::read(self.directory()).map_err(io::Error::other)?;
        let older = Kept::read_from(self.directory(), OLDER).ok();
        let others =
            older.iter().flat_map(Kept::names).filter(|name| !ours.names().any(|ours| ours == *name));
        for name in others.chain([PARENT]) {
            remove(self.images, name)?;
        }
        for name in names(self.directory())? {
            match name.to_bytes() {
                name if name == kept::FILE.as_bytes() || name == OLDER.as_bytes() => {}
                name if name == PARENT.as_bytes() => self.link_anew()?,
                _ => rustix::fs::renameat(&self.directory, &name, self.images, &name)?,
            }
        }
        rustix::fs::renameat(&self.directory, kept::FILE, self.images, kept::FILE)?;
        clear(self.images)
    }

    fn link_anew(&self) -> io::Result<()> {
        use std::os::unix::ffi::OsStrExt;
        let target = rustix::fs::readlinkat(&self.directory, PARENT, Vec::new())?;
        let target = Path::new(std::ffi::OsStr::from_bytes(target.to_bytes()));
        let above = target.strip_prefix("..").unwrap_or(target);
        Ok(rustix::fs::symlinkat(above, self.images, PARENT)?)
    }
}

/// Moves up what somebody was killed over moving up: the processes may have ended, and these are all there is of them. While
/// another checkpoint is being made nothing is done.
///
/// # Errors
/// `system-call`.
pub(in super::super) fn finish(images: BorrowedFd<'_>) -> Result<()> {
    if open(images).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    if !lock(images).map_err(|error| failed(&error))? {
        return Ok(());
    }
    let finished = finish_locked(images);
    let _ = rustix::fs::flock(images, FlockOperation::Unlock);
    finished
}

fn finish_locked(images: BorrowedFd<'_>) -> Result<()> {
    let Ok(directory) = open(images) else { return Ok(()) };
    if Kept::read(directory.as_fd()).is_ok_and(|kept| kept.is_whole()) {
        return Staging { images, directory }.settle();
    }
    Ok(())
}

/// Held until the directory is closed. Whether it was free.
fn lock(images: BorrowedFd<'_>) -> io::Result<bool> {
    match rustix::fs::flock(images, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn open(images: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(images, NAME, flags, Mode::empty())?)
}

/// Removes the directory, which is flat.
fn clear(images: BorrowedFd<'_>) -> io::Result<()> {
    let directory = match open(images) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for name in names(directory.as_fd())? {
        rustix::fs::unlinkat(&directory, &name, AtFlags::empty())?;
    }
    Ok(rustix::fs::unlinkat(images, NAME, AtFlags::REMOVEDIR)?)
}

fn remove(directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn failed(error: &io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, STEP).because(error)
}
