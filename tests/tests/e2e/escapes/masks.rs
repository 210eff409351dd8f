//! CVE-2025-31133 (youki 2025-62161, crun 2026-88265): the image's `/dev/null` is a link, and what masks a path shows
//! its target instead. CVE-2025-52565, crun 2026-88264: the same with `/dev/console` and `/dev/pts`. CVE-2025-52881:
//! writes to procfs are led to another file. Defence: `/dev` is ours alone, and mask sources are checked inodes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nucleus_tests::Host;
use nucleus_tests::canary::Canary;
use nucleus_tests::pty::Terminal;
use nucleus_tests::rootfs::{Rootfs, Trap};

use super::{Bait, in_root, stand_in};
use crate::{DEV, terminal::on_terminal};

/// An image with a trap, and where the trap leads.
fn trapped(host: &Host, bait: &Bait, trap: Trap) -> Rootfs {
    let root = Rootfs::busybox(host.path(&format!("{trap:?}")));
    let target = if trap == Trap::PtsIsLink { bait.path.clone() } else { bait.file() };
    root.trap(trap, &target);
    root
}

#[test]
fn links_below_dev_lead_nowhere() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    for trap in [Trap::NullIsLink, Trap::ConsoleIsLink, Trap::PtsIsLink] {
        let root = trapped(&host, &bait, trap);
        let script =
            "echo gone > /dev/null; chmod 777 /dev/null; stat -c %t:%T /dev/null; cat /proc/kcore | wc -c";
        for option in ["--read-only", "--writable"] {
            let output = in_root(&host, &root, script).arg(option).output();
            assert_eq!(output.text(), "1:3\n0", "null is null and the mask is empty: {trap:?}\n{output}");
            bait.assert_untouched();
        }
    }
}

#[test]
fn a_terminal_is_bound_over_no_link() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    for trap in [Trap::NullIsLink, Trap::ConsoleIsLink, Trap::PtsIsLink] {
        let root = trapped(&host, &bait, trap);
        let call = on_terminal(&host, DEV, &["/bin/sh", "-c", "tty; echo x > /dev/console; echo done"]);
        let (status, text) = Terminal::start(&call.arg("--rootfs").arg(root.path()).words(), 24, 80).wait();
        assert!(status.success() && text.contains("/dev/pts/0") && text.contains("done"), "{trap:?}\n{text}");
        bait.assert_untouched();
    }
}

/// The link leads to a file of procfs that harms the whole host when it is written.
#[test]
fn a_null_that_leads_into_procfs_leads_nowhere() {
    let host = Host::enter();
    let canary = Canary::watch("/proc/sys/kernel/core_pattern");
    let root = Rootfs::busybox(host.path("root"));
    root.link("dev/null", "/proc/sys/kernel/core_pattern");
    for option in ["--read-only", "--writable"] {
        // Where `kcore` is masked with the link's target, the target's text appears.
        let script = "cat /proc/kcore; echo '|/evil' > /proc/kcore; echo '|/evil' > /dev/null; echo '|/evil' > /proc/sys/kernel/core_pattern";
        let output = in_root(&host, &root, script).arg(option).output();
        assert_eq!(output.text(), "", "{option}\n{output}");
        canary.assert_alive();
    }
}

#[test]
fn the_trap_works_on_a_runtime_that_masks_with_the_images_null() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let root = trapped(&host, &bait, Trap::NullIsLink);
    fs::write(root.path().join("proc/kcore"), "").unwrap();
    let script = r#"mount --bind "$1/dev/null" "$1/proc/kcore" && cat "$1/proc/kcore" && echo fallen > "$1/proc/kcore""#;
    let output = stand_in(script, &[root.path()]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "sings", "the mask shows the host's file");
    assert!(!bait.is_untouched(), "and lets it be written");
}

/// runsc 2026-96812: device nodes that an image brings are dead.
#[test]
fn device_nodes_of_the_image_are_dead() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let node: PathBuf = root.path().join("zeroes");
    let made = Command::new("mknod").args(["-m", "666"]).arg(&node).args(["c", "1", "5"]).status().unwrap();
    assert!(made.success());
    for option in ["--read-only", "--writable"] {
        let output = in_root(&host, &root, "head -c 1 /zeroes | wc -c").arg(option).output();
        assert_eq!(output.text(), "0", "a zero device that can be opened gives a byte\n{output}");
    }
    let output = stand_in(r#"head -c 1 "$1" | wc -c"#, &[&node]);
    assert_eq!(output.stdout, b"1\n", "on the host it is alive");
}
