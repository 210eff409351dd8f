//! `mounts`: volumes and tmpfs, as the container sees them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use nucleus_tests::{Host, Nucleus};

use crate::{DEV, PROFILES, open_directory};

fn with_mounts(host: &Host, mounts: &str, script: &str) -> Nucleus {
    host.shell(host.profile(DEV, &format!("mounts: {{{mounts}}}")), script)
}

/// The options of the mount at `target`, as the container's mountinfo shows them: those of the mount and of its file system.
const OPTIONS: &str = "awk -v t=$T '$5 == t {print $6}' /proc/self/mountinfo";

#[test]
fn a_file_is_a_volume_too() {
    let host = Host::enter();
    let note = host.file("note", "from outside\n");
    let volumes = format!("volumes: [{{source: {}, target: /deep/er/note, mode: rw}}]", note.display());
    let script = "cat /deep/er/note && echo inside > /deep/er/note";
    let output = with_mounts(&host, &volumes, script).output().assert_success();
    assert_eq!(output.text(), "from outside");
    assert_eq!(fs::read_to_string(&note).unwrap(), "inside\n");
}

/// The host's own submounts come along, and not one of them may be written.
#[test]
fn a_recursive_volume_is_read_only_all_the_way_down() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    fs::create_dir(shared.join("below")).unwrap();
    let mount = r#"mount -t tmpfs -o suid,dev,exec none "$1" && : > "$1/there" && shift && exec "$@""#;
    let below = shared.join("below");
    let wrapper = || {
        ["unshare", "--mount", "/bin/sh", "-c", mount, "sh"]
            .map(Path::new)
            .into_iter()
            .chain([below.as_path()])
    };
    let volume = |more: &str| format!("volumes: [{{source: {}, target: /data{more}}}]", shared.display());
    let script = format!("ls /data/below; (: > /data/below/new) || echo refused; T=/data/below; {OPTIONS}");
    let call = with_mounts(&host, &volume(", recursive: true"), &script).through(wrapper());
    let output = call.output().assert_code(0);
    let lines: Vec<_> = output.text().lines().collect();
    assert_eq!(lines[..2], ["there", "refused"], "{output}");
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(lines[2].split(',').any(|found| found == option), "{option}: {output}");
    }
    // Unless it is said, only what lies on the source's own file system is there.
    let output = with_mounts(&host, &volume(""), &script).through(wrapper()).output().assert_code(0);
    assert_eq!(output.text(), "refused", "{output}");
}

#[test]
fn a_recursive_volume_that_may_be_written_carries_no_programs_below() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    fs::create_dir(shared.join("below")).unwrap();
    let below = shared.join("below");
    let mount = r#"mount -t tmpfs -o suid,dev,exec none "$1" && shift && exec "$@""#;
    let wrapper = ["unshare", "--mount", "/bin/sh", "-c", mount, "sh"].map(Path::new);
    let volumes =
        format!("volumes: [{{source: {}, target: /data, mode: rw, recursive: true}}]", shared.display());
    let script = format!("echo x > /data/below/new && cat /data/below/new; T=/data/below; {OPTIONS}");
    let call = with_mounts(&host, &volumes, &script).through(wrapper.into_iter().chain([below.as_path()]));
    let output = call.output().assert_success();
    let lines: Vec<_> = output.text().lines().collect();
    assert_eq!(lines[0], "x", "{output}");
    assert!(["nosuid", "nodev", "noexec"].iter().all(|option| lines[1].contains(option)), "{output}");
}

