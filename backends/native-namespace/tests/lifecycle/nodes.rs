//! `linux.devices` and `/dev`, against images and volumes that lie in wait there.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use nucleus_abi::ErrorCode;
use serde_json::{Value, json};

use crate::harness::{Bundle, alone};
use crate::mounts::{mapped, mounting};

fn device(path: &str, kind: &str, major: u32, minor: u32) -> Value {
    json!({"path": path, "type": kind, "major": major, "minor": minor})
}

fn with(bundle: Bundle, devices: &[Value]) -> Bundle {
    bundle.set("/linux/devices", json!(devices))
}

/// An engine's rules: nothing but what is listed.
fn granting(bundle: Bundle, rules: &[Value]) -> Bundle {
    let deny = json!({"allow": false, "access": "rwm"});
    bundle.set("/linux/resources/devices", json!([&[deny], rules].concat()))
}

fn mknod(path: &Path, kind: rustix::fs::FileType, number: (u32, u32)) {
    let number = rustix::fs::makedev(number.0, number.1);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::from(0o666), number).unwrap();
}

#[test]
fn nodes_are_made_with_mode_and_owner_wherever_they_belong() {
    alone(|| {
        let script = "stat -c '%n %a %u %g %F %t:%T' /dev/zero2 /dev/sub/block /opt/foo /run/pipe /dev/raw; \
            head -c 3 /dev/zero2 | wc -c; head -c 3 /opt/foo | wc -c; ls -A /dev | grep nucleus; \
            echo through > /run/pipe & cat /run/pipe; ls -A /dev/sub";
        let mut zero = device("/dev/zero2", "c", 1, 5);
        for (key, value) in [("fileMode", 0o20640), ("uid", 7), ("gid", 8)] {
            zero[key] = json!(value);
        }
        let devices = [
            zero,
            device("/dev/sub/block", "b", 7, 9),
            device("/opt/foo", "c", 1, 5),
            json!({"path": "/run/pipe", "type": "p", "fileMode": 0o600}),
            device("/dev/raw", "u", 1, 7),
        ];
        let outcome = with(Bundle::new(script), &devices).run();
        let expected = "/dev/zero2 640 7 8 character special file 1:5\n/dev/sub/block 666 0 0 block special file 7:9\n\
            /opt/foo 666 0 0 character special file 1:5\n/run/pipe 600 0 0 fifo 0:0\n\
            /dev/raw 666 0 0 character special file 1:7\n3\n3\nthrough\nblock\n";
        assert_eq!(outcome.stdout, expected, "{outcome:?}");
    });
}

/// The image and the workload get no devices by it.
#[test]
fn beside_the_nodes_asked_for_nothing_is_a_device() {
    alone(|| {
        let script = "mknod /dev/zero3 c 1 5; head -c 1 /dev/zero3; head -c 1 /opt/image; mknod /tmp/z c 1 5; \
            head -c 1 /tmp/z; rm /dev/zero2; head -c 1 /dev/zero2 | wc -c";
        let bundle = with(mounting(Bundle::new(script)), &[device("/dev/zero2", "c", 1, 5)]);
        fs::create_dir(bundle.rootfs().join("opt")).unwrap();
        mknod(&bundle.rootfs().join("opt/image"), rustix::fs::FileType::CharacterDevice, (1, 5));
        let bundle = bundle.push("/mounts", json!({"destination": "/tmp", "type": "tmpfs"}));
        let outcome = bundle.run();
        assert_eq!(outcome.stdout, "1\n", "{outcome:?}");
        assert_eq!(outcome.stderr.matches("Permission denied").count(), 3, "{outcome:?}");
    });
}

/// What is there must be what is asked for; what only looks like it is covered.
#[test]
fn a_path_that_is_taken_is_an_error_unless_it_is_the_device() {
    alone(|| {
        let bundle = with(Bundle::new(""), &[device("/etc/taken", "c", 1, 5)]);
        fs::write(bundle.rootfs().join("etc/taken"), "").unwrap();
        let error = bundle.refused();
        assert_eq!(error.code, ErrorCode::ConfigInvalid);
        assert!(error.to_string().contains("linux.devices[0].path: /etc/taken is there already"), "{error}");
        let bundle = with(Bundle::new("head -c 2 /etc/node | wc -c"), &[device("/etc/node", "c", 1, 5)]);
        mknod(&bundle.rootfs().join("etc/node"), rustix::fs::FileType::CharacterDevice, (1, 5));
        assert_eq!(bundle.run().output(), "2", "the image's own node is none, and ours covers it");
    });
}

