//! Is there a program to run? bwrap says exit status 1 for "no", as for a program that exits with 1, so it is asked before.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};

use crate::arguments::Config;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// Refuses a program that does not exist in the container.
pub(crate) fn check(config: &Config, bundle: &Path, rootfs: Option<BorrowedFd<'_>>) -> Result<()> {
    let root = rootfs.map_or_else(
        || bundle.join(&config.root.path),
        |rootfs| format!("/proc/self/fd/{}", rootfs.as_raw_fd()).into(),
    );
    let name = config.process.args.first().map(String::as_str).unwrap_or_default();
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![PathBuf::from(name)]
    } else {
        let path =
            config.process.env.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or_default();
        path.split(':').map(|directory| Path::new(directory).join(name)).collect()
    };
    if candidates.iter().any(|candidate| exists(config, &root, candidate)) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::CommandNotFound, "execute the program")
        .on(name)
        .because("the container has no such file"))
}

/// Walks a path of the container, as bwrap will mount it.
fn exists(config: &Config, root: &Path, path: &Path) -> bool {
    let mut rest: VecDeque<OsString> = parts(path);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(name) = rest.pop_front() {
        let next = at.join(&name);
        let Ok(metadata) = on_the_host(config, root, &next).symlink_metadata() else { return false };
        if !metadata.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        let Ok(target) = on_the_host(config, root, &next).read_link() else { return false };
        if links > MOST_LINKS {
            return false;
        }
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        for part in parts(&target).into_iter().rev() {
            rest.push_front(part);
        }
    }
    true
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

/// Where a path of the container lies: in the source of the mount that covers it, or in the root.
fn on_the_host(config: &Config, root: &Path, path: &Path) -> PathBuf {
    let covering =
        config.mounts.iter().filter(|mount| mount.is_bind() && path.starts_with(&mount.destination));
    match covering.max_by_key(|mount| mount.destination.components().count()) {
        Some(mount) => mount.source.join(path.strip_prefix(&mount.destination).unwrap_or(path)),
        None => root.join(path.strip_prefix("/").unwrap_or(path)),
    }
}
