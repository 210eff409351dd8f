//! The root file system, volumes, and what of the host stays out of reach.

use std::fs;
use std::path::Path;

use nucleus_tests::Host;
use nucleus_tests::canary::Canary;
use nucleus_tests::rootfs::Rootfs;

use crate::{DEV, PROFILES, open_directory, writable};

#[test]
fn the_hosts_programs_are_there_and_its_secrets_are_not() {
    let host = Host::enter();
    for profile in PROFILES {
        let output =
            host.shell(profile, "ls / /etc; ls -A /home /root /mnt /srv /boot 2>/dev/null; true").output();
        let text = output.assert_success().text().to_owned();
        for name in ["usr", "bin", "lib", "proc", "dev", "sys", "tmp", "passwd"] {
            assert!(text.lines().any(|line| line == name), "{name} is there: {text}");
        }
        for name in ["shadow", "gshadow", "sudoers", "ssh"] {
            assert!(!text.lines().any(|line| line == name), "{name} is not: {text}");
        }
        let call =
            host.shell(profile, "for d in /home /root /mnt /srv /boot /opt; do ls -A $d 2>/dev/null; done");
        assert_eq!(call.output().text(), "", "nothing of the host's own under {profile}");
    }
}

#[test]
fn the_hosts_files_are_read_only() {
    let host = Host::enter();
    let canaries = ["/usr", "/usr/bin", "/usr/lib", "/etc/passwd", "/usr/bin/env"].map(Canary::watch);
    for profile in PROFILES {
        for target in ["/usr/x", "/usr/bin/x", "/bin/x", "/lib/x", "/usr/bin/env", "/sbin/x"] {
            let output = host.shell(profile, &format!("exec 2>&1; : >> {target}")).output();
            assert_ne!(output.code(), Some(0), "{target} under {profile}");
            let text = output.text();
            assert!(text.contains("Read-only") || text.contains("denied"), "{target}: {text}");
        }
        host.shell(profile, "mount -o remount,rw /usr 2>/dev/null || umount /usr 2>/dev/null")
            .output()
            .assert_code(32);
    }
    for canary in canaries {
        canary.assert_alive();
    }
}

#[test]
fn scratch_places_are_writable() {
    let host = Host::enter();
    for profile in PROFILES {
        let script = "for d in /tmp /dev/shm; do echo hi > $d/x && cat $d/x; done; stat -c %a /tmp";
        assert_eq!(host.shell(profile, script).output().assert_success().text(), "hi\nhi\n1777", "{profile}");
    }
    assert!(!Path::new("/tmp/x").exists() && !Path::new("/dev/shm/x").exists());
}

#[test]
fn a_directory_is_a_root() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let call = |script: &str| host.shell(DEV, script).arg("--writable").arg("--rootfs").arg(root.path());
    assert_eq!(call("busybox | head -c 7").output().assert_success().text(), "BusyBox");
    call("echo written > /etc/new").output().assert_success();
    assert_eq!(fs::read_to_string(root.path().join("etc/new")).unwrap(), "written\n");
}

#[test]
fn a_read_only_root_stays_as_it_is() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let canaries = ["", "etc", "dev", "proc", "sys", "tmp"].map(|name| Canary::watch(root.path().join(name)));
    let script = "(: > /etc/new) || echo refused; (: > /new) || echo refused; mkdir /deep || echo refused";
    let call = host.shell(DEV, script).arg("--read-only").arg("--rootfs").arg(root.path());
    let output = call.output().assert_code(0);
    assert_eq!(output.text(), "refused\nrefused\nrefused");
    for canary in canaries {
        canary.assert_alive();
    }
}

