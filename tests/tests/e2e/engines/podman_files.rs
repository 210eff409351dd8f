//! Volumes, tmpfs, devices and read-only roots as Podman asks for them.

use std::fs;
use std::path::Path;

use nucleus_tests::engines::Podman;
use nucleus_tests::{Host, skip};

#[test]
fn volumes_are_shared_read_only_or_writable() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    fs::create_dir(host.path("shared")).expect("make a directory");
    let shared = host.file("shared/file", "from the host");
    let volume = |mode: &str| format!("{}:/shared:{mode}", host.path("shared").display());
    let output =
        podman.shell(&["--volume", &volume("ro")], "cat /shared/file; echo x > /shared/file").output();
    assert!(output.text().starts_with("from the host"), "{output}");
    assert!(output.stderr.contains("Read-only file system"), "{output}");
    podman.shell(&["--volume", &volume("rw")], "echo from inside > /shared/file").text();
    assert_eq!(fs::read_to_string(shared).expect("read it"), "from inside\n");
}

#[test]
fn a_named_volume_outlives_its_containers_and_takes_the_images_files() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.call(&["volume", "create", "keep"]).text();
    podman.shell(&["--volume", "keep:/data"], "echo kept > /data/file").text();
    assert_eq!(podman.shell(&["--volume", "keep:/data"], "cat /data/file").text(), "kept");
    // A new volume begins with what the image has there.
    let copied = podman.shell(&["--volume", "copy:/etc"], "cat /etc/passwd").text();
    assert!(copied.starts_with("root:"), "{copied}");
    podman.call(&["volume", "rm", "keep", "copy"]).text();
}

#[test]
fn single_files_and_nested_mounts_find_their_places() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let file = host.file("one", "one file\n");
    let file = format!("{}:/deep/er/file", file.display());
    let script = "cat /deep/er/file; echo two > /deep/er/tmp/x; grep -c ' /deep' /proc/self/mountinfo";
    let flags = ["--volume", &file, "--tmpfs", "/deep/er/tmp"];
    assert_eq!(podman.shell(&flags, script).text(), "one file\n2");
}

#[test]
fn tmpfs_has_its_size_and_options() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "grep ' /scratch ' /proc/mounts; stat -c %a /scratch";
    let text = podman.shell(&["--tmpfs", "/scratch:rw,noexec,nosuid,size=64k,mode=1750"], script).text();
    for option in ["tmpfs /scratch tmpfs rw,nosuid,nodev,noexec", "size=64k", "1750"] {
        assert!(text.contains(option), "{option} in {text}");
    }
}

#[test]
fn a_read_only_root_takes_no_write_but_below_its_tmpfs() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "echo x > /file || echo refused; echo y > /tmp/file && cat /tmp/file";
    let output = podman.shell(&["--read-only"], script).output().assert_code(0);
    assert_eq!(output.text(), "refused\ny");
    assert!(output.stderr.contains("Read-only file system"), "{output}");
}

#[test]
fn a_device_is_there_and_may_be_used_as_asked() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    if !Path::new("/dev/loop-control").exists() {
        return skip(
            "the host has no /dev/loop-control, a device that may be opened and that no container has",
        );
    }
    let script = "stat -c %t:%T /dev/mine; : < /dev/mine && echo opened; true > /dev/mine || echo refused";
    let output = podman.shell(&["--device", "/dev/loop-control:/dev/mine:r"], script).output().assert_code(0);
    assert_eq!(output.text(), "a:ed\nopened\nrefused", "{output}");
    let script = "mknod /null c 1 11 && head -c 1 < /null || echo refused";
    let output = podman.shell(&[], script).output().assert_code(0);
    assert_eq!(output.text(), "refused", "devices that nobody asked for stay shut\n{output}");
}

#[test]
fn shared_memory_has_the_size_asked_for() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let text = podman.shell(&["--shm-size", "1m"], "df -k /dev/shm | tail -1").text();
    assert_eq!(text.split_whitespace().nth(1), Some("1024"), "{text}");
}

#[test]
fn files_are_copied_in_and_out() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("house", &[]);
    let local = host.file("local", "luggage");
    podman.call(&["cp", local.to_str().expect("a plain path"), "house:/tmp/inside"]).text();
    assert_eq!(podman.call(&["exec", "house", "cat", "/tmp/inside"]).text(), "luggage");
    let back = host.path("back");
    podman.call(&["cp", "house:/tmp/inside", back.to_str().expect("a plain path")]).text();
    assert_eq!(fs::read_to_string(back).expect("read it"), "luggage");
}
