//! Root file systems of directories that lie over each other.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nucleus_tests::canary::Canary;
use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::{Host, Nucleus};

use crate::{DEV, open_directory, writable};

/// A busybox system, and a layer with files of its own to lie on it.
struct Layers {
    base: Rootfs,
    top: PathBuf,
}

impl Layers {
    fn lay(host: &Host) -> Self {
        let base = Rootfs::busybox(host.path("base: odd, \\name"));
        base.file("etc/both", "base\n");
        base.file("etc/only-base", "base\n");
        let top = host.path("top");
        fs::create_dir_all(top.join("etc")).unwrap();
        fs::write(top.join("etc/both"), "top\n").unwrap();
        Self { base, top }
    }

    fn lower(&self) -> String {
        format!("lower: [{}, {}]", self.top.display(), quoted(self.base.path()))
    }

    fn shell(&self, host: &Host, more: &str, script: &str) -> Nucleus {
        host.shell(host.profile(DEV, &format!("rootfs: {{overlay: {{{}{more}}}}}", self.lower())), script)
    }

    fn canaries(&self) -> Vec<Canary> {
        let names = ["", "etc", "etc/both", "dev", "proc", "sys"];
        let base = names.iter().map(|name| Canary::watch(self.base.path().join(name)));
        base.chain(["", "etc", "etc/both"].iter().map(|name| Canary::watch(self.top.join(name)))).collect()
    }
}

/// A path as YAML reads it back, whatever stands in it.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.to_str().unwrap()).to_string()
}

fn assert_alive(canaries: &[Canary]) {
    canaries.iter().for_each(Canary::assert_alive);
}

#[test]
fn the_topmost_layer_counts_and_nothing_can_be_written() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    let canaries = layers.canaries();
    let shared = open_directory(&host, "shared");
    let script = "cat /etc/both /etc/only-base; (: > /new) || echo refused; (: > /etc/both) || echo refused; ls -d /deep/er";
    let call = layers.shell(&host, "", script).args(["--volume", &writable(&shared, "/deep/er")]);
    let output = call.output().assert_code(0);
    assert_eq!(output.text(), "top\nbase\nrefused\nrefused\n/deep/er", "{output}");
    assert_alive(&canaries);
}

#[test]
fn what_is_written_to_memory_goes_with_the_container() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    let canaries = layers.canaries();
    let shared = open_directory(&host, "shared");
    let script = "echo new > /etc/both && echo new > /new && rm /etc/only-base && mkdir /srv && mv /var /srv/ \
        && cat /etc/both /new && ls /srv /etc/only-base; ls -d /deep/er";
    for _ in 0..2 {
        let call = layers.shell(&host, ", upper: tmpfs", script);
        let output = call.args(["--volume", &writable(&shared, "/deep/er")]).output().assert_code(0);
        assert_eq!(output.text(), "new\nnew\n/srv:\nvar\n/deep/er", "each begins anew: {output}");
    }
    assert_alive(&canaries);
}

#[test]
fn the_upper_memory_is_bounded() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    for (size, most) in [("1M", 1 << 20), ("64K", 64 << 10)] {
        let script = "exec 2>&1; head -c 4000000 /dev/zero > /large; echo x > /more; stat -c %s /large";
        let output = layers.shell(&host, &format!(", upper: tmpfs, size: {size}"), script).output();
        let output = output.assert_code(0);
        assert!(output.text().contains("No space left"), "{output}");
        let written: u64 = output.text().lines().last().unwrap().parse().unwrap();
        assert!(written > 0 && written <= most, "{output}");
    }
}

/// Root of the overlay looks like that of the image, and no device node of a layer is one.
#[test]
fn the_root_looks_like_its_image_and_has_no_devices() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    fs::set_permissions(&layers.top, fs::Permissions::from_mode(0o751)).unwrap();
    chown(&layers.top, Some(7), Some(8)).unwrap();
    let node = layers.base.path().join("zeroes");
    assert!(Command::new("mknod").arg(&node).args(["c", "1", "5"]).status().unwrap().success());
    for upper in ["", ", upper: tmpfs"] {
        let script = "stat -c '%a %u:%g' /; head -c 1 /zeroes 2>/dev/null | wc -c";
        assert_eq!(layers.shell(&host, upper, script).output().text(), "751 7:8\n0", "{upper}");
    }
}