#[test]
fn owners_of_a_volume_are_shown_by_other_ids() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    let file = shared.join("file");
    fs::write(&file, "x").unwrap();
    chown(&file, Some(1000), Some(1001)).unwrap();
    let map = |from: u32, to: u32| format!("[{{container: {from}, host: {to}, size: 10}}]");
    let volume = |idmap: &str| {
        format!(
            "mounts: {{volumes: [{{source: {}, target: /data, mode: rw, idmap: {idmap}}}]}}",
            shared.display()
        )
    };
    let own = volume(&format!("{{uidMap: {}, gidMap: {}}}", map(1000, 5000), map(1000, 6000)));
    let script = "stat -c %u:%g /data/file";
    let output = host.shell(host.profile(DEV, &own), script).output().assert_success();
    assert_eq!(output.text(), "5000:6001");

    // What root of the container makes is root's on the host as well, though inside it is somebody else there.
    let user = "namespaces:\n  user: {uidMap: [{container: 0, host: 200000, size: 65536}], \
        gidMap: [{container: 0, host: 200000, size: 65536}]}";
    let profile = host.profile(DEV, &format!("{}\n{user}", volume("true")));
    let output = host.shell(profile, &format!("{script}; : > /data/new")).output().assert_success();
    assert_eq!(output.text(), "1000:1001");
    let made = fs::metadata(shared.join("new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (0, 0));
    let profile = host.profile(DEV, &format!("{}\n{user}", volume("false")));
    assert_eq!(host.shell(profile, script).output().assert_success().text(), "65534:65534");
}

#[test]
fn ids_of_a_user_namespace_that_is_not_there_are_refused() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    let volumes = format!("volumes: [{{source: {}, target: /data, idmap: true}}]", shared.display());
    let call = with_mounts(&host, &volumes, "true");
    call.output().assert_refused(&["mounts.volumes.0.idmap", "namespaces.user", ".yaml:"]);
    let overlapping = "{uidMap: [{container: 0, host: 1, size: 9}, {container: 5, host: 99, size: 1}], \
        gidMap: [{container: 0, host: 1, size: 1}]}";
    let volumes = format!("volumes: [{{source: {}, target: /data, idmap: {overlapping}}}]", shared.display());
    with_mounts(&host, &volumes, "true")
        .output()
        .assert_refused(&["mounts.volumes.0.idmap.uidMap", "overlap"]);
}

#[test]
fn a_tmpfs_has_the_owner_the_mode_and_the_bounds_that_are_said() {
    let host = Host::enter();
    let tmpfs = "tmpfs: [{target: /scratch, size: 1M, mode: \"0750\", uid: 7, gid: 8, inodes: 10}]";
    let script = "stat -c '%a %u %g' /scratch; i=0; \
        while touch /scratch/$i 2>/dev/null; do i=$((i + 1)); done; echo $i; stat -f -c %c /scratch";
    let output = with_mounts(&host, tmpfs, script).output().assert_success();
    assert_eq!(output.text(), "750 7 8\n9\n10", "its root is one of the ten\n{output}");
    let options = "/scratch:size=1M,mode=0750,uid=7,gid=8,inodes=10";
    let output = host.shell(DEV, script).args(["--tmpfs", options]).output().assert_success();
    assert_eq!(output.text(), "750 7 8\n9\n10");
}

/// Parents are mounted before what lies on them, whichever list they stand in and in whichever order.
#[test]
fn mounts_lie_on_each_other_by_depth() {
    let host = Host::enter();
    let (outer, inner) = (open_directory(&host, "outer"), open_directory(&host, "inner"));
    fs::write(outer.join("note"), "outer").unwrap();
    fs::create_dir(outer.join("inner")).unwrap();
    fs::create_dir(inner.join("memory")).unwrap();
    fs::write(inner.join("note"), "inner").unwrap();
    for profile in PROFILES {
        let yaml = format!(
            "mounts: {{tmpfs: [{{target: /a/b/inner/memory}}, {{target: /a}}], volumes: [{{source: {}, target: /a/b/inner}}, \
            {{source: {}, target: /a/b}}]}}",
            inner.display(),
            outer.display()
        );
        let script =
            "cat /a/b/note /a/b/inner/note; echo; echo x > /a/b/inner/memory/y; cat /a/b/inner/memory/y";
        let output = host.shell(host.profile(profile, &yaml), script).output().assert_success();
        assert_eq!(output.text(), "outerinner\nx", "{profile}");
    }
}

#[test]
fn a_read_only_volume_without_the_place_is_named() {
    let host = Host::enter();
    let outer = open_directory(&host, "outer");
    let mounts = format!(
        "\n  volumes: [{{source: {}, target: /data}}]\n  tmpfs:\n    - {{target: /data/deep/er}}\n",
        outer.display()
    );
    let profile = host.profile(DEV, &format!("mounts:{mounts}"));
    let output = host.shell(&profile, "true").output();
    let words = [
        "/data/deep/er (",
        ".yaml:6",
        "read-only at /data (",
        ".yaml:4",
        "has no deep/er",
        "make it on the host",
    ];
    output.assert_refused(&words);
    assert_eq!(fs::read_dir(&outer).unwrap().count(), 0, "nothing is made");
    fs::create_dir_all(outer.join("deep/er")).unwrap();
    host.shell(&profile, ": > /data/deep/er/x").output().assert_success();
    let output = host.shell(DEV, "true").args(["--tmpfs", "/usr/no-such-place"]).output();
    output.assert_refused(&["/usr/no-such-place (--tmpfs)", "read-only at /usr"]);
}

