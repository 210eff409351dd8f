//! CVE-2019-18837 (crun), CVE-2020-2026 (kata): a mount target, or a directory on its way, is a link out of the image.
//! CVE-2021-30465: it becomes one between the check and the mount. CVE-2024-45310: the directories that are made for it
//! are made on the host. Defence: a target is resolved once, by descriptors and inside the root; then only the
//! descriptor is used.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nucleus_tests::Host;
use nucleus_tests::racer::Racer;
use nucleus_tests::rootfs::Rootfs;

use super::{Bait, in_root};
use crate::{open_directory, writable};

#[test]
fn mount_targets_stay_inside_the_root() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let shared = open_directory(&host, "shared");
    let root = Rootfs::busybox(host.path("root"));
    root.link("absolute", &bait.path);
    root.link("up", "../../../../../../../../../../../../run");
    root.link("self", "/proc/self/root");
    let targets = [
        "/absolute",
        "/absolute/file",
        "/absolute/new",
        "/up/nucleus-made",
        "/self/made",
        "/a/../../../made",
    ];
    for (target, option) in
        targets.iter().flat_map(|target| ["--read-only", "--writable"].map(|option| (target, option)))
    {
        let call =
            in_root(&host, &root, ": > /dev/null").args([option, "--volume", &writable(&shared, target)]);
        // Whether it is refused or lands inside, the host stays as it is.
        let output = call.output();
        assert!(matches!(output.code(), Some(0 | 125)), "{target}\n{output}");
        bait.assert_untouched();
        assert!(
            !PathBuf::from("/run/nucleus-made").exists() && !PathBuf::from("/made").exists(),
            "{target} {option}"
        );
    }
}

/// `/way` of the root changes places with `/trap`, a link to the bait, all the time.
fn race(root: &Rootfs, bait: &Path) -> Racer {
    fs::create_dir(root.path().join("way")).unwrap();
    root.link("trap", bait);
    Racer::swap(root.path().join("way"), root.path().join("trap"))
}

/// Starts with a volume whose target's way changes under nucleus' hands.
fn start_in_a_race(option: &str) {
    const STARTS: usize = 300;
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let shared = open_directory(&host, "shared");
    let root = Rootfs::busybox(host.path("root"));
    let racer = race(&root, &bait.path);
    let until = Instant::now() + Duration::from_secs(10);
    let mut codes = Vec::new();
    while codes.len() < STARTS && Instant::now() < until {
        let target = ["/way", "/way/deep", "/way/deep/er", "/way/file"][codes.len() % 4];
        // A mount that went astray would show the bait's file, or stand beside the root.
        let script = "cat /way/file 2> /dev/null; cut -d' ' -f5 /proc/self/mountinfo";
        let call = in_root(&host, &root, script).args([option, "--volume", &writable(&shared, target)]);
        let output = call.output();
        bait.assert_untouched();
        assert!(!output.text().contains("sings"), "{target}\n{output}");
        assert!(output.text().lines().all(|mount| mount.starts_with('/')), "{output}");
        // 127: the root's /bin/sh is always there, so that it never happens.
        assert!(matches!(output.code(), Some(0 | 1 | 125)), "{target}\n{output}");
        codes.push(output.code());
    }
    assert!(codes.len() >= 30, "only {} starts in the time", codes.len());
    assert!(racer.swaps() >= 2000, "only {} swaps", racer.swaps());
    assert!(codes.contains(&Some(0)), "some starts win: {codes:?}");
}

#[test]
fn a_target_that_is_swapped_in_a_writable_root_leads_nowhere() {
    start_in_a_race("--writable");
}

#[test]
fn a_target_that_is_swapped_in_a_read_only_root_leads_nowhere() {
    start_in_a_race("--read-only");
}

/// Looks first and makes the directory then, by path.
#[test]
fn the_trap_works_on_a_runtime_that_checks_and_then_uses() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let root = Rootfs::busybox(host.path("root"));
    let _racer = race(&root, &bait.path);
    let until = Instant::now() + Duration::from_secs(10);
    let way = root.path().join("way");
    for number in 0.. {
        assert!(Instant::now() < until, "nothing fell into the trap");
        if fs::canonicalize(&way).is_ok_and(|path| path.starts_with(root.path())) {
            let _ = fs::create_dir(way.join(number.to_string()));
        }
        if !bait.is_untouched() {
            return;
        }
    }
}