fn on_disk(host: &Host) -> (PathBuf, PathBuf, String) {
    let (upper, work) = (host.path("upper"), host.path("work"));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    let more = format!(", upper: {}, work: {}", upper.display(), work.display());
    (upper, work, more)
}

#[test]
fn what_is_written_to_a_directory_stays_and_mount_points_do_not_come_with_it() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    let canaries = layers.canaries();
    let (upper, _, more) = on_disk(&host);
    let shared = open_directory(&host, "shared");
    fs::write(shared.join("note"), "hello\n").unwrap();
    let note = shared.join("note");
    let run = |script: &str| {
        let call = layers.shell(&host, &more, script);
        let call = call.args(["--volume", &writable(&shared, "/deep/er")]);
        call.args(["--volume", &writable(&note, "/etc/note")]).output().assert_success()
    };
    assert_eq!(run("cat /deep/er/note /etc/note; echo kept > /etc/both").text(), "hello\nhello");
    let names = |path: &Path| -> Vec<_> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!((names(&upper), names(&upper.join("etc"))), (vec!["etc".into()], vec!["both".into()]));
    assert_eq!(fs::read_to_string(upper.join("etc/both")).unwrap(), "kept\n");
    assert_eq!(run("cat /etc/both").text(), "kept", "the next one finds it");
    let output = layers.shell(&host, &more, "cat /etc/both; : > /new").arg("--read-only").output();
    assert_eq!(output.text(), "kept", "also one that may only read\n{output}");
    assert!(output.stderr.contains("Read-only"), "{output}");
    assert_alive(&canaries);
}

#[test]
fn an_upper_directory_has_one_container_at_a_time() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    let (_, _, more) = on_disk(&host);
    let shared = open_directory(&host, "shared");
    let call = layers.shell(&host, &more, ": > /shared/ready; read x");
    let mut first = call.args(["--volume", &writable(&shared, "/shared")]).stdin_open().spawn();
    first.wait_for_file(&shared.join("ready"));
    layers.shell(&host, &more, "true").output().assert_refused(&["another container has the upper"]);
    drop(first.stdin());
    first.wait();
    layers.shell(&host, &more, "true").output().assert_success();
    // Over other layers what is in it would mean something else.
    let other = format!("rootfs: {{overlay: {{lower: [{}]{more}}}}}", quoted(layers.base.path()));
    let output = host.shell(host.profile(DEV, &other), "true").output();
    output.assert_refused(&["belongs to other lower layers"]);
}

#[test]
fn layers_that_cannot_be_are_named_with_their_line() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    let (upper, work, _) = on_disk(&host);
    let (top, base) = (layers.top.display().to_string(), layers.base.path());
    fs::create_dir(upper.join("below")).unwrap();
    fs::create_dir(upper.join("work")).unwrap();
    let file = host.file("file", "");
    let upper = upper.display();
    let cases = [
        (format!("lower: [/no/such/layer, {top}]"), vec!["/no/such/layer (", "No such file"]),
        (format!("lower: [{}, {top}]", file.display()), vec!["file (", "not a directory"]),
        (format!("lower: [{top}, {top}]"), vec!["named twice"]),
        (
            format!("lower: [{}, {}]", quoted(base), quoted(&base.join("etc"))),
            vec!["/etc (", "lies in another layer"],
        ),
        (
            format!("lower: [{top}, {upper}/below], upper: {upper}, work: {}", work.display()),
            vec!["below (", "lies in another layer"],
        ),
        (
            format!("lower: [{top}], upper: {upper}, work: {upper}/work"),
            vec!["work (", "lies in another layer"],
        ),
        (
            format!("lower: [{top}], upper: {upper}, work: {}", quoted(&base.join("etc"))),
            vec!["etc (", "it is not empty"],
        ),
        (
            format!("lower: [{top}], upper: {upper}, work: /dev/shm"),
            vec!["/dev/shm (", "not lie on the same mount"],
        ),
        (format!("lower: [{top}], upper: {upper}"), vec!["needs a work directory", ".yaml:3"]),
        (format!("lower: [{top}], upper: tmpfs, work: {upper}"), vec!["belongs to an `upper` directory"]),
        (format!("lower: [{top}], size: 1M"), vec!["bounds an `upper` of tmpfs"]),
        ("lower: []".to_owned(), vec!["`rootfs.overlay.lower` is empty"]),
    ];
    for (overlay, mut words) in cases {
        words.push(".yaml:3");
        let profile = host.profile(DEV, &format!("rootfs: {{overlay: {{{overlay}}}}}"));
        host.shell(profile, "true").output().assert_refused(&words);
    }
    let denied = format!(
        "mounts: {{policy: {{deny: [{top}/**]}}}}\nrootfs: {{overlay: {{lower: [{}, {top}]}}}}",
        quoted(base)
    );
    host.shell(host.profile(DEV, &denied), "true").output().assert_refused(&[&top, "deny", ".yaml:3"]);
    let both = host.profile(DEV, &format!("rootfs: {{overlay: {{lower: [{top}]}}}}"));
    let output = host.shell(&both, "true").arg("--rootfs").arg(base).output();
    output.assert_refused(&["either a directory or an overlay", "--rootfs"]);
    host.shell(&both, "true").arg("--writable").output().assert_refused(&["no layer that could be written"]);
}

