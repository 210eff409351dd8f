//! The files of a checkpoint, and how each is known again: whoever mixes those of two gets nothing that runs.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nucleus_sys::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::bundle::Digest;

/// Bytes; what is larger is memory, and known by its length: reading it twice would take as long as making it.
const LARGE: u64 = 1 << 20;

/// By name.
pub(super) type Files = BTreeMap<String, Known>;

/// By what a file is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Bytes.
    length: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// All regular files of a directory but one.
pub(super) fn files(directory: BorrowedFd<'_>, but: &str) -> io::Result<Files> {
    let names = names(directory)?.into_iter().map(|name| name.to_string_lossy().into_owned());
    let known =
        names.filter(|name| name != but).map(|name| Ok(known(directory, &name)?.map(|known| (name, known))));
    known.filter_map(io::Result::transpose).collect()
}

/// The first that is missing or another, with the cause.
pub(super) fn first_other(directory: BorrowedFd<'_>, files: &Files) -> Option<(String, String)> {
    files.iter().find_map(|(name, expected)| {
        let cause = match known(directory, name) {
            Ok(Some(found)) if found == *expected => return None,
            Ok(_) => "it is not the file that the checkpoint was made with".to_owned(),
            Err(error) => error.to_string(),
        };
        Some((name.clone(), cause))
    })
}

/// The names in a directory.
pub(super) fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let entries = rustix::fs::Dir::read_from(directory)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_owned()));
    names.filter(|name| !matches!(name, Ok(name) if [&b"."[..], b".."].contains(&name.to_bytes()))).collect()
}

/// `None` for what is no regular file.
fn known(directory: BorrowedFd<'_>, name: &str) -> io::Result<Option<Known>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::LOOP) => return Ok(None),
        opened => File::from(opened?),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let length = metadata.len();
    let mut buffer = vec![0; 1 << 16];
    let sha256 = (length <= LARGE).then(|| Digest::of(file.as_fd(), &mut buffer)).transpose()?;
    let sha256 = sha256.map(|(digest, _)| digest.to_string());
    Ok(Some(Known { length, sha256 }))
}
