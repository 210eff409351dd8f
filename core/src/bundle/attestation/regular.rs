//! Reading a file that somebody else may have put there: no fifo keeps us waiting, no device becomes ours.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nucleus_sys::{Mode, OFlags};
use rustix::fs::{CWD, openat};

/// Opens a regular file.
///
/// # Errors
/// What openat(2) says; anything but a regular file is an error too.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(openat(CWD, path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// The content of a file that is no longer than `longest`, in bytes.
///
/// # Errors
/// What read(2) says; a longer file is an error too.
pub(super) fn content(file: File, longest: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let length = file.take(longest + 1).read_to_end(&mut content)?;
    if length as u64 > longest {
        return Err(io::Error::other(format!("it is longer than {longest} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::tree::testing::Scratch;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let scratch = Scratch::new();
        std::fs::write(scratch.path("file"), "12345").unwrap();
        let read = |longest| content(open(&scratch.path("file")).unwrap(), longest);
        assert_eq!(read(5).unwrap(), b"12345");
        assert_eq!(read(4).unwrap_err().to_string(), "it is longer than 4 bytes");
    }
}