/// A layer's attributes of overlays say that a directory is to be taken from another place of the layers below: what an image
/// shows must be what lies at that place, whoever made its layers.
#[test]
fn attributes_of_a_hostile_layer_are_not_believed() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    layers.base.file("root/secret", "secret\n");
    fs::create_dir(layers.top.join("public")).unwrap();
    fs::write(layers.top.join("hollow"), "").unwrap();
    let set = |file: &str, name: &str, value: &str| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(layers.top.join(file), name, value.as_bytes(), flags).unwrap();
    };
    set("public", "trusted.overlay.redirect", "/root");
    set("hollow", "trusted.overlay.redirect", "/root/secret");
    set("hollow", "trusted.overlay.metacopy", "");
    for upper in ["", ", upper: tmpfs"] {
        let output = layers.shell(&host, upper, "cat /public/secret /hollow; echo done").output();
        assert_eq!(output.text(), "done", "{output}");
    }
}

/// There the container's root may make nothing in a root that belongs to the host's, mount points neither.
#[test]
fn an_overlay_is_the_root_in_a_user_namespace() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    fs::remove_dir(layers.base.path().join("proc")).unwrap();
    fs::set_permissions(layers.base.path().join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let shared = open_directory(&host, "shared");
    let map = "[{container: 0, host: 200000, size: 65536}]";
    for upper in ["", ", upper: tmpfs"] {
        let yaml = format!(
            "rootfs: {{overlay: {{{}{upper}}}}}\nnamespaces: {{user: {{uidMap: {map}, gidMap: {map}}}}}",
            layers.lower()
        );
        let script = "cat /etc/both; test -d /proc/self && ls -d /deep/er && echo x > /tmp/x && cat /tmp/x";
        let call = host.shell(host.profile(DEV, &yaml), script);
        let output = call.args(["--volume", &writable(&shared, "/deep/er")]).output().assert_success();
        assert_eq!(output.text(), "top\n/deep/er\nx", "{upper}");
    }
}

/// The image's own user is looked up in what lies uppermost.
#[test]
fn users_are_those_of_the_topmost_layer_that_names_any() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    let script = "id -u; id -g";
    let run =
        || layers.shell(&host, ", upper: tmpfs", script).args(["--user", "web"]).output().assert_success();
    assert_eq!(run().text(), "1234\n2345");
    fs::write(layers.top.join("etc/passwd"), "web:x:99:98::/:/bin/sh\n").unwrap();
    assert_eq!(run().text(), "99\n98");
    let call = layers.shell(&host, "", script).args(["--user", "web", "--dry-run"]);
    assert_eq!(call.output().assert_success().json()["process"]["user"]["uid"], 99);
}

/// Whatever instant it dies at, nothing of the layer in memory is left.
#[test]
fn nothing_is_left_of_a_killed_container() {
    let host = Host::enter();
    let layers = Layers::lay(&host);
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let shared = open_directory(&host, "shared");
    let call = layers.shell(&host, ", upper: tmpfs", "echo x > /new; : > /shared/ready; read x");
    let mut running = call.args(["--volume", &writable(&shared, "/shared")]).stdin_open().spawn();
    running.wait_for_file(&shared.join("ready"));
    running.signal(rustix::process::Signal::KILL);
    running.wait();
    host.nucleus("gc").output().assert_success();
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    assert_eq!(fs::metadata(layers.base.path()).unwrap().mode() & 0o7777, 0o755);
}
