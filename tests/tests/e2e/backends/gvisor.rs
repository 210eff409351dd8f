//! What is `gvisor-runsc`'s own: its options, its known flaws, and what `explain` says of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};

use nucleus_tests::{Bundle, Host};
use serde_json::json;

use super::{Backend, Subject};
use crate::{DEV, open_directory};

const PROFILE: &str = "configs/gvisor.yaml";

fn with_options(host: &Host, options: &str) -> std::path::PathBuf {
    let backend = format!("backend: {{name: gvisor-runsc, options: {options}}}");
    host.profile(DEV, &format!("{backend}\nsecurity: {{landlock: off}}"))
}

#[test]
fn the_profile_of_the_configs_runs() {
    let host = Host::enter();
    let output = host.shell(PROFILE, "hostname; uname -r; exit 3").output().assert_code(3);
    assert_eq!(output.text(), "dev\n4.4.0");
}

/// A network namespace that somebody has prepared.
struct Prepared(Child);

impl Prepared {
    fn make(host: &Host) -> Self {
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let made = Self(Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap());
        host.wait_until("a network namespace", || fs::read_link(made.path()).is_ok_and(|found| found != own));
        made
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Debian's releases refuse their own stack on kernels since 6.11: that is known before the start, and the way out is named.
#[test]
fn a_network_that_runsc_would_refuse_is_refused_before_the_start() {
    let host = Host::enter();
    let prepared = Prepared::make(&host);
    let profile = |stack: &str| {
        let accepted = "CVE-2023-7258, CVE-2025-2713, CVE-2024-10026, CVE-2024-10603";
        let options = format!("{{platform: ptrace, networkStack: {stack}, acceptAdvisories: [{accepted}]}}");
        let network = format!("namespaces: {{network: {{path: {}}}}}", prepared.path());
        let backend = format!("backend: {{name: gvisor-runsc, options: {options}}}");
        host.profile("configs/base.yaml", &format!("{backend}\nsecurity: {{landlock: off}}\n{network}"))
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let kernel: Vec<u32> = kernel.split(['.', '-']).take(2).map(|number| number.parse().unwrap()).collect();
    let explain = host.nucleus("explain").profile(profile("sandbox")).args(["--format", "json"]);
    let explained = explain.command(["true"]).output();
    let words = ["google/gvisor#10704", "networkStack: host"];
    assert_eq!(words.map(|word| explained.text().contains(word)), [kernel >= vec![6, 11]; 2], "{explained}");
    let output = host.shell(profile("host"), "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '").output();
    assert_eq!(output.assert_success().text(), "lo");
}

#[test]
fn a_container_of_a_pod_is_refused() {
    let host = Host::enter();
    let bundle = Bundle::shell(&host, "bundle", "true");
    let bundle = bundle.set("/annotations", json!({"io.kubernetes.cri.container-type": "container"})).write();
    let run = host.nucleus("run").profile(PROFILE).arg("--bundle").arg(bundle.path()).arg(host.fresh_id());
    run.output().assert_refused(&["io.kubernetes.cri.container-type", "a sandbox of its own"]);
}

/// What runsc found out on this host is remembered for nucleus alone.
#[test]
fn what_was_found_out_is_readable_by_its_owner_alone() {
    let host = Host::enter();
    host.shell(PROFILE, "true").output().assert_success();
    let memory = host.root().join(".memory");
    for (path, mode) in [(memory.join("gvisor-runsc.json"), 0o600), (memory, 0o700)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode, "{}", path.display());
    }
}

#[test]
fn a_known_flaw_refuses_the_start_unless_it_is_accepted_by_name() {
    let host = Host::enter();
    let accepted =
        |names: &str| with_options(&host, &format!("{{platform: ptrace, acceptAdvisories: [{names}]}}"));
    let refused = host.shell(accepted(""), "true").output();
    refused.assert_refused(&["CVE-2025-2713", "CVE-2023-7258", "acceptAdvisories"]);
    let one = host.shell(accepted("CVE-2023-7258"), "true").output();
    let output = one.assert_refused(&["CVE-2025-2713"]);
    assert!(!output.stderr.contains("CVE-2023-7258:"), "{output}");
    host.shell(accepted("CVE-2023-7258, CVE-2025-2713"), "true").output().assert_success();
}

#[test]
fn a_permissive_profile_is_warned_of_the_flaw_and_runs() {
    let host = Host::enter();
    let backend = "backend: {name: gvisor-runsc, options: {platform: ptrace}}";
    let more = format!("{backend}\nenforcement: permissive\nsecurity: {{landlock: off}}");
    let output = host.shell(host.profile(DEV, &more), "echo ran").output().assert_code(0);
    assert_eq!(output.text(), "ran");
    assert!(output.stderr.contains("CVE-2025-2713"), "{output}");
}

/// A directory of root's alone for bundles: the tests' own places are below `/tmp`.
struct Bundles(std::path::PathBuf);

impl Bundles {
    fn make(host: &Host) -> Self {
        let path = std::path::Path::new("/var/lib").join(format!("nucleus-bundles-{}", host.fresh_id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn count(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }

    fn profile(&self, host: &Host) -> std::path::PathBuf {
        let accepted = "acceptAdvisories: [CVE-2023-7258, CVE-2025-2713]";
        with_options(host, &format!("{{platform: ptrace, bundleDir: {}, {accepted}}}", self.0.display()))
    }
}

impl Drop for Bundles {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_bundle_lies_where_the_operator_wants_it_and_goes_with_its_container() {
    let host = Host::enter();
    let bundles = Bundles::make(&host);
    let (id, running) = super::stand_in::sleeping_under(&host, &bundles.profile(&host));
    let found: Vec<_> = fs::read_dir(&bundles.0).unwrap().map(|entry| entry.unwrap()).collect();
    let [bundle] = found.as_slice() else { panic!("{found:?}") };
    assert!(bundle.file_name().to_str().unwrap().starts_with(&id), "{bundle:?}");
    assert_eq!(bundle.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let text = fs::read_to_string(bundle.path().join("config.json")).unwrap();
    assert!(text.contains("\"ociVersion\""), "{text}");
    host.nucleus("kill").args([&id, "KILL"]).output().assert_success();
    running.wait().assert_code(137);
    assert_eq!(bundles.count(), 0);
}

#[test]
fn a_bundle_of_a_killed_nucleus_goes_with_gc() {
    let host = Host::enter();
    let bundles = Bundles::make(&host);
    let (_, running) = super::stand_in::sleeping_under(&host, &bundles.profile(&host));
    running.signal(rustix::process::Signal::KILL);
    running.wait();
    assert_eq!(bundles.count(), 1, "there is something to collect");
    host.nucleus("gc").output().assert_success();
    assert_eq!(bundles.count(), 0);
}

#[test]
fn a_place_for_bundles_that_others_can_write_to_is_refused() {
    let host = Host::enter();
    let bundles = Bundles::make(&host);
    fs::set_permissions(&bundles.0, fs::Permissions::from_mode(0o777)).unwrap();
    let output = host.shell(bundles.profile(&host), "true").output();
    output.assert_refused(&[bundles.0.to_str().unwrap(), "can be written by everybody", "bundleDir"]);
}

/// `sd_notify(3)` through a socket of the host in a volume: only with the word, and only where it is.
#[test]
fn a_socket_of_the_host_is_told_only_with_the_word() {
    let send = "import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b'READY=1', '/run/told/socket')";
    for (word, ends) in [("none", 1), ("open", 0)] {
        let host = Host::enter();
        let directory = open_directory(&host, "told");
        let socket = std::os::unix::net::UnixDatagram::bind(directory.join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        let accepted = "acceptAdvisories: [CVE-2023-7258, CVE-2025-2713]";
        let profile = with_options(&host, &format!("{{platform: ptrace, hostUds: {word}, {accepted}}}"));
        let call = host.nucleus("run").profile(profile).args(["--id", &host.fresh_id(), "--no-tty"]);
        let call = call.args(["--volume", &crate::writable(&directory, "/run/told")]);
        let output = call.command(["/usr/bin/python3", "-c", send]).output();
        assert_eq!(output.code(), Some(ends), "{word}: {output}");
        let mut heard = [0; 20];
        let length = socket.recv(&mut heard).unwrap_or(0);
        assert_eq!(&heard[..length], if word == "open" { &b"READY=1"[..] } else { b"" }, "{word}");
    }
}

/// runsc takes raw sockets away from everybody unless it is told.
#[test]
fn raw_sockets_are_for_those_who_have_the_capability() {
    for (capabilities, printed) in [("[]", "no"), ("[NET_RAW]", "raw")] {
        let subject = Subject::new(Backend::Runsc);
        let base = format!(
            "{}\nsecurity: {{landlock: off, capabilities: {capabilities}}}",
            subject.backend.yaml(&subject.host)
        );
        let script = "import socket
try: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); print('raw')
except PermissionError: print('no')";
        let profile = subject.host.profile(DEV, &base);
        let output = subject.host.run(profile, &["/usr/bin/python3", "-c", script]).output();
        assert_eq!(output.assert_success().text(), printed, "{capabilities}");
    }
}

/// What the swap loses is shown, with who did it before, and `strict` refuses it.
#[test]
fn a_swap_to_gvisor_shows_what_is_lost_and_strict_refuses_it() {
    let host = Host::enter();
    let dev = nucleus_tests::workspace().join("configs/dev.yaml").display().to_string();
    let swap = ["--backend", "gvisor-runsc", "--backend-option", "platform=ptrace"];
    let call = host.nucleus("profile").args(["diff", &dev]).args(swap).args(["--format", "json"]);
    let document = call.output().assert_code(1).json();
    let lost: Vec<&str> =
        document["lost"].as_array().unwrap().iter().map(|row| row["field"].as_str().unwrap()).collect();
    assert!(lost.contains(&"security.landlock"), "{document}");
    let row =
        document["lost"].as_array().unwrap().iter().find(|row| row["field"] == "security.landlock").unwrap();
    assert_eq!(row["left"]["enforcer"]["who"], "backend", "{row}");
    assert_eq!(row["right"]["enforcer"]["who"], "nobody", "{row}");
    assert!(row.to_string().contains("gVisor's kernel has no Landlock"), "{row}");
    let explain = host.nucleus("explain").profile(DEV).args(swap);
    let explained = explain.command(["true"]).output();
    assert!(explained.text().contains("gVisor's kernel has no Landlock"), "{explained}");
    let run = host.nucleus("run").profile(DEV).args(swap).args(["--id", &host.fresh_id(), "--no-tty"]);
    run.command(["true"]).output().assert_refused(&["security.landlock", "no Landlock"]);
}

/// Who asks about another backend does not wait for trials of gVisor's platforms.
#[test]
fn explain_of_another_backend_tries_no_platform() {
    let host = Host::enter();
    let profile = host.profile(DEV, "backend: {name: oci-runtime, options: {path: /usr/bin/crun}}");
    let output = host.nucleus("explain").profile(profile).command(["true"]).output();
    assert!(output.text().contains("landlock"), "{output}");
    assert!(!host.root().join(".memory/gvisor-runsc.json").exists(), "nothing was tried");
}
