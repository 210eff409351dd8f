//! Propagation of mounts between the container and the host, looked at from both sides. The host is a mount namespace of
//! the test's own, whose volume is shared, as all mounts are on a host with systemd.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::mount::{MountPropagationFlags, mount_change};
use serde_json::{Value, json};

use crate::harness::{Bundle, Container, mountinfo};
use crate::mounts::{mounting, own_mounts, tmpfs};

/// A shared mount of the host with a directory and, below, a shared mount.
fn shared_volume(bundle: &Bundle) -> PathBuf {
    let volume = bundle.directory.join("volume");
    tmpfs(&volume);
    share(&volume);
    fs::create_dir(volume.join("inner")).unwrap();
    tmpfs(&volume.join("below"));
    fs::create_dir(volume.join("below/inner")).unwrap();
    volume
}

fn share(at: &Path) {
    mount_change(at, MountPropagationFlags::SHARED | MountPropagationFlags::REC).unwrap();
}

fn volume_mount(volume: &Path, options: &[&str]) -> Value {
    json!({"destination": "/data", "type": "bind", "source": volume, "options": options})
}

/// Which of the two places the container's mounts appeared at on the host.
fn seen_on_host(options: &[&str], adapt: impl FnOnce(Bundle) -> Bundle) -> Vec<&'static str> {
    let mut seen = Vec::new();
    own_mounts_with(&mut seen, |seen| {
        let mount =
            "mount -t tmpfs made /data/inner && mount -t tmpfs made /data/below/inner && echo mounted && cat";
        let bundle = adapt(mounting(Bundle::new(mount)));
        let volume = shared_volume(&bundle);
        let bundle = bundle.push("/mounts", volume_mount(&volume, options));
        let talk = Talk::with(&bundle);
        assert_eq!(talk.hear(), "mounted");
        let table = mountinfo();
        for (place, name) in [("volume/inner", "inner"), ("volume/below/inner", "below")] {
            let line = format!(" {} ", bundle.directory.join(place).display());
            if table.lines().any(|found| found.contains(&line) && found.contains("- tmpfs made")) {
                seen.push(name);
            }
        }
        talk.end();
    });
    seen
}

/// [`own_mounts`] with a value that comes back from the process in which the test runs.
fn own_mounts_with(value: &mut Vec<&'static str>, body: impl FnOnce(&mut Vec<&'static str>)) {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    own_mounts(|| {
        let mut found = Vec::new();
        body(&mut found);
        writer.write_all(found.join(",").as_bytes()).unwrap();
    });
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    value.extend(["inner", "below"].into_iter().filter(|name| text.split(',').any(|found| found == *name)));
}

/// A running container that answers each line.
struct Talk<'b> {
    container: Container<'b>,
    input: std::io::PipeWriter,
    output: std::io::PipeReader,
}

impl<'b> Talk<'b> {
    fn with(bundle: &'b Bundle) -> Self {
        let (stdin, input) = std::io::pipe().unwrap();
        let (output, stdout) = std::io::pipe().unwrap();
        let container = bundle.create([stdin.as_fd(), stdout.as_fd(), stdout.as_fd()]).unwrap();
        container.start().unwrap();
        Self { container, input, output }
    }

    fn say(&self, line: &str) {
        (&self.input).write_all(line.as_bytes()).unwrap();
    }

