//! A directory of profiles that a test writes and that goes when the test ends.

use std::fs;
use std::path::PathBuf;

pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// `name` tells the tests of one process apart.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nucleus-profile-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.join(name).display().to_string()
    }

    /// A place in one of the files, as origins show it.
    pub(crate) fn display(&self, place: &str) -> String {
        self.path(place)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.join(name), content).unwrap();
        self.path(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
