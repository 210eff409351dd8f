//! Groups of a container that another runtime makes: where they will be, and what they count.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nucleus_abi::{Result, Stats};

use crate::cgroups::{self, Layout};

/// The directories of a group at `path` in every hierarchy of the host, the freezer's last: whoever undoes a ledger goes
/// through it backwards, and what is frozen does not die.
///
/// # Errors
/// `config-invalid` for a path that leads out of the hierarchies or names no group.
pub fn everywhere(path: &Path) -> Result<Vec<PathBuf>> {
    cgroups::directories_everywhere(path)
}

/// Where cgroup v2 is mounted beside cgroup v1, if it has controllers of its own.
pub fn unified_with_controllers() -> Option<PathBuf> {
    let layout = Layout::of_host();
    let unified = layout.unified().filter(|mount| mount != Path::new("/sys/fs/cgroup"))?;
    let controllers = std::fs::read_to_string(unified.join("cgroup.controllers")).unwrap_or_default();
    (!controllers.trim().is_empty()).then_some(unified)
}

/// What they count, all together.
pub fn stats(directories: &[PathBuf]) -> Stats {
    cgroups::stats(directories)
}

/// A descriptor that tells of the out-of-memory killer; `None` where none of them counts memory.
///
/// # Errors
/// What the kernel refuses.
pub fn watch_memory(directories: &[PathBuf]) -> Result<Option<OwnedFd>> {
    cgroups::watch_memory(directories)
}
