//! Which files have passed the comparison of layouts with this very program, so that it need not be repeated at each start.
//!
//! A verdict is an empty file, named after the program and the plugin's digest, in a folder that only root can write to. Without
//! the folder, and for anybody but root, each start compares.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::bundle::Digest;

const FOLDER: &str = "/var/cache/nucleus/layouts";

/// Whether the plugin with this digest has passed.
pub(super) fn find(plugin: Digest) -> bool {
    verdict(plugin).is_some_and(|verdict| verdict.symlink_metadata().is_ok())
}

/// Remembers that it has passed. What cannot be remembered is compared again.
pub(super) fn remember(plugin: Digest) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let made = DirBuilder::new().mode(0o755).recursive(true).create(FOLDER);
    if made.is_ok()
        && let Some(verdict) = verdict(plugin)
        && let Err(error) = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&verdict)
    {
        tracing::debug!(%error, "the layout of a plugin is compared again at the next start");
    }
}

fn verdict(plugin: Digest) -> Option<PathBuf> {
    if !rustix::process::geteuid().is_root() || !only_roots(Path::new(FOLDER)) {
        return None;
    }
    let program = std::fs::metadata("/proc/self/exe").ok()?;
    // Another build is another file; one that was written in place has another time of change, which nobody can set.
    let (device, inode) = (program.dev(), program.ino());
    let changed = (program.ctime(), program.ctime_nsec());
    Some(Path::new(FOLDER).join(format!("{device:x}-{inode:x}-{:x}-{:x}-{plugin}", changed.0, changed.1)))
}

fn only_roots(folder: &Path) -> bool {
    folder
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == 0 && metadata.mode() & 0o022 == 0)
}
