//! Mount points that lack in a directory that the workload may write to. There is no layer that could provide them: what the
//! workload writes must land in the directory, so the places must be there too, for as long as the container is.
//!
//! Each is noted in the ledger before it is made, under a name that nobody else uses, and once more by what it is before it
//! gets its own name. So whoever undoes the ledger, after whatever crash, removes what was made here and nothing else.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nucleus_abi::{Effect, Error, ErrorCode, Inode, Ledger, Result};
use nucleus_sys::calls;
use nucleus_sys::in_root::{InRootPath, Root};
use nucleus_sys::{Mode, OFlags};
use rustix::fs::{
    AtFlags, RenameFlags, StatxFlags, chmodat, mkdirat, openat, renameat, renameat_with, statat, statx,
    unlinkat,
};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::provided::{Place, PlaceKind, longest_existing, real_path};

/// Where what is made is noted, and what others have made.
pub struct MountPoints<'a> {
    /// The container's ledger.
    pub ledger: &'a mut Ledger,
    /// The mount points that other containers have noted, and a lock that keeps them from noting and removing any.
    pub of_others: &'a dyn Fn() -> Result<(Vec<Inode>, File)>,
}

/// Makes every place that lacks in a directory.
///
/// # Errors
/// `hostile-image`, naming the place.
pub(super) fn make(image: BorrowedFd<'_>, places: &[Place], notes: &mut MountPoints<'_>) -> Result<()> {
    let (others, _lock) = (notes.of_others)()?;
    let mut maker = Maker { image, others, ledger: notes.ledger };
    places.iter().try_for_each(|place| {
        maker.place(place).map_err(|error| {
            Error::new(ErrorCode::HostileImage, "make a mount point that the image lacks")
                .on(place.path.display())
                .because(error)
                .hint("make it in the directory of the root file system, or mount somewhere else")
        })
    })
}

/// What a file is beyond its name.
pub(crate) fn identity(file: impl AsFd) -> io::Result<Inode> {
    let found = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::BTIME);
    let found = found.map_err(|errno| calls::named(errno.into()))?;
    let born = i128::from(found.stx_btime.tv_sec) * 1_000_000_000 + i128::from(found.stx_btime.tv_nsec);
    Ok(Inode {
        device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
        born: u64::try_from(born).unwrap_or_default(),
    })
}

struct Maker<'a> {
    image: BorrowedFd<'a>,
    others: Vec<Inode>,
    ledger: &'a mut Ledger,
}

impl Maker<'_> {
    fn place(&mut self, place: &Place) -> io::Result<()> {
        self.share(&place.path)?;
        let (existing, missing) = longest_existing(self.image, &place.path)?;
        let Some((last, above)) = missing.split_last() else { return Ok(()) };
        let mut here = self.open(&existing)?;
        for name in above {
            here = self.make(&here, name, PlaceKind::Directory)?;
        }
        self.make(&here, last, place.kind).map(drop)
    }

    /// What another container made and this one needs too goes with the last of them.
    fn share(&mut self, path: &Path) -> io::Result<()> {
        if self.others.is_empty() {
            return Ok(());
        }
        let mut prefixes: Vec<&Path> = path.ancestors().filter(|prefix| prefix.parent().is_some()).collect();
        prefixes.reverse();
        for prefix in prefixes {
            let (Ok(found), Some(name)) = (self.open(prefix), prefix.file_name()) else { return Ok(()) };
            let made = identity(&found)?;
            if self.others.contains(&made) {
                let parent = self.open(prefix.parent().unwrap_or(Path::new("/")))?;
                self.note(&parent, name, Some(made))?;
            }
        }
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        if path.as_os_str().is_empty() || path == Path::new("/") {
            return self.image.try_clone_to_owned();
        }
        let path = InRootPath::new(path).map_err(|_| io::ErrorKind::InvalidInput)?;
        Root::new(self.image).open(&path, OFlags::PATH)
    }

    fn note(&mut self, parent: &OwnedFd, name: &OsStr, made: Option<Inode>) -> io::Result<()> {
        let text = |name: &OsStr| name.to_str().map(str::to_owned).ok_or(io::ErrorKind::InvalidFilename);
        self.ledger.record(&Effect::MountPoint {
            directory: real_path(parent.as_fd())?,
            within: identity(parent)?,
            name: text(name)?,
            made,
        })
    }

    fn make(&mut self, parent: &OwnedFd, name: &OsStr, kind: PlaceKind) -> io::Result<OwnedFd> {
        let passing = passing_name()?;
        self.note(parent, OsStr::from_bytes(passing.as_bytes()), None)?;
        let bits = match kind {
            PlaceKind::Directory => {
                mkdirat(parent, &passing, Mode::RWXU)?;
                Mode::from(0o755)
            }
            PlaceKind::File => {
                let flags =
                    OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                drop(openat(parent, &passing, flags, Mode::RUSR)?);
                Mode::from(0o644)
            }
        };
        let made =
            openat(parent, &passing, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        // The umask is the operator's.
        chmodat(parent, &passing, bits, AtFlags::empty())?;
        self.note(parent, name, Some(identity(&made)?))?;
        let name = CString::new(name.as_bytes())?;
        match rename(parent, &passing, &name) {
            Ok(()) => Ok(made),
            // Somebody else was quicker: it is as good a place, and theirs.
            Err(Errno::EXIST) => {
                let flags = if kind == PlaceKind::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                unlinkat(parent, &passing, flags)?;
                Ok(openat(parent, &name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
            }
            Err(errno) => Err(errno.into()),
        }
    }
}

fn passing_name() -> io::Result<CString> {
    let mut random = [0_u8; 8];
    getrandom(&mut random, GetRandomFlags::empty())?;
    Ok(CString::new(format!(".nucleus-{:016x}", u64::from_ne_bytes(random)))?)
}

/// Not every file system can refuse to replace (EINVAL): there we look first.
fn rename(parent: &OwnedFd, from: &CString, to: &CString) -> std::result::Result<(), Errno> {
    match renameat_with(parent, from, parent, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL) => match statat(parent, to, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => renameat(parent, from, parent, to),
            Ok(_) => Err(Errno::EXIST),
            Err(errno) => Err(errno),
        },
        renamed => renamed,
    }
}
