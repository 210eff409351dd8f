//! Removing a directory with all that it holds.
//!
//! The library's `remove_dir_all` takes 32 KiB for each directory, which costs more than all the removing of the few files
//! of a container: it happens at every end, while somebody waits.

use std::cell::Cell;
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, SeekFrom, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

/// How many directories are open at once. A context may be deeper than a process may open, and than a stack.
const DEEPEST: usize = 16;

/// Removes the directory at `path`; links are removed, never followed.
///
/// # Errors
/// The first that a system call reports, but for what somebody else removes meanwhile.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    let top = open(CWD, path)?;
    let removal = Removal { top: top.as_fd(), moved: Cell::new(0) };
    loop {
        let before = removal.moved.get();
        removal.empty(top.as_fd(), 0)?;
        rustix::fs::seek(&top, SeekFrom::Start(0))?;
        if removal.moved.get() == before {
            return Ok(there(unlinkat(CWD, path, AtFlags::REMOVEDIR))?);
        }
    }
}

struct Removal<'a> {
    top: BorrowedFd<'a>,
    /// How many directories were moved up.
    moved: Cell<usize>,
}

impl Removal<'_> {
    fn empty(&self, directory: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); 2048];
        let mut entries = RawDir::new(directory, &mut space);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            match entry.file_type() {
                _ if matches!(name.to_bytes(), b"." | b"..") => {}
                FileType::Directory => there(self.remove_directory(directory, name, depth))?,
                // Some file systems do not say what an entry is.
                _ => match unlinkat(directory, name, AtFlags::empty()) {
                    Err(Errno::ISDIR) => there(self.remove_directory(directory, name, depth))?,
                    removed => there(removed)?,
                },
            }
        }
        Ok(())
    }

    fn remove_directory(&self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Errno> {
        if depth == DEEPEST {
            // It is removed in another round, from the top.
            return self.move_up(parent, name);
        }
        let directory = open(parent, name)?;
        self.empty(directory.as_fd(), depth + 1)?;
        there(unlinkat(parent, name, AtFlags::REMOVEDIR))
    }

    /// Names that are taken are those of a removal that was cut short.
    fn move_up(&self, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        loop {
            let number = self.moved.replace(self.moved.get() + 1);
            match renameat(parent, name, self.top, format!("removed-{number}")) {
                Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                moved => return moved,
            }
        }
    }
}

fn open(parent: BorrowedFd<'_>, name: impl Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
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

    /// Deeper than a process may have directories open.
    #[test]
    fn depth_is_no_obstacle() {
        let base = std::env::temp_dir().join(format!("nucleus-deep-removal-{}", std::process::id()));
        fs::create_dir(&base).unwrap();
        let mut here = open(CWD, &base).unwrap();
        for _ in 0..5000 {
            rustix::fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&here, "e", Mode::RWXU).unwrap();
            here = open(here.as_fd(), "d").unwrap();
        }
        drop(here);
        remove_tree(&base).unwrap();
        assert!(!base.exists());
    }

    /// A removal that was cut short has left them.
    #[test]
    fn a_name_that_is_taken_is_not_moved_to() {
        let base = std::env::temp_dir().join(format!("nucleus-moved-removal-{}", std::process::id()));
        for path in ["removed-0/of-before", "removed-1/of-before", "parent/deep/inner"] {
            fs::create_dir_all(base.join(path)).unwrap();
        }
        let (top, parent) = (open(CWD, &base).unwrap(), open(CWD, base.join("parent")).unwrap());
        let removal = Removal { top: top.as_fd(), moved: Cell::new(0) };
        removal.move_up(parent.as_fd(), c"deep").unwrap();
        assert!(base.join("removed-2/inner").exists() && !base.join("parent/deep").exists());
        assert!(base.join("removed-0/of-before").exists() && base.join("removed-1/of-before").exists());
        assert_eq!(removal.moved.get(), 3);
        remove_tree(&base).unwrap();
        assert!(!base.exists());
    }
}
