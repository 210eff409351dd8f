//! The files of all networks, behind one lock.
//!
//! They lie in a directory of the state root that no container can be called; the lock is a flock(2) on it. It is there as
//! long as a network is.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;

use super::document::{Network, VERSION};
use super::fault::OrFail;
use crate::profile::values::NetworkName;

const DIRECTORY: &str = ".networks";
const STEP: &str = "open the networks of the state directory";

/// All networks of a state root; nobody else changes one while this lives.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    _lock: File,
}

impl Store {
    /// Makes the directory where it is missing.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let path = root.join(DIRECTORY);
        loop {
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error).or_fail(STEP, path.display());
                }
                _ => {}
            }
            if let Some(store) = Self::existing(root)? {
                return Ok(store);
            }
        }
    }

    /// `None` where there are no networks.
    pub(super) fn existing(root: &Path) -> Result<Option<Self>> {
        let path = root.join(DIRECTORY);
        let lock = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.or_fail(STEP, path.display())?,
        };
        retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive))
            .map_err(io::Error::from)
            .or_fail(STEP, path.display())?;
        // Whoever held it before us may have removed it.
        let there = lock.metadata().is_ok_and(|metadata| metadata.nlink() > 0);
        Ok(there.then_some(Self { path, _lock: lock }))
    }

    fn file(&self, name: &NetworkName) -> PathBuf {
        self.path.join(format!("{name}.json"))
    }

    /// All of them.
    pub(super) fn all(&self) -> Result<Vec<Network>> {
        let entries = fs::read_dir(&self.path).or_fail(STEP, self.path.display())?;
        let names = entries.flatten().filter_map(|entry| {
            entry.file_name().to_str()?.strip_suffix(".json")?.parse::<NetworkName>().ok()
        });
        names.filter_map(|name| self.read(&name).transpose()).collect()
    }

    /// One of them.
    pub(super) fn read(&self, name: &NetworkName) -> Result<Option<Network>> {
        let path = self.file(name);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.or_fail("read a network's file", path.display())?,
        };
        let unreadable = |cause: String| {
            Error::new(ErrorCode::RecordUnreadable, "read a network's file").on(path.display()).because(cause)
        };
        let network: Network =
            serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if network.version > VERSION {
            return Err(unreadable(format!(
                "it has version {}, this nucleus reads up to {VERSION}",
                network.version
            )));
        }
        Ok(Some(network))
    }

    /// Writes one, so that a reader sees the old one or the new one.
    pub(super) fn write(&self, network: &Network) -> Result<()> {
        let (path, new) = (self.file(&network.name), self.path.join(".new"));
        let written = serde_json::to_vec(network).map_err(io::Error::from).and_then(|text| {
            File::create(&new)?.write_all(&text)?;
            fs::rename(&new, &path)
        });
        written.or_fail("write a network's file", path.display())
    }

    /// Removes one, and the directory with the last of them.
    pub(super) fn remove(&self, name: &NetworkName) -> Result<()> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).or_fail("remove a network's file", path.display());
            }
            _ => {}
        }
        self.tidy();
        Ok(())
    }

    /// The directory goes with the last file.
    pub(super) fn tidy(&self) {
        let is_network = |entry: fs::DirEntry| entry.path().extension().is_some_and(|it| it == "json");
        let empty = fs::read_dir(&self.path).is_ok_and(|entries| !entries.flatten().any(is_network));
        if empty {
            // A file that a crash left half written, and notes of what is gone.
            let _ = fs::remove_dir_all(&self.path);
        }
    }

    /// Where what concerns all networks is noted.
    pub(super) fn note(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::lease::tests::network;

    #[test]
    fn what_is_written_is_read_and_the_last_takes_the_directory_along() {
        let root = std::env::temp_dir().join(format!("nucleus-networks-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir(&root).unwrap();
        assert!(Store::existing(&root).unwrap().is_none());
        let store = Store::open(&root).unwrap();
        let network = network(&["10.88.0.0/24"]);
        store.write(&network).unwrap();
        assert_eq!(store.all().unwrap(), std::slice::from_ref(&network));
        fs::write(store.file(&network.name), r#"{"version": 1}"#).unwrap();
        assert_eq!(store.read(&network.name).unwrap_err().code, ErrorCode::RecordUnreadable);
        store.remove(&network.name).unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        drop(store);
        assert!(Store::open(&root).unwrap().all().unwrap().is_empty());
        fs::remove_dir_all(&root).unwrap();
    }
}