/// It stays there: others may use the volume, and what they put into it is theirs.
#[test]
fn a_writable_volume_gets_the_place_and_keeps_it() {
    let host = Host::enter();
    let outer = open_directory(&host, "outer");
    let mounts = format!(
        "volumes: [{{source: {}, target: /data, mode: rw}}], tmpfs: [{{target: /data/deep/er}}]",
        outer.display()
    );
    for _ in 0..2 {
        let script = "echo here > /data/deep/er/x && cat /data/deep/er/x";
        assert_eq!(with_mounts(&host, &mounts, script).output().assert_success().text(), "here");
        assert_eq!(
            fs::read_dir(outer.join("deep/er")).unwrap().count(),
            0,
            "an empty place is all that stays"
        );
    }
}

#[test]
fn one_place_takes_one_mount() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    for target in ["/data/", "//data", "/./data", "/data/."] {
        let mounts = format!(
            "volumes: [{{source: {}, target: /data}}],\n  tmpfs: [{{target: {target}}}]",
            shared.display()
        );
        let output = with_mounts(&host, &mounts, "true").output();
        let output = output.assert_refused(&["two mounts have the target `/data`", ".yaml:4", ".yaml:3"]);
        assert!(output.stderr.contains("the first is at"), "{output}");
    }
    let volume = format!("{}:/usr:ro", shared.display());
    let output = host.shell(DEV, "true").args(["--volume", &volume]).output();
    output.assert_refused(&["/usr is taken", "host-runtime", "--volume"]);
}

#[test]
fn a_volume_with_options_of_the_command_line() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    let script = shared.join("script");
    fs::write(&script, "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let volume = |options: &str| format!("{}:/data:{options}", shared.display());
    let run = |options: &str| host.run(DEV, &["/data/script"]).args(["--volume", &volume(options)]).output();
    assert_eq!(run("ro,exec").assert_success().text(), "ran");
    run("ro").assert_code(126);
    run("ro,suid").assert_refused(&["--volume", "`suid` is not known"]);
}

/// A volume is `nodev`: what a device is asked for by is `devices`, which gives it its rule too.
#[test]
fn a_device_is_no_volume() {
    let host = Host::enter();
    let call = host.shell(DEV, "true").args(["--volume", "/dev/null:/data:ro"]);
    call.output().assert_refused(&["/dev/null (--volume)", "devices"]);
}

#[test]
fn a_source_that_is_not_there_is_named_with_its_line() {
    let host = Host::enter();
    let volumes = "\n  volumes:\n    - {source: /no/such/source, target: /data}\n";
    let profile = host.profile(DEV, &format!("mounts:{volumes}"));
    let output = host.shell(&profile, "true").output();
    output.assert_refused(&["/no/such/source", &format!("{}:5", profile.display())]);
    let profile = host.profile(DEV, "mounts: {volumes: [{source: /srv, target: /data/../etc}]}");
    host.shell(&profile, "true").output().assert_refused(&["`..` is not allowed", ".yaml:3"]);
}

/// Not "make it": it is there.
#[test]
fn a_source_that_nucleus_may_not_reach_is_told_from_one_that_is_not_there() {
    let host = Host::enter();
    let closed = open_directory(&host, "closed");
    fs::create_dir(closed.join("inner")).unwrap();
    fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
    chown(&closed, Some(1), Some(1)).unwrap();
    let volume = format!("{}:/x:ro", closed.join("inner").display());
    let weak = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"];
    let call = host.shell(DEV, "true").through(weak).args(["--volume", &volume]);
    let output =
        call.output().assert_refused(&["/closed/inner", "Permission denied", "enter each directory"]);
    assert!(!output.stderr.contains("make it"), "{output}");
}

#[test]
fn a_path_with_a_colon_is_written_as_the_refusal_says() {
    let host = Host::enter();
    let odd = open_directory(&host, "a:b");
    fs::write(odd.join("file"), "there").unwrap();
    let refused = host.shell(DEV, "true").arg("--volume").arg(format!("{}:/x:ro:", odd.display())).output();
    refused
        .assert_refused(&["--volume", "mounts: {volumes: [{source: \"/a:b\", target: \"/c\", mode: rw}]}"]);
    let mounts = format!("volumes: [{{source: \"{}\", target: \"/c\", mode: rw}}]", odd.display());
    let output = with_mounts(&host, &mounts, "cat /c/file").output().assert_success();
    assert_eq!(output.text(), "there");
}
