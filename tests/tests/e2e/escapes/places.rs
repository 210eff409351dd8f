//! Targets that links of the image, or of a volume, lead to another place than the profile says: what is refused of a place
//! is refused by whatever name it is reached.

use std::fs;
use std::path::{Path, PathBuf};

use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::skip::skip;
use nucleus_tests::{Bundle, Host, Nucleus};

use crate::secrets::{from_file, secret_file};
use crate::{BASE, open_directory};

fn image(host: &Host, links: &[(&str, &str)]) -> Rootfs {
    let root = Rootfs::busybox(host.path("root"));
    for (at, to) in links {
        fs::create_dir_all(root.path().join(at).parent().unwrap()).unwrap();
        root.link(at, to);
    }
    root
}

fn volume(source: &Path, target: &str) -> String {
    format!("{{source: {}, target: {target}, mode: rw}}", source.display())
}

fn secret(host: &Host) -> String {
    format!("secrets: [{}]\n", from_file(&secret_file(host, "key", "real"), "name: k"))
}

fn run(host: &Host, root: &Rootfs, option: &str, yaml: &str, script: &str) -> Nucleus {
    host.shell(host.profile(BASE, yaml), script).arg("--rootfs").arg(root.path()).arg(option)
}

fn refuse(host: &Host, root: &Rootfs, yaml: &str, words: &[&str]) {
    for option in ["--read-only", "--writable"] {
        let output = run(host, root, option, yaml, "true").output().assert_refused(words);
        assert!(output.stderr.contains("profile-"), "the line is named: {output}");
    }
    host.assert_no_leak();
}

