//! CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, youki 2025-54867, runc 2026-41579, crun 2026-47766: `/dev`, `/proc` or
//! `/sys` of the image is a link, or a volume lies over it, and the runtime's own mounts and writes land elsewhere.
//! Defence: places are opened inside the root without following links, and refused when they are none of ours.

use std::fs;

use nucleus_tests::Host;
use nucleus_tests::rootfs::{Rootfs, Trap};

use super::{Bait, in_root, stand_in};
use crate::{DEV, open_directory, writable};

const PLACES: [(Trap, &str); 3] =
    [(Trap::DevIsLink, "/dev"), (Trap::ProcIsLink, "/proc"), (Trap::SysIsLink, "/sys")];

#[test]
fn links_in_place_of_kernel_file_systems_are_refused() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    for (trap, place) in PLACES {
        let root = Rootfs::busybox(host.path(&format!("{trap:?}")));
        root.trap(trap, &bait.path);
        for option in ["--read-only", "--writable"] {
            in_root(&host, &root, "true").arg(option).output().assert_refused(&[place]);
            bait.assert_untouched();
        }
    }
}

/// The link stays inside the image, so that only the runtime's own settings would go astray.
#[test]
fn links_into_the_image_are_refused_too() {
    let host = Host::enter();
    for (trap, place) in PLACES {
        let root = Rootfs::busybox(host.path(&format!("{trap:?}")));
        fs::create_dir(root.path().join("evil")).unwrap();
        root.link(&place[1..], "evil");
        for option in ["--read-only", "--writable"] {
            in_root(&host, &root, "true").arg(option).output().assert_refused(&[place]);
        }
        assert_eq!(fs::read_dir(root.path().join("evil")).unwrap().count(), 0, "{trap:?}");
    }
}

#[test]
fn the_trap_works_on_a_runtime_that_mounts_by_path() {
    let host = Host::enter();
    for (trap, place) in PLACES {
        let root = Rootfs::busybox(host.path(&format!("{trap:?}")));
        let bait = host.path(&format!("bait{}", place.replace('/', "-")));
        fs::create_dir(&bait).unwrap();
        root.trap(trap, &bait);
        let script = r#"mkdir -p "$1$2/made" && mount -t tmpfs none "$1$2" && cat /proc/self/mountinfo"#;
        let output = stand_in(script, &[root.path(), place.as_ref()]);
        let mounts = String::from_utf8(output.stdout).unwrap();
        assert!(bait.join("made").exists(), "{place}: the host's directory is written");
        assert!(mounts.contains(&format!(" {} ", bait.display())), "{place}: and mounted over\n{mounts}");
    }
}

/// The image's own files in place of `/proc/sys` must not take what is meant for the kernel.
#[test]
fn settings_reach_the_kernel_and_not_the_image() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    fs::create_dir_all(root.path().join("proc/sys/kernel")).unwrap();
    let fake = root.file("proc/sys/kernel/msgmax", "fake\n");
    let profile = host.profile(DEV, "security: {sysctls: {kernel.msgmax: \"9000\"}}");
    for option in ["--read-only", "--writable"] {
        let call = host.shell(&profile, "cat /proc/sys/kernel/msgmax").arg("--rootfs").arg(root.path());
        assert_eq!(call.arg(option).output().assert_success().text(), "9000", "{option}");
        assert_eq!(fs::read_to_string(&fake).unwrap(), "fake\n", "{option}");
    }
}

#[test]
fn a_volume_over_a_kernel_file_system_is_refused() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    for target in ["/proc", "/proc/self", "/proc/sys/kernel", "/sys", "/dev"] {
        let call = host.shell(DEV, "true").args(["--volume", &writable(&shared, target)]);
        call.output().assert_refused(&[target]);
    }
    let root = Rootfs::busybox(host.path("root"));
    root.link("kernel", "/proc");
    root.link("up", "../../..");
    for target in ["/kernel", "/kernel/self", "/up/proc", "/up/sys"] {
        for option in ["--read-only", "--writable"] {
            let call = in_root(&host, &root, "true").args([option, "--volume", &writable(&shared, target)]);
            let output = call.output();
            assert_eq!(output.code(), Some(125), "{target} {option}\n{output}");
        }
    }
}

#[test]
fn an_image_whose_etc_leads_away_gets_nothing_of_the_hosts() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let root = Rootfs::busybox(host.path("root"));
    root.trap(Trap::EtcIsLink, &bait.path);
    for option in ["--read-only", "--writable"] {
        let call = in_root(&host, &root, "cat /etc/file; echo x > /etc/file; true").arg(option);
        let output = call.output();
        assert!(!output.text().contains("sings"), "{output}");
        bait.assert_untouched();
    }
}

/// The program of the image is a link to a file of the host.
#[test]
fn the_commands_path_is_resolved_inside() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let outside = host.file("outside", "#!/bin/sh\necho escaped\n");
    fs::set_permissions(&outside, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    root.link("bin/tool", &outside);
    let call = host.run(DEV, &["/bin/tool"]).arg("--rootfs").arg(root.path());
    let output = call.output().assert_code(127);
    assert!(!output.text().contains("escaped"));
}
