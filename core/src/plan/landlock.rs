//! What `landlock: default` means: read and execute everywhere, write only where a mount lets the workload write.

use std::path::{Path, PathBuf};

use nucleus_abi::{LandlockAccess, LandlockRule};

use super::types::{Access, Execution, TmpfsPlan, VolumePlan};

/// Kernel file systems in which writing is governed by mounts, masks and ownership.
const KERNEL: [&str; 2] = ["/dev", "/proc"];

/// The default rules for a container with these mounts.
pub(super) fn default_rules<'a>(
    rootfs: Access,
    volumes: impl Iterator<Item = &'a VolumePlan>,
    tmpfs: impl Iterator<Item = &'a TmpfsPlan>,
) -> Vec<LandlockRule> {
    let root = match rootfs {
        Access::ReadOnly => LandlockAccess::ReadExecute,
        Access::ReadWrite => LandlockAccess::ReadWriteExecute,
    };
    let mut rules = vec![rule("/", root)];
    rules.extend(KERNEL.map(|path| rule(path, LandlockAccess::ReadWrite)));
    rules.extend(
        volumes
            .filter(|volume| volume.access == Access::ReadWrite)
            .map(|volume| rule(&volume.target, writable(volume.execution))),
    );
    rules.extend(tmpfs.map(|tmpfs| rule(&tmpfs.target, writable(tmpfs.execution))));
    rules
}

fn writable(execution: Execution) -> LandlockAccess {
    match execution {
        Execution::Allowed => LandlockAccess::ReadWriteExecute,
        Execution::Denied => LandlockAccess::ReadWrite,
    }
}

fn rule(path: impl AsRef<Path>, access: LandlockAccess) -> LandlockRule {
    LandlockRule { path: PathBuf::from(path.as_ref()), access }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_root_is_written_to_at_its_writable_mounts_only() {
        let tmpfs = TmpfsPlan {
            target: "/tmp".into(),
            size: 1,
            mode: 0o1777,
            uid: None,
            gid: None,
            inodes: None,
            execution: Execution::Denied,
        };
        let rules = default_rules(Access::ReadOnly, std::iter::empty(), [tmpfs].iter());
        let writable: Vec<&Path> = rules
            .iter()
            .filter(|rule| {
                matches!(rule.access, LandlockAccess::ReadWrite | LandlockAccess::ReadWriteExecute)
            })
            .map(|rule| rule.path.as_path())
            .collect();
        assert_eq!(writable, [Path::new("/dev"), Path::new("/proc"), Path::new("/tmp")]);
    }
}