fn names(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn no_volume_covers_a_secret_by_a_link_of_the_image() {
    let host = Host::enter();
    let root = image(&host, &[("a/b/c/d", "/run")]);
    let shared = open_directory(&host, "shared");
    fs::create_dir(shared.join("secrets")).unwrap();
    fs::write(shared.join("secrets/k"), "FAKE").unwrap();
    let yaml = format!("mounts: {{volumes: [{}]}}\n{}", volume(&shared, "/a/b/c/d"), secret(&host));
    refuse(&host, &root, &yaml, &["/run/secrets/k", "/a/b/c/d is a link to /run"]);
    // A tmpfs may hold secrets, and comes before them however deep its name is.
    let yaml = format!("mounts: {{tmpfs: [{{target: /a/b/c/d}}]}}\n{}", secret(&host));
    let output = run(&host, &root, "--read-only", &yaml, "cat /run/secrets/k").output();
    assert_eq!(output.assert_success().text(), "real");
}

#[test]
fn no_file_is_made_for_a_secret_in_a_volume_behind_a_link() {
    let host = Host::enter();
    let root = image(&host, &[("var/run", "/run")]);
    let shared = open_directory(&host, "shared");
    let yaml = format!("mounts: {{volumes: [{}]}}\n{}", volume(&shared, "/var/run"), secret(&host));
    refuse(&host, &root, &yaml, &["/run/secrets/k", "/var/run is a link to /run"]);
    assert_eq!(names(&shared), [] as [PathBuf; 0]);
}

#[test]
fn allowed_targets_are_places_and_not_names() {
    let host = Host::enter();
    let root = image(&host, &[("a/x", "/etc"), ("b", "a")]);
    let shared = open_directory(&host, "shared");
    let yaml = |target: &str| {
        let policy = "policy: {allowTargets: [/a, /b/here, /tmp]}";
        format!("mounts: {{volumes: [{}], {policy}}}\n", volume(&shared, target))
    };
    refuse(&host, &root, &yaml("/a/x"), &["mounts.policy.allowTargets", "/a/x is a link to /etc"]);
    // What leads to an allowed place is allowed.
    run(&host, &root, "--read-only", &yaml("/b/here"), "ls /a/here").output().assert_success();
}

#[test]
fn one_place_takes_one_mount_by_whatever_name() {
    let host = Host::enter();
    let root = image(&host, &[("var/run", "../run"), ("kernel", "/proc/sys")]);
    let shared = open_directory(&host, "shared");
    let both = format!("mounts: {{tmpfs: [{{target: /run}}], volumes: [{}]}}\n", volume(&shared, "/var/run"));
    refuse(&host, &root, &both, &["the same place", "/var/run is a link to ../run"]);
    let kernel = format!("mounts: {{volumes: [{}]}}\n", volume(&shared, "/kernel/net"));
    refuse(&host, &root, &kernel, &["belongs to the runtime", "/kernel is a link to /proc/sys"]);
}

#[test]
fn ordinary_links_of_images_keep_working() {
    let host = Host::enter();
    let root = image(&host, &[("var/run", "/run"), ("lib", "usr/lib"), ("srv", "/missing/there")]);
    let shared = open_directory(&host, "shared");
    fs::write(shared.join("file"), "shown").unwrap();
    let file = volume(&shared.join("file"), "/lib/deep/file");
    let volumes = [volume(&shared, "/var/run/app"), volume(&shared, "/srv"), file].join(", ");
    let yaml = format!("mounts: {{volumes: [{volumes}]}}\n{}", secret(&host));
    let script = "cat /run/app/file /srv/file /usr/lib/deep/file /var/run/secrets/k";
    for option in ["--read-only", "--writable"] {
        let output = run(&host, &root, option, &yaml, script).output().assert_success();
        assert_eq!(output.text(), "shownshownshownreal", "{option}");
    }
    host.assert_no_leak();
}

/// The names that `host-runtime` shows as links are places of `/usr`.
#[test]
fn links_of_the_hosts_runtime_are_places_too() {
    let host = Host::enter();
    if fs::read_link("/bin").is_err() {
        return skip("on this host /bin is no link");
    }
    let shared = open_directory(&host, "shared");
    let file = |target: &str| volume(&fs::canonicalize("/usr/bin/env").unwrap(), target);
    let run = |mounts: &str| {
        host.shell(host.profile(BASE, &format!("mounts: {{{mounts}}}\n")), "echo started").output()
    };
    let both = format!("volumes: [{}, {}]", file("/usr/bin/head"), file("/bin/head"));
    run(&both).assert_refused(&["the same place", "/bin is a link to usr/bin", "profile-"]);
    let allowed =
        |place: &str| format!("volumes: [{}], policy: {{allowTargets: [{place}]}}", file("/bin/head"));
    run(&allowed("/bin")).assert_refused(&["mounts.policy.allowTargets", "which leads to /usr/bin/head"]);
    run(&allowed("/bin, /usr/bin")).assert_success();
    run(&format!("volumes: [{}]", file("/etc/mtab")))
        .assert_refused(&["belongs to the runtime", "/etc/mtab"]);
    let missing = format!("volumes: [{}]", volume(&shared, "/bin/not-there"));
    run(&missing).assert_refused(&["/usr/bin/not-there", "has no", "bin/not-there"]);
    host.assert_no_leak();
}

/// The workload that writes to a volume would choose where the next start mounts.
#[test]
fn a_link_in_a_volume_leads_no_mount_elsewhere() {
    let host = Host::enter();
    let root = image(&host, &[]);
    let (shared, other) = (open_directory(&host, "shared"), open_directory(&host, "other"));
    std::os::unix::fs::symlink("/etc", shared.join("inner")).unwrap();
    let volumes = [volume(&shared, "/data"), volume(&other, "/data/inner")].join(", ");
    let yaml = format!("mounts: {{volumes: [{volumes}]}}\n");
    refuse(&host, &root, &yaml, &["/data/inner", "/data/inner is a link to /etc"]);
}

#[test]
fn an_engines_targets_are_places_too() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    std::os::unix::fs::symlink("/etc", shared.join("link")).unwrap();
    let yaml = "rootfs: host-runtime\nmounts: {policy: {allowTargets: [/a, /run, /tmp]}}\n";
    let profile = host.profile(BASE, yaml);
    let call = |name: &str, targets: &[&str]| {
        let bundle = Bundle::shell(&host, name, "true").write();
        let root = bundle.rootfs();
        fs::create_dir_all(root.join("a")).unwrap();
        fs::create_dir_all(root.join("var")).unwrap();
        let _ = fs::remove_dir_all(root.join("var/run"));
        std::os::unix::fs::symlink("/etc", root.join("a/x")).unwrap();
        std::os::unix::fs::symlink("/run", root.join("var/run")).unwrap();
        let bundle = targets.iter().fold(bundle, |bundle, target| bundle.bind(&shared, target)).write();
        let call = host.nucleus("run").profile(&profile).arg("--bundle").arg(bundle.path());
        call.arg(host.fresh_id()).output()
    };
    call("plain", &["/a/b"]).assert_success();
    call("image", &["/a/x"]).assert_refused(&["mounts[", "mounts.policy.allowTargets", "/etc"]);
    call("volume", &["/a/b", "/a/b/link"]).assert_refused(&["mounts[", "allowTargets", "/etc"]);
}