    /// Waits for one line.
    fn hear(&self) -> String {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while (&self.output).read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    fn end(self) {
        drop(self.input);
        self.container.wait().unwrap();
        self.container.delete();
    }
}

#[test]
fn by_default_the_host_sees_nothing_of_the_containers_mounts() {
    let none: [&str; 0] = [];
    assert_eq!(seen_on_host(&["rbind"], |bundle| bundle), none);
    assert_eq!(
        seen_on_host(&["rbind", "private"], |bundle| bundle),
        none,
        "nor below, where only the top is private"
    );
    assert_eq!(seen_on_host(&["rbind", "rslave"], |bundle| bundle), none);
}

#[test]
fn shared_mounts_appear_on_the_host() {
    assert_eq!(seen_on_host(&["rbind", "rshared"], |bundle| bundle), ["inner", "below"]);
}

#[test]
fn a_shared_root_shows_the_host_nothing() {
    let none: [&str; 0] = [];
    let shared = |bundle: Bundle| bundle.set("/linux/rootfsPropagation", json!("rshared"));
    assert_eq!(seen_on_host(&["rbind", "rprivate"], shared), none);
    assert_eq!(seen_on_host(&["rbind", "rshared"], shared), ["inner", "below"]);
}

/// The kernel makes slaves of mounts that enter a less privileged mount namespace; what was cloned before is kept from
/// reaching back by us.
#[test]
fn a_user_namespace_shows_the_host_nothing() {
    let none: [&str; 0] = [];
    let mapped = |bundle: Bundle| {
        let maps = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
        bundle
            .push("/linux/namespaces", json!({"type": "user"}))
            .set("/linux/uidMappings", maps.clone())
            .set("/linux/gidMappings", maps)
    };
    assert_eq!(seen_on_host(&["rbind", "rshared"], mapped), none);
}

#[test]
fn the_container_sees_the_hosts_mounts_where_it_is_told_to() {
    for (option, expected) in [("rslave", "2"), ("rshared", "2"), ("rprivate", "0"), ("slave", "2")] {
        own_mounts(|| {
            let bundle = Bundle::new("read line; grep -c '/inner .* - tmpfs' /proc/self/mountinfo");
            let volume = shared_volume(&bundle);
            let bundle = bundle.push("/mounts", volume_mount(&volume, &["rbind", option]));
            let talk = Talk::with(&bundle);
            tmpfs(&volume.join("inner"));
            tmpfs(&volume.join("below/inner"));
            talk.say("now\n");
            assert_eq!(talk.hear(), expected, "{option}");
            talk.end();
        });
    }
}

/// With a shared root as the runtime specification has it: a peer of its own clones, and of nothing on the host.
#[test]
fn the_roots_propagation_is_the_workloads() {
    let script = "mount --bind / /data && mount -t tmpfs x /tmp && grep -c ' /data/tmp ' /proc/self/mountinfo; \
        grep -o ' / / .* - ' /proc/self/mountinfo | sed 's/ - //; s/.*relatime//'";
    for (propagation, expected) in [
        ("shared", "1"),
        ("rshared", "1"),
        ("private", "0"),
        ("slave", "0"),
        ("unbindable", ""),
        ("runbindable", ""),
    ] {
        own_mounts(|| {
            let bundle = mounting(Bundle::new(script)).set("/linux/rootfsPropagation", json!(propagation));
            let rootfs = bundle.rootfs();
            rustix::mount::mount_bind(&rootfs, &rootfs).unwrap();
            share(&rootfs);
            let outcome = bundle.run();
            assert_eq!(
                outcome.stdout.lines().next().unwrap_or_default().trim(),
                expected,
                "{propagation}: {outcome:?}"
            );
            if expected.is_empty() {
                assert!(outcome.stderr.contains("Invalid argument"), "{propagation}: {outcome:?}");
            }
            let table = mountinfo();
            let line = format!(" {}/tmp ", rootfs.display());
            assert!(!table.contains(&line), "{propagation}: {table}");
            rustix::mount::unmount(&rootfs, rustix::mount::UnmountFlags::DETACH).unwrap();
        });
    }
}

/// What the host mounts into the image while the container runs arrives only where it is asked for.
#[test]
fn a_slave_root_gets_what_the_host_mounts_in_it() {
    for (propagation, expected) in [("rslave", "1"), ("rprivate", "0")] {
        own_mounts(|| {
            let bundle = Bundle::new("read line; grep -c ' /data ' /proc/self/mountinfo")
                .set("/linux/rootfsPropagation", json!(propagation));
            let rootfs = bundle.rootfs();
            rustix::mount::mount_bind(&rootfs, &rootfs).unwrap();
            share(&rootfs);
            let talk = Talk::with(&bundle);
            tmpfs(&rootfs.join("data"));
            talk.say("now\n");
            assert_eq!(talk.hear(), expected, "{propagation}");
            talk.end();
            for place in [rootfs.join("data"), rootfs] {
                rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH).unwrap();
            }
        });
    }
}
