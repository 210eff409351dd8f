//! Removing a directory with all that it holds.
//!
//! The library's `remove_dir_all` takes 32 KiB for each directory, which costs more than all the removing of the few files
//! of a container: it happens at every end, while somebody waits.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

/// Removes the directory at `path`; links are removed, never followed.
///
/// # Errors
/// The first that a system call reports, but for what somebody else removes meanwhile.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    remove_directory(CWD, path).map_err(io::Error::from)
}

fn remove_directory(parent: BorrowedFd<'_>, name: impl Arg + Copy) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory: OwnedFd = openat(parent, name, flags, Mode::empty())?;
    empty(directory.as_fd())?;
    there(unlinkat(parent, name, AtFlags::REMOVEDIR))
}

fn empty(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(directory, &mut space);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        match entry.file_type() {
            _ if matches!(name.to_bytes(), b"." | b"..") => {}
            FileType::Directory => there(remove_directory(directory, name))?,
            // Some file systems do not say what an entry is.
            _ => match unlinkat(directory, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => there(remove_directory(directory, name))?,
                removed => there(removed)?,
            },
        }
    }
    Ok(())
}

fn there(removed: Result<(), Errno>) -> Result<(), Errno> {
    match removed {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn everything_goes_and_nothing_behind_a_link() {
        let base = std::env::temp_dir().join(format!("nucleus-removal-{}", std::process::id()));
        let (tree, outside) = (base.join("tree"), base.join("outside"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        // More than one read of the directory takes.
        (0..300).for_each(|n| fs::write(tree.join(format!("a/{n:050}")), "").unwrap());
        symlink(&outside, tree.join("a/b/link")).unwrap();
        symlink("nowhere", tree.join("dangling")).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && outside.join("kept").exists());
        assert_eq!(remove_tree(&tree).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(remove_tree(&outside.join("kept")).is_err(), "a file is no directory");
        remove_tree(&base).unwrap();
    }
}