#[test]
fn standard_nodes_are_replaced_only_where_something_differs() {
    alone(|| {
        let mut null = device("/dev/null", "c", 1, 3);
        null["fileMode"] = json!(0o622);
        let devices = [null, device("/dev/zero", "c", 1, 5), device("/dev/ptmx", "c", 5, 2)];
        let script = "stat -c %a /dev/null; echo x > /dev/null; grep -c ' /dev/null ' /proc/self/mountinfo; \
            grep -c ' /dev/zero ' /proc/self/mountinfo; readlink /dev/ptmx";
        assert_eq!(with(Bundle::new(script), &devices).run().output(), "622\n2\n1\npts/ptmx");
    });
}

#[test]
fn a_user_namespace_gets_the_hosts_nodes() {
    alone(|| {
        let name = format!("nucleus-{}", std::process::id());
        let bundle = with(mapped(Bundle::new("head -c 2 /dev/zero2 | wc -c; stat -c %t:%T /dev/full")), &[]);
        let error = with(bundle, &[device(&format!("/dev/{name}"), "c", 1, 5)]).refused();
        assert_eq!(error.code, ErrorCode::HostUnfit);
        assert!(
            error.to_string().contains(&name) && error.to_string().contains("no node can be made here"),
            "{error}"
        );
        let error = with(mapped(Bundle::new("")), &[device("/dev/loop-control", "c", 1, 5)]).refused();
        assert!(error.to_string().contains("is not the Char(1, 5)"), "{error}");
        let found = fs::metadata("/dev/loop-control").unwrap().rdev();
        let number = (rustix::fs::major(found), rustix::fs::minor(found));
        let bundle = with(
            mapped(Bundle::new("stat -c %F /dev/loop-control")),
            &[device("/dev/loop-control", "c", number.0, number.1)],
        );
        assert_eq!(bundle.run().output(), "character special file");
    });
}

/// Programs in privileged containers make nodes for themselves.
#[test]
fn where_rules_grant_a_device_its_node_may_be_made() {
    alone(|| {
        let script = "mkdir -p /dev/net; mknod /dev/net/x c 7 1; mknod /dev/net/y c 1 11; \
            for n in x y; do dd if=/dev/net/$n of=/dev/null count=0 2>&1 | grep -o 'Operation not permitted'; done; \
            grep -c ' /dev/mine ' /proc/self/mountinfo";
        let rule = json!({"allow": true, "type": "c", "major": 7, "minor": 1, "access": "rw"});
        let bundle = granting(mounting(Bundle::new(script)), &[rule]);
        let outcome = with(bundle, &[device("/dev/mine", "c", 7, 1)]).run();
        assert_eq!(
            outcome.stdout, "Operation not permitted\n0\n",
            "the rules refuse the second alone: {outcome:?}"
        );
    });
}

/// `-v /dev/null:/some/file` is how engines' users empty a file.
#[test]
fn a_bound_node_is_the_device_that_the_rules_allow() {
    alone(|| {
        let bind = |target: &str, source: &str| json!({"destination": target, "type": "bind", "source": source, "options": ["bind"]});
        let bundle = granting(Bundle::new("cat /etc/empty && echo none; echo > /etc/kmsg"), &[])
            .push("/mounts", bind("/etc/empty", "/dev/null"))
            .push("/mounts", bind("/etc/kmsg", "/dev/kmsg"));
        let outcome = bundle.run();
        assert_eq!(outcome.stdout, "none\n", "{outcome:?}");
        assert!(outcome.stderr.contains("/etc/kmsg: Operation not permitted"), "{outcome:?}");
    });
}

#[test]
fn with_the_hosts_dev_the_nodes_must_be_there() {
    alone(|| {
        let hosts = |script: &str| {
            let bundle = granting(Bundle::new(script), &[json!({"allow": true, "access": "rwm"})]);
            at_dev(bundle, Path::new("/dev"))
        };
        let there = with(hosts("echo x > /dev/null && echo written"), &[device("/dev/full", "c", 1, 7)]);
        assert_eq!(there.run().output(), "written");
        let error = with(hosts(""), &[device("/dev/full", "c", 1, 3)]).refused();
        assert!(
            error.to_string().contains("linux.devices[0].path: there is no such device at /dev/full"),
            "{error}"
        );
    });
}

fn at_dev(mut bundle: Bundle, source: &Path) -> Bundle {
    let options = ["rbind", "rslave"];
    bundle.config["mounts"][1] =
        json!({"destination": "/dev", "type": "bind", "source": source, "options": options});
    bundle
}

/// A volume at `/dev`, as its owner prepared it.
fn dev_volume(bundle: Bundle) -> Bundle {
    let dev = bundle.directory.join("dev");
    for name in ["pts", "shm", "mqueue"] {
        fs::create_dir_all(dev.join(name)).unwrap();
    }
    at_dev(bundle, &dev).set("/process/terminal", json!(true))
}

