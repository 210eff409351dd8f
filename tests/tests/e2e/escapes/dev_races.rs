//! CVE-2025-31133 (youki 2025-62161): `/dev/null` becomes a link between the check and the mount, and what masks a path shows
//! its target. CVE-2025-52565, crun 2026-88264: the same with `/dev/console` and `/dev/pts`. crun 2026-88265: standard streams
//! are reopened, and their owner changed, by such a path. Defence: masks and the console come from descriptors that were
//! verified, and a place is opened once, without following links.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nucleus_tests::canary::Canary;
use nucleus_tests::pty::Terminal;
use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::{Bundle, Host};
use serde_json::json;

use super::{Bait, in_root, race};
use crate::{DEV, terminal::on_terminal};

/// What the masks show, whether `null` is the device, what the host's file would say, and where mounts are.
const LOOK: &str = "echo gone > /dev/null; chmod 777 /dev/null; stat -c %t:%T /dev/null; cat /proc/interrupts | wc -c; echo gone > /proc/interrupts; cat /dev/file /proc/file /sys/file; cut -d' ' -f5 /proc/self/mountinfo; exit 0";

/// An image in which a name is what it should be and, by turns, a link to the bait.
fn turning(host: &Host, bait: &Bait, name: &str) -> (Rootfs, PathBuf, PathBuf) {
    let root = Rootfs::busybox(host.path("root"));
    let place = root.path().join(name);
    let is_directory = !matches!(name, "dev/null" | "dev/console");
    if is_directory {
        fs::create_dir_all(&place).unwrap();
    } else {
        fs::write(&place, "").unwrap();
    }
    root.link("turning", if is_directory { bait.path.clone() } else { bait.file() });
    let trap = root.path().join("turning");
    (root, place, trap)
}

fn masks_hold_while(name: &str) {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let (root, place, trap) = turning(&host, &bait, name);
    let is_directory = !name.contains('/');
    let mut option = ["--read-only", "--writable"].into_iter().cycle();
    let codes = race(&place, &trap, || {
        let output = in_root(&host, &root, LOOK).args(option.next()).output();
        bait.assert_untouched();
        match output.code() {
            Some(125) => {
                let places = ["/dev", "/proc", "/sys"];
                assert!(places.iter().any(|place| output.stderr.contains(place)), "{output}");
            }
            code => {
                assert_eq!(code, Some(0), "{output}");
                let seen: Vec<_> = output.text().lines().filter(|line| !line.starts_with('/')).collect();
                // A directory that is exchanged later takes our mount along: the place is a link that leads nowhere inside.
                let lost = is_directory && seen == ["0"];
                assert!(lost || seen == ["1:3", "0"], "null is null and the mask is empty\n{output}");
            }
        }
        output.code()
    });
    assert!(codes.contains(&Some(0)), "some starts win: {codes:?}");
    assert!(!is_directory || codes.contains(&Some(125)), "and some meet the link: {codes:?}");
}

#[test]
fn masks_hold_while_the_images_null_is_swapped() {
    masks_hold_while("dev/null");
}

#[test]
fn masks_hold_while_the_images_dev_is_swapped() {
    masks_hold_while("dev");
}

#[test]
fn masks_hold_while_the_images_proc_is_swapped() {
    masks_hold_while("proc");
}

#[test]
fn masks_hold_while_the_images_sys_is_swapped() {
    masks_hold_while("sys");
}

fn a_terminal_stands_while(name: &str) {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let (root, place, trap) = turning(&host, &bait, name);
    let script = "tty; echo gone > /dev/console; chown 1:1 /dev/console; echo done";
    race(&place, &trap, || {
        let call = on_terminal(&host, DEV, &["/bin/sh", "-c", script]).arg("--writable");
        let words = rooted(&call.words(), root.path());
        let (status, text) = Terminal::start(&words, 24, 80).wait();
        bait.assert_untouched();
        assert!(status.success() && text.contains("/dev/pts/0") && text.contains("done"), "{text}");
        status.code()
    });
}

