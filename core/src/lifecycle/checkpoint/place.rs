//! The directories of a checkpoint.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Images, Result};
use nucleus_sys::{Mode, OFlags};
use rustix::fs::CWD;

/// Where images are, and how they are made or read.
#[derive(Debug)]
pub struct Place {
    /// Their directory.
    pub images: PathBuf,
    /// A directory for logs.
    pub work: Option<PathBuf>,
    /// The rest; the descriptors in it are filled in when the directories are opened.
    pub how: Images,
}

/// The directories, opened.
#[derive(Debug)]
pub(in super::super) struct Opened {
    pub(in super::super) images: OwnedFd,
    work: Option<OwnedFd>,
    /// Those that were not there before, the outermost first.
    made: Vec<PathBuf>,
}

impl Place {
    /// Makes what is missing of the directories, and of those that they lie in.
    pub(super) fn make(&self) -> Result<Opened> {
        let mut made = Vec::new();
        let wanted = [Some(&self.images), self.work.as_ref()].into_iter().flatten();
        let opened = { wanted }.try_for_each(|path| make(path, &mut made)).and_then(|()| self.open());
        match opened {
            Ok(opened) => Ok(Opened { made, ..opened }),
            Err(error) => {
                unmake(&made);
                Err(error)
            }
        }
    }

    /// Opens them.
    ///
    /// # Errors
    /// `host-unfit` for a directory that is not there, or that others can write to: what lies in it becomes processes with
    /// the rights that it says.
    pub(in super::super) fn open(&self) -> Result<Opened> {
        let open = |path: &Path| open(CWD, path);
        let work = self.work.as_deref().map(open).transpose()?;
        Ok(Opened { images: open(&self.images)?, work, made: Vec::new() })
    }
}

impl Opened {
    /// `first` is the index of the first of [`Self::descriptors`] in the request.
    pub(in super::super) fn request(&self, how: &Images, first: usize) -> Images {
        Images { directory: first, work: self.work.as_ref().map(|_| first + 1), ..how.clone() }
    }

    pub(in super::super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        [Some(&self.images), self.work.as_ref()].into_iter().flatten().map(AsFd::as_fd).collect()
    }

    /// Where logs are written.
    pub(super) fn logs(&self) -> BorrowedFd<'_> {
        self.work.as_ref().unwrap_or(&self.images).as_fd()
    }

    /// The directory of earlier images.
    pub(super) fn parent(&self, path: &Path) -> Result<OwnedFd> {
        open(self.images.as_fd(), path)
    }

    /// Removes what was made and has stayed empty: a log that tells of a failure stays.
    pub(super) fn unmake(&self) {
        unmake(&self.made);
    }
}

fn make(path: &Path, made: &mut Vec<PathBuf>) -> Result<()> {
    let above: Vec<&Path> = path.ancestors().filter(|above| !above.as_os_str().is_empty()).collect();
    for directory in above.into_iter().rev() {
        match fs::DirBuilder::new().mode(0o700).create(directory) {
            Ok(()) => made.push(directory.to_owned()),
            // What stands there is told when it is opened; that of a read-only file system is told as such (mkdir(2)).
            Err(error) if error.kind() == ErrorKind::AlreadyExists || directory.exists() => {}
            Err(error) => return Err(unusable(path, error)),
        }
    }
    Ok(())
}

fn unmake(made: &[PathBuf]) {
    for directory in made.iter().rev() {
        let _ = fs::remove_dir(directory);
    }
}

fn open(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(at, path, flags, Mode::empty())
        .map_err(|errno| unusable(path, std::io::Error::from(errno)))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(|error| unusable(path, error))?;
    let owner = metadata.uid();
    if (owner != 0 && owner != rustix::process::geteuid().as_raw()) || metadata.mode() & 0o022 != 0 {
        return Err(unusable(path, "others can write to it, and it says what rights processes have")
            .hint("it must belong to root or to the caller, and be writable by its owner alone"));
    }
    Ok(OwnedFd::from(file))
}

/// Whether both are one directory.
pub(super) fn same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<bool> {
    let identity = |directory| rustix::fs::fstat(directory).map(|stat| (stat.st_dev, stat.st_ino));
    let same = identity(one).and_then(|one| Ok(one == identity(other)?));
    same.map_err(|errno| {
        Error::new(ErrorCode::SystemCall, "look at the directory of a checkpoint")
            .because(std::io::Error::from(errno))
    })
}

fn unusable(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::HostUnfit, "use the directory of a checkpoint").on(path.display()).because(cause)
}
