//! Attestation: nothing starts from a root file system that is not what its manifest says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nucleus_tests::pty::Terminal;
use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::{Host, Nucleus, Output};

use crate::DEV;

fn attest(host: &Host, root: &Rootfs) -> Output {
    host.nucleus("rootfs").arg("attest").arg(root.path()).output().assert_success()
}

fn attested(host: &Host) -> Rootfs {
    let root = Rootfs::busybox(host.path("root"));
    attest(host, &root);
    root
}

/// Runs something that leaves a trace when it runs.
fn start(host: &Host, root: &Rootfs, attestation: &str) -> Nucleus {
    let yaml = format!("rootfs: {{path: {}, attestation: {attestation}}}", root.path().display());
    host.shell(host.profile(DEV, &yaml), "echo started")
}

fn manifest(host: &Host) -> PathBuf {
    host.path("root.nucleus-manifest")
}

#[test]
fn what_the_manifest_says_starts_and_what_differs_does_not() {
    let host = Host::enter();
    let root = attested(&host);
    assert!(manifest(&host).exists() && !root.path().join("root.nucleus-manifest").exists());
    assert_eq!(start(&host, &root, "required").output().assert_success().text(), "started");
    root.file("etc/passwd", "root::0:0::/:/bin/sh\n");
    root.file("bin/evil", "");
    fs::remove_file(root.path().join("etc/group")).unwrap();
    let words = ["bin/evil", "extra", "etc/passwd", "its size", "etc/group", "missing", "3 entries"];
    let output = start(&host, &root, "required").output().assert_refused(&words);
    assert_eq!(output.text(), "", "nothing ran");
    assert_eq!(start(&host, &root, "off").output().assert_success().text(), "started");
    let verify = || host.nucleus("rootfs").arg("verify").arg(root.path()).output();
    let refused = verify().assert_code(1);
    assert!(refused.stderr.contains("etc/passwd"), "{refused}");
    attest(&host, &root);
    verify().assert_success();
    start(&host, &root, "required").output().assert_success();
}

/// A file that takes longer to read than any test lasts.
#[test]
fn a_signal_stops_the_verification() {
    let host = Host::enter();
    let root = attested(&host);
    fs::File::create(root.path().join("endless")).unwrap().set_len(1 << 42).unwrap();
    let running = start(&host, &root, "required").spawn();
    let status = format!("/proc/{}/status", running.pid().as_raw_nonzero());
    let blocks = || fs::read_to_string(&status).is_ok_and(|text| !text.contains("SigBlk:\t0000000000000000"));
    host.wait_until("the signals are blocked", blocks);
    running.signal(rustix::process::Signal::INT);
    running
        .wait()
        .assert_code(130)
        .assert_says(&["cannot read the root file system", "SIGINT interrupted it"]);
    host.assert_no_leak();
}

/// The mount points that a read-only image lacks are provided above it, and do not count as changes.
#[test]
fn what_nucleus_provides_is_no_change_of_the_image() {
    let host = Host::enter();
    let root = attested(&host);
    for _ in 0..2 {
        let call = start(&host, &root, "required").args(["--tmpfs", "/not/there"]);
        assert_eq!(call.output().assert_success().text(), "started");
    }
}

#[test]
fn a_mount_below_the_root_is_no_part_of_it() {
    let host = Host::enter();
    let root = attested(&host);
    let script = "mount -t tmpfs none \"$0/etc\" && exec \"$@\"";
    let under = |call: Nucleus| {
        let unshare = ["unshare", "--mount", "/bin/sh", "-c", script].map(Into::into);
        call.through(unshare.into_iter().chain([root.path().as_os_str().to_owned()])).output()
    };
    under(start(&host, &root, "required")).assert_refused(&["etc", "mount point of another file system"]);
    let output = under(host.nucleus("rootfs").arg("attest").arg(root.path())).assert_code(1);
    assert!(output.stderr.contains("mounted at etc"), "{output}");
}

#[test]
fn explain_says_that_nucleus_itself_enforces_it_and_reads_nothing() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let yaml = format!("rootfs: {{path: {}, attestation: required}}", root.path().display());
    let call = host.nucleus("explain").profile(host.profile(DEV, &yaml)).command(["/bin/true"]);
    let table = call.output().assert_success();
    let line = table.text().lines().find(|line| line.starts_with("rootfs.attestation")).unwrap();
    assert!(
        line.contains("required") && line.contains("profile-0.yaml:3") && line.ends_with("nucleus"),
        "{line}"
    );
    start(&host, &root, "required").output().assert_refused(&["root.nucleus-manifest", "No such file"]);
}

