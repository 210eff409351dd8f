//! Extended attributes, xattr(7).

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{fgetxattr, flistxattr, getxattr, listxattr};
use rustix::io::Errno;

/// Attributes by name.
pub(crate) type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// Says by its name whether an attribute matters.
pub(crate) type IsKept = fn(&[u8]) -> bool;

/// Longest list of names and longest value: `XATTR_LIST_MAX` and `XATTR_SIZE_MAX` of the kernel.
const LONGEST: usize = 65536;

/// The attributes that matter. `file` may be an `O_PATH` descriptor.
///
/// # Errors
/// The kernel's; a file system without attributes has none.
pub(crate) fn attributes(file: BorrowedFd<'_>, is_kept: IsKept) -> io::Result<Attributes> {
    let file = Handle::of(file);
    let names = match file.names() {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP) => return Ok(Attributes::new()),
        Err(errno) => return Err(errno.into()),
    };
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty() && is_kept(name));
    let mut found = Attributes::new();
    for name in names {
        match file.value(name) {
            Ok(value) => drop(found.insert(name.to_vec(), value)),
            // Taken away since it was listed, or a name without a value of its own.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(found)
}

/// A file by its descriptor, or by the descriptor's path where the descriptor is good for nothing else: then the kernel
/// follows the magic link to what was opened, a link included, and no further.
enum Handle<'a> {
    Open(BorrowedFd<'a>),
    Path(String),
}

impl<'a> Handle<'a> {
    fn of(file: BorrowedFd<'a>) -> Self {
        match flistxattr(file, &mut [0_u8; 0][..]) {
            Err(Errno::BADF) => Self::Path(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())),
            _ => Self::Open(file),
        }
    }

    fn names(&self) -> Result<Vec<u8>, Errno> {
        read(|space| match self {
            Self::Open(file) => flistxattr(file, space),
            Self::Path(path) => listxattr(path.as_str(), space),
        })
    }

    fn value(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        read(|space| match self {
            Self::Open(file) => fgetxattr(file, &name, space),
            Self::Path(path) => getxattr(path.as_str(), &name, space),
        })
    }
}

/// Most files have none, or a short one; the longest possible is asked for only where that is too little.
fn read(ask: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut few = [0; 256];
    match ask(&mut few) {
        Ok(length) => Ok(few[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut many = vec![0; LONGEST];
            let length = ask(&mut many)?;
            many.truncate(length);
            Ok(many)
        }
        Err(errno) => Err(errno),
    }
}