/// CVE-2025-31133: masks are made of the real `/dev/null`, whatever lies in the container's.
#[test]
fn a_false_null_masks_nothing_with_a_file_of_the_hosts() {
    alone(|| {
        let script =
            "cat /etc/secret; echo overwritten > /etc/secret; echo overwritten > /dev/null; cat /canary";
        let bundle = dev_volume(Bundle::new(script)).set("/process/terminal", json!(false));
        fs::write(bundle.rootfs().join("canary"), "untouched\n").unwrap();
        fs::write(bundle.rootfs().join("etc/secret"), "secret\n").unwrap();
        symlink("/canary", bundle.directory.join("dev/null")).unwrap();
        let bundle = bundle.set("/linux/maskedPaths", json!(["/etc/secret"]));
        let outcome = bundle.run();
        assert_eq!(
            outcome.stdout, "overwritten\n",
            "the mask is empty, and no way to the canary: {outcome:?}"
        );
    });
}

/// Exchanges two paths as fast as it can until it is dropped.
struct Racer(i32);

impl Racer {
    fn start(one: &Path, other: &Path) -> Self {
        let [one, other] = [one, other].map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
        // SAFETY: the process has one thread; the child only renames, with memory made before the fork.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: it must not outlive a test that is killed.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            loop {
                let at = rustix::fs::CWD;
                let _ = rustix::fs::renameat_with(at, &one, at, &other, rustix::fs::RenameFlags::EXCHANGE);
            }
        }
        Self(pid)
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        // SAFETY: kills and reaps the child that it started.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// CVE-2025-31133 and CVE-2025-52565: `null`, `pts` and `console` of the container's `/dev` change while it is built.
#[test]
fn a_dev_that_changes_meanwhile_never_leads_to_the_host() {
    alone(|| {
        let canary = std::env::temp_dir().join(format!("nucleus-canary-{}", std::process::id()));
        fs::write(&canary, "untouched").unwrap();
        let before = fs::metadata(&canary).unwrap();
        let (mut built, mut refused) = (0, 0);
        for round in 0..30 {
            let bundle =
                dev_volume(Bundle::new("echo overwritten > /dev/console; echo x > /etc/secret; true"));
            let dev = bundle.directory.join("dev");
            fs::write(bundle.rootfs().join("etc/secret"), "").unwrap();
            let name = ["null", "pts", "console"][round % 3];
            match name {
                "pts" => {}
                "null" => mknod(&dev.join("null"), rustix::fs::FileType::CharacterDevice, (1, 3)),
                _ => fs::write(dev.join("console"), "").unwrap(),
            }
            symlink(if name == "pts" { canary.parent().unwrap() } else { &canary }, dev.join("trap"))
                .unwrap();
            let bundle =
                bundle.set("/linux/maskedPaths", json!(["/etc/secret", "/dev/null", "/dev/console"]));
            let racer = Racer::start(&dev.join(name), &dev.join("trap"));
            let null = File::options().read(true).write(true).open("/dev/null").unwrap();
            match bundle.create([null.as_fd(); 3]) {
                Ok(container) => {
                    container.start().unwrap();
                    container.wait().unwrap();
                    container.delete();
                    built += 1;
                }
                Err(_) => refused += 1,
            }
            drop(racer);
            let after = fs::metadata(&canary).unwrap();
            assert_eq!(
                (before.ino(), before.mode(), before.uid()),
                (after.ino(), after.mode(), after.uid()),
                "{name}"
            );
            let mut text = String::new();
            File::open(&canary).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "untouched", "{name}, round {round}");
        }
        fs::remove_file(&canary).unwrap();
        assert!(
            built > 0 && refused > 0,
            "the race was never lost or never won: {built} built, {refused} refused"
        );
    });
}

/// crun's CVE-2026-88264: a link at `/dev/console` would hand a file to the workload.
#[test]
fn a_console_that_is_no_device_is_refused() {
    alone(|| {
        for (name, code) in [("link", ErrorCode::HostileImage), ("file", ErrorCode::HostileImage)] {
            let bundle = dev_volume(Bundle::new("true"));
            let canary = bundle.directory.join("canary");
            fs::write(&canary, "untouched").unwrap();
            let console = bundle.directory.join("dev/console");
            if name == "link" {
                symlink(&canary, &console).unwrap();
            } else {
                fs::write(&console, "").unwrap();
            }
            let error = bundle.refused();
            assert_eq!(error.code, code, "{name}: {error}");
            assert_eq!(fs::read_to_string(&canary).unwrap(), "untouched");
        }
    });
}