/// Nothing is ever written into the image, mount points included.
#[test]
fn mount_points_are_not_made_in_the_image() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let shared = open_directory(&host, "shared");
    fs::write(shared.join("note"), "hello").unwrap();
    let canaries = ["", "dev", "run"].map(|name| Canary::watch(root.path().join(name)));
    let call = host.run(DEV, &["/bin/cat", "/deep/er/note"]).arg("--rootfs").arg(root.path());
    let output = call.args(["--volume", &writable(&shared, "/deep/er")]).output().assert_success();
    assert_eq!(output.text(), "hello");
    for canary in canaries {
        canary.assert_alive();
    }
}

/// The host's programs are read-only in any case: asking for it is no mistake.
#[test]
fn the_hosts_programs_may_be_asked_for_read_only() {
    let host = Host::enter();
    for profile in PROFILES {
        host.shell(profile, "true").arg("--read-only").output().assert_success();
    }
}

#[test]
fn volumes_are_read_only_or_writable_as_said() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    fs::write(shared.join("note"), "from outside").unwrap();
    for profile in PROFILES {
        let run = |mode: &str, script: &str| {
            let volume = format!("{}:/data{mode}", shared.display());
            host.shell(profile, script).args(["--volume", &volume]).output()
        };
        assert_eq!(run(":ro", "cat /data/note").assert_success().text(), "from outside");
        assert_ne!(run(":ro", ": > /data/new").code(), Some(0));
        assert!(!shared.join("new").exists());
        run(":rw", "echo inside > /data/new").assert_success();
        assert_eq!(fs::read_to_string(shared.join("new")).unwrap(), "inside\n");
        fs::remove_file(shared.join("new")).unwrap();
    }
}

#[test]
fn volumes_carry_no_programs_devices_or_setuid_unless_said() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    let script = shared.join("script");
    fs::write(&script, "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
    let volume = writable(&shared, "/data");
    let call = host.run(DEV, &["/bin/grep", " /data ", "/proc/self/mountinfo"]).args(["--volume", &volume]);
    let output = call.output().assert_success();
    for flag in ["nosuid", "nodev", "noexec"] {
        assert!(output.text().contains(flag), "{flag}: {output}");
    }
    host.run(DEV, &["/data/script"]).args(["--volume", &volume]).output().assert_code(126);
    let yaml = format!("mounts: {{volumes: [{{source: {}, target: /data, exec: true}}]}}", shared.display());
    let output = host.run(host.profile(DEV, &yaml), &["/data/script"]).output().assert_success();
    assert_eq!(output.text(), "ran");
}

#[test]
fn a_volume_that_is_not_there_is_refused() {
    let host = Host::enter();
    let call = host.shell(DEV, "true").args(["--volume", "/no/such/source:/data:ro"]);
    call.output().assert_refused(&["/no/such/source"]);
}

#[test]
fn a_tmpfs_is_empty_bounded_and_private() {
    let host = Host::enter();
    let profile =
        host.profile(DEV, "mounts: {tmpfs: [{target: /tmp, size: 1M}, {target: /scratch, size: 64K}]}");
    let script = "ls -A /scratch; head -c 1000000 /dev/zero > /scratch/x; stat -c %s /scratch/x";
    let output = host.shell(profile, script).output().assert_code(0);
    assert_eq!(output.text(), "65536", "{output}");
    let output =
        host.shell(DEV, "echo x > /scratch/y; cat /scratch/y").args(["--tmpfs", "/scratch"]).output();
    assert_eq!(output.assert_success().text(), "x");
}

#[test]
fn the_hosts_root_is_not_above_the_containers() {
    let host = Host::enter();
    for profile in PROFILES {
        let script =
            "cd /; cd ../../..; pwd; ls -d home/* root/.cargo 2>/dev/null; grep -c . /proc/self/mountinfo";
        let output = host.shell(profile, script).output().assert_success();
        let mut lines = output.text().lines();
        assert_eq!(lines.next(), Some("/"));
        let mounts: usize = lines.next().unwrap().parse().expect("nothing but the count of mounts follows");
        assert!(mounts < 60, "{mounts} mounts: the host's are gone");
    }
}
