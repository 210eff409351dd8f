//! What Podman's mount options come to in the container.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nucleus_tests::Host;
use nucleus_tests::engines::Podman;

#[test]
fn a_tmpfs_begins_with_what_the_image_has_there() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script =
        "cut -d: -f1 /etc/passwd | head -1; echo changed > /etc/passwd; grep -c ' /etc tmpfs ' /proc/mounts";
    assert_eq!(podman.shell(&["--tmpfs", "/etc"], script).text(), "root\n1");
}

#[test]
fn a_file_is_emptied_by_the_null_device() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "cat /etc/passwd && echo empty";
    assert_eq!(podman.shell(&["--volume", "/dev/null:/etc/passwd"], script).text(), "empty");
}

#[test]
fn a_privileged_container_makes_nodes_and_others_make_none_of_use() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    let script = "mkdir -p /dev/net; mknod /dev/net/mine c 1 11; dd if=/dev/net/mine of=/dev/null count=0 2> /dev/null \
        && echo opened || echo refused; ls /dev/full /dev/loop-control 2> /dev/null | wc -l";
    let loops = if Path::new("/dev/loop-control").exists() { 2 } else { 1 };
    assert_eq!(podman.shell(&["--privileged"], script).text(), format!("opened\n{loops}"));
    assert_eq!(podman.shell(&["--cap-add", "mknod"], script).text(), "refused\n1");
}

#[test]
fn mount_options_reach_the_mount_table() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    fs::create_dir(host.path("volume")).expect("make a directory");
    let cases: [(&str, &[&str], &[&str]); 2] = [
        ("ro,noexec,nosuid", &["ro", "noexec", "nosuid"], &["rw"]),
        ("rw,exec,suid,dev", &["rw"], &["noexec", "nosuid", "nodev", "ro"]),
    ];
    for (options, there, missing) in cases {
        let volume = format!("{}:/data:{options}", host.path("volume").display());
        let text = podman.shell(&["--volume", &volume], "grep ' /data ' /proc/self/mountinfo").text();
        let found = text.split(' ').nth(5).expect("mountinfo has six fields and more");
        let has = |option: &str| found.split(',').any(|one| one == option);
        assert!(there.iter().all(|option| has(option)), "{options}: {text}");
        assert!(!missing.iter().any(|option| has(option)), "{options}: {text}");
    }
}

#[test]
fn a_volume_is_shown_by_the_ids_of_the_user_namespace() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    fs::create_dir(host.path("volume")).expect("make a directory");
    host.file("volume/file", "");
    let map = ["--uidmap", "0:100000:5000", "--gidmap", "0:100000:5000"];
    let run = |mode: &str, script: &str| {
        let volume = format!("{}:/data:{mode}", host.path("volume").display());
        podman.shell(&[&map[..], &["--volume", &volume]].concat(), script).output()
    };
    let plain = run("rw", "stat -c %u /data/file");
    assert_eq!(plain.text(), "65534", "{plain}");
    let output = run("rw,idmap", "stat -c %u /data/file; touch /data/new");
    assert_eq!(output.assert_code(0).text(), "0");
    let made = fs::metadata(host.path("volume/new")).expect("the container made it");
    assert_eq!((made.uid(), made.gid()), (0, 0));
}