struct Key {
    secret: PathBuf,
    public: String,
}

impl Key {
    fn new(host: &Host, name: &str) -> Self {
        let (public, secret) = (host.path(&format!("{name}.pub")), host.path(&format!("{name}.key")));
        minisign(&["-G", "-W", "-p", text(&public), "-s", text(&secret)]);
        let public = fs::read_to_string(public).unwrap().lines().nth(1).unwrap().to_owned();
        Self { secret, public }
    }

    fn sign(&self, manifest: &Path) {
        minisign(&["-S", "-s", text(&self.secret), "-m", text(manifest)]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn minisign(arguments: &[&str]) {
    let output =
        Command::new("minisign").args(arguments).output().expect("start minisign (tests/install brings it)");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_signature_is_by_the_key_that_the_profile_names() {
    let host = Host::enter();
    let root = attested(&host);
    let (manifest, key, other) = (manifest(&host), Key::new(&host, "own"), Key::new(&host, "other"));
    let signature = host.path("root.nucleus-manifest.minisig");
    let demand = format!("{{publicKey: {}}}", key.public);
    let call = || start(&host, &root, &demand).output();
    call().assert_refused(&["root.nucleus-manifest.minisig", "signature is missing"]);
    other.sign(&manifest);
    call().assert_refused(&["signed with another key"]);
    key.sign(&manifest);
    assert_eq!(call().assert_success().text(), "started");
    // Whose the file is does not matter then: who changes it breaks the signature.
    fs::set_permissions(&manifest, fs::Permissions::from_mode(0o666)).unwrap();
    call().assert_success();
    let honest = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, honest.replace("bin/busybox", "bin/busybex")).unwrap();
    call().assert_refused(&["is not what was signed"]);
    fs::write(&manifest, honest).unwrap();
    fs::write(&signature, "untrusted comment: none\nRW\n").unwrap();
    call().assert_refused(&["no signature of minisign"]);
    key.sign(&manifest);
    let verify = |key: &str| {
        let call = host.nucleus("rootfs").arg("verify").arg(root.path());
        call.args(["--public-key", key, "--format", "json"]).output()
    };
    assert!(verify(&key.public).assert_success().json()["entries"].as_u64().unwrap() > 100);
    verify(&other.public).assert_code(1);
    verify("nonsense").assert_code(1);
}

#[test]
fn a_manifest_has_a_place_of_its_own_if_said() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let elsewhere = host.path("elsewhere");
    host.nucleus("rootfs")
        .arg("attest")
        .arg(root.path())
        .arg("--output")
        .arg(&elsewhere)
        .output()
        .assert_success();
    assert!(!manifest(&host).exists());
    // Relative to the profile, which lies beside it.
    assert_eq!(start(&host, &root, "{manifest: elsewhere}").output().assert_success().text(), "started");
    let inside = root.path().join("manifest");
    let call = host.nucleus("rootfs").arg("attest").arg(root.path()).arg("--output").arg(&inside);
    assert!(call.output().assert_code(1).stderr.contains("inside"), "never inside");
}

/// An engine's root is the engine's: a promise that cannot be kept is refused, not dropped.
#[test]
fn under_an_engine_it_is_refused() {
    let host = Host::enter();
    let root = attested(&host);
    let bundle = nucleus_tests::Bundle::new(&host, "bundle", &["true"]).write();
    let yaml = format!("rootfs: {{path: {}, attestation: required}}", root.path().display());
    let id = host.fresh_id();
    let call =
        host.nucleus("run").profile(host.profile(DEV, &yaml)).arg("--bundle").arg(bundle.path()).arg(&id);
    call.output().assert_refused(&["root.path", "a manifest attests", "profile-1.yaml:3"]);
}

#[test]
fn progress_is_shown_on_a_terminal_only() {
    let host = Host::enter();
    let root = attested(&host);
    let big = fs::File::create(root.path().join("big")).unwrap();
    big.set_len(3 << 30).unwrap();
    let call = host.nucleus("rootfs").arg("attest").arg(root.path()).arg("--output").arg(host.path("out"));
    let (status, shown) = Terminal::start(&call.words(), 25, 80).wait();
    assert!(status.success() && shown.contains(" files, "), "{shown:?}");
    let quiet = attest(&host, &root);
    assert_eq!(quiet.stderr, "");
}
