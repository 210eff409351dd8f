//! Host files that a hostile container tries to change.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A host file as it was: what it holds, whose it is, what its mode is.
#[derive(Debug)]
pub struct Canary {
    path: PathBuf,
    before: Plumage,
}

#[derive(Debug, PartialEq, Eq)]
struct Plumage {
    content: Vec<u8>,
    owner: (u32, u32),
    mode: u32,
    inode: (u64, u64),
}

impl Canary {
    /// Remembers the file at `path`, which may be a directory (its entries' names are its content then).
    pub fn watch(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let before = Plumage::of(&path);
        Self { path, before }
    }

    /// Whether the file is as it was.
    pub fn lives(&self) -> bool {
        Plumage::of(&self.path) == self.before
    }

    /// Fails when the file's content, owner, mode or identity changed.
    #[track_caller]
    pub fn assert_alive(&self) {
        assert!(self.lives(), "{} was changed from inside a container", self.path.display());
    }
}

impl Plumage {
    fn of(path: &Path) -> Self {
        let found = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            content: content(path, &found),
            owner: (found.uid(), found.gid()),
            mode: found.mode(),
            inode: (found.dev(), found.ino()),
        }
    }
}

fn content(path: &Path, found: &Metadata) -> Vec<u8> {
    if found.is_symlink() {
        return fs::read_link(path).expect("read the link").into_os_string().into_encoded_bytes();
    }
    if !found.is_dir() {
        return fs::read(path).expect("read the file");
    }
    let mut names: Vec<_> =
        fs::read_dir(path).expect("list the directory").flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    names.join(std::ffi::OsStr::new("\0")).into_encoded_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_kind_of_change_is_seen() {
        let directory = std::env::temp_dir().join(format!("canary-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let file = directory.join("file");
        fs::write(&file, "sings").unwrap();
        let (canary, cage) = (Canary::watch(&file), Canary::watch(&directory));
        assert!(canary.lives() && cage.lives());

        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(!canary.lives());
        let canary = Canary::watch(&file);
        fs::write(&file, "silent").unwrap();
        assert!(!canary.lives());
        fs::write(directory.join("cat"), "").unwrap();
        assert!(!cage.lives());
        fs::remove_dir_all(&directory).unwrap();
    }
}