/// The options stand before the command.
fn rooted(words: &[std::ffi::OsString], root: &Path) -> Vec<std::ffi::OsString> {
    let command = words.iter().position(|word| word == "--").unwrap();
    let root = ["--rootfs".into(), root.into()];
    [&words[..command], &root, &words[command..]].concat()
}

#[test]
fn a_terminal_stands_while_the_images_console_is_swapped() {
    a_terminal_stands_while("dev/console");
}

#[test]
fn a_terminal_stands_while_the_images_pts_is_swapped() {
    a_terminal_stands_while("dev/pts");
}

/// The harder case: `/dev` is a volume that somebody else writes to, and no mount of ours lies between.
fn shared_dev(host: &Host, name: &str) -> (Bundle, PathBuf) {
    let dev = host.path("shared-dev");
    for directory in ["pts", "shm", "mqueue"] {
        fs::create_dir_all(dev.join(directory)).unwrap();
    }
    for (node, numbers) in [("null", ["1", "3"]), ("console", ["5", "1"])] {
        let made = Command::new("mknod").arg(dev.join(node)).arg("c").args(numbers).status().unwrap();
        assert!(made.success());
    }
    // Writes through the mask alone: what the names in `/dev` have become by then is the neighbour's.
    let bundle = Bundle::shell(host, name, "cat /etc/secret; echo gone > /etc/secret; true");
    let mounts = bundle.config()["mounts"].as_array().unwrap().iter();
    let kept: Vec<_> = mounts.filter(|mount| mount["destination"] != "/dev").cloned().collect();
    let volume = json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["rbind", "rw"]});
    let at =
        kept.iter().position(|mount| mount["destination"].as_str().is_some_and(|to| to.starts_with("/dev/")));
    let (before, after) = kept.split_at(at.unwrap_or(kept.len()));
    let bundle = bundle
        .set("/mounts", [before, &[volume], after].concat())
        .set("/linux/maskedPaths", json!(["/etc/secret", "/dev/null"]));
    fs::write(bundle.rootfs().join("etc/secret"), "hidden").unwrap();
    // For who resolves inside the root, as one must, the link leads to a file of the image.
    fs::write(bundle.rootfs().join("inner"), "sings").unwrap();
    (bundle, dev)
}

#[test]
fn a_shared_dev_that_is_swapped_leads_nowhere() {
    for (name, terminal) in [("null", false), ("console", true), ("pts", true)] {
        let host = Host::enter();
        let bait = Bait::lay(&host);
        let (bundle, dev) = shared_dev(&host, name);
        let bundle = bundle.set("/process/terminal", terminal).write();
        let target = if name == "pts" { bait.path.clone() } else { PathBuf::from("/inner") };
        std::os::unix::fs::symlink(target, dev.join("turning")).unwrap();
        let inner = Canary::watch(bundle.rootfs().join("inner"));
        race(&dev.join(name), &dev.join("turning"), || {
            let call = host.nucleus("run").arg("--bundle").arg(bundle.path()).arg(host.fresh_id());
            let (code, text) = if terminal {
                let (status, text) = Terminal::start(&call.words(), 24, 80).wait();
                (status.code(), text)
            } else {
                let output = call.output();
                (output.code(), output.text().to_owned())
            };
            bait.assert_untouched();
            inner.assert_alive();
            assert!(!text.contains("sings") && !text.contains("hidden"), "{name}: {text}");
            code
        });
    }
}

/// Verifies `null` by its path, and masks with what is at that path then.
#[test]
fn the_trap_works_on_a_runtime_that_checks_and_then_masks() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let (_bundle, dev) = shared_dev(&host, "naive");
    std::os::unix::fs::symlink(bait.file(), dev.join("turning")).unwrap();
    let masked = host.file("masked", "hidden");
    let script = r#"for i in $(seq 300); do
        [ "$(stat -c %t:%T "$1/null")" = 1:3 ] && mount --bind "$1/null" "$2" || continue
        grep -q sings "$2" && exit 42
        umount "$2"
    done"#;
    let _racer = nucleus_tests::racer::Racer::swap(dev.join("null"), dev.join("turning"));
    let output = super::stand_in(script, &[&dev, &masked]);
    assert_eq!(output.status.code(), Some(42), "the mask shows the bait sooner or later");
}
