//! A limit of a disk, as the disk keeps it: what the files of the cgroup say stands in `cgroups.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nucleus_tests::{Host, skip};
use rustix::process::Signal;

use crate::{DEV, writable};

/// Bytes that both workloads write, past the page cache: at the limited one's pace they take minutes.
const WRITTEN: u64 = 16 << 20;

/// A directory where files lie on a disk; gone when it is dropped.
struct OnDisk(PathBuf);

impl OnDisk {
    fn make(host: &Host) -> Self {
        let path = Path::new("/var/tmp").join(format!("nucleus-test-{}", host.scope()));
        fs::create_dir(&path).expect("make a directory on the disk");
        Self(path)
    }

    /// The whole disk below it, as `major:minor`: the layer at which the kernel holds writers back. None for a file system
    /// without a block device of its own.
    fn disk(&self) -> Option<String> {
        let device = fs::metadata(&self.0).ok()?.dev();
        let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        let block = fs::canonicalize(Path::new("/sys/dev/block").join(&number)).ok()?;
        let whole =
            if block.join("partition").exists() { block.parent()?.join("dev") } else { block.join("dev") };
        Some(fs::read_to_string(whole).ok()?.trim().to_owned())
    }

    fn written(&self, name: &str) -> u64 {
        fs::metadata(self.0.join(name)).map_or(0, |metadata| metadata.len())
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Two workloads do the same; the one without a limit begins later and ends first.
#[test]
fn a_writer_is_held_back() {
    let host = Host::enter();
    let directory = OnDisk::make(&host);
    let Some(disk) = directory.disk() else { return skip("/var/tmp lies on no block device") };
    let limited = host.profile(DEV, &format!("resources: {{io: {{writeBps: {{\"{disk}\": 64K}}}}}}"));
    let write = |name: &str| {
        format!("exec dd if=/dev/zero of=/out/{name} bs=16k count=1024 oflag=direct 2>/out/{name}.said")
    };
    let run = |profile: &Path, name: &str| {
        host.shell(profile, &write(name)).args(["--volume", &writable(&directory.0, "/out"), "--init"])
    };
    let mut slow = run(&limited, "slow").spawn();
    slow.wait_for_file(&directory.0.join("slow"));
    let fast = run(Path::new(DEV), "fast").output();
    let says = fs::read_to_string(directory.0.join("fast.said")).unwrap_or_default();
    if says.contains("Invalid argument") {
        slow.signal(Signal::TERM);
        slow.wait();
        return skip("the file system of /var/tmp cannot write past the page cache");
    }
    fast.assert_success();
    let (fast, slow_so_far) = (directory.written("fast"), directory.written("slow"));
    slow.signal(Signal::TERM);
    let ended = slow.wait();
    assert_eq!(fast, WRITTEN);
    assert!(
        slow_so_far < WRITTEN,
        "{slow_so_far} bytes were written before somebody else had written {WRITTEN}"
    );
    assert_eq!(ended.code(), Some(128 + 15), "{ended}");
}
