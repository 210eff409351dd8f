//! The directory below which every container has one of its own.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nucleus_abi::{ContainerId, Error, ErrorCode, Result};

/// Where containers are kept: `/run/nucleus`, `$XDG_RUNTIME_DIR/nucleus`, or what `--root` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRoot {
    path: PathBuf,
}

impl StateRoot {
    /// The state root at a path; nothing is touched yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The root's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of a container.
    pub fn container(&self, id: &ContainerId) -> PathBuf {
        self.path.join(id.as_str())
    }

    /// Where backends remember what they found out about this host. No id of a container begins with a dot.
    pub fn memory(&self) -> PathBuf {
        self.path.join(".memory")
    }

    /// Makes the root where it is missing, and refuses one that others could write to: who writes there decides what
    /// `gc` removes.
    ///
    /// # Errors
    /// `host-unfit` when it belongs to somebody else or is open to others; `system-call` when it cannot be made.
    pub fn ensure(&self) -> Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) => self.check(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(),
            Err(error) => Err(self.refuse().because(error)),
        }
    }

    /// Checks a root that exists, as [`StateRoot::ensure`] does, and says whether there is one.
    ///
    /// # Errors
    /// As for [`StateRoot::ensure`].
    pub fn check_existing(&self) -> Result<bool> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) => self.check(&metadata).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.refuse().because(error)),
        }
    }

    fn make(&self) -> Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|error| self.refuse().because(error))
    }

    fn check(&self, metadata: &fs::Metadata) -> Result<()> {
        let own = rustix::process::geteuid().as_raw();
        if !metadata.is_dir() {
            return Err(self.refuse().because("it is not a directory"));
        }
        if metadata.uid() != own {
            return Err(self
                .refuse()
                .because(format!("it belongs to uid {}, not to uid {own}", metadata.uid())));
        }
        // Engines make it so that others can enter; what lies in it is for its owner alone.
        if metadata.permissions().mode() & 0o022 != 0 {
            let mode = metadata.permissions().mode() & 0o7777;
            return Err(self
                .refuse()
                .because(format!("its mode is {mode:04o}: others can write to it"))
                .hint(format!("chmod go-w {}", self.path.display())));
        }
        Ok(())
    }

    /// The ids of all containers, in order; entries that no container could have made are passed over.
    ///
    /// # Errors
    /// `system-call` when the root cannot be listed. A root that does not exist holds no containers.
    pub fn ids(&self) -> Result<Vec<ContainerId>> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.refuse().because(error)),
        };
        let mut ids: Vec<ContainerId> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    fn refuse(&self) -> Error {
        Error::new(ErrorCode::HostUnfit, "use the state directory")
            .on(self.path.display())
            .hint("name another one with --root")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("nucleus-state-root-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_root_is_made_for_its_owner_alone() {
        let path = scratch("made");
        StateRoot::at(&path).ensure().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_root_that_others_can_write_to_is_refused_with_the_remedy() {
        let path = scratch("open");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let error = StateRoot::at(&path).ensure().unwrap_err();
        assert_eq!(error.cause.as_deref(), Some("its mode is 0777: others can write to it"));
        assert_eq!(error.hint, Some(format!("chmod go-w {}", path.display())));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        StateRoot::at(&path).ensure().unwrap();
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_root_that_does_not_exist_holds_nothing() {
        assert_eq!(StateRoot::at(scratch("missing")).ids().unwrap(), []);
    }
}
