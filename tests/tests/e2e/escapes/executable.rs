//! CVE-2019-5736: the host's executable is overwritten through `/proc/<pid>/exe` of a runtime that is inside the
//! container for a moment. Defence: what runs inside is a sealed file in memory, and not dumpable.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nucleus_tests::canary::Canary;
use nucleus_tests::neighbour::child_of;
use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::{Host, Nucleus, Running, nucleus};

use crate::{DEV, PROFILES, open_directory, writable};

#[test]
fn no_exe_link_leads_to_nucleus_for_writing() {
    let host = Host::enter();
    let canary = Canary::watch(nucleus::binary());
    let script = "for p in /proc/[0-9]*; do for i in 1 2 3; do (: >> $p/exe) 2>/dev/null && echo OPENED $p; done; done; true";
    for profile in PROFILES {
        for option in [None, Some("--init")] {
            let output = host.shell(profile, script).args(option).output().assert_code(0);
            assert!(!output.text().contains("OPENED"), "{output}");
        }
    }
    canary.assert_alive();
}

/// The entry point makes the runtime execute itself inside the container.
#[test]
fn an_entry_point_that_is_the_runtime_itself_gains_nothing() {
    let host = Host::enter();
    let canary = Canary::watch(nucleus::binary());
    let root = Rootfs::busybox(host.path("root"));
    for target in ["/proc/self/exe", "/proc/1/exe"] {
        root.script("entry", &format!("#!{target}\n"));
        root.link("linked", target);
        for entry in ["/entry", "/linked"] {
            let call = host.run(DEV, &[entry]).arg("--rootfs").arg(root.path());
            let output = call.timeout(std::time::Duration::from_secs(20)).output();
            assert_ne!(output.code(), Some(0), "{output}");
        }
    }
    canary.assert_alive();
}

#[test]
fn what_runs_inside_is_not_the_hosts_file() {
    let host = Host::enter();
    let own = identity(nucleus::binary());
    let script = "stat -Lc %d:%i /proc/self/exe; stat -Lc %d:%i /proc/1/exe || echo hidden";
    for profile in PROFILES {
        let output = host.shell(profile, script).arg("--init").output().assert_code(0);
        let lines: Vec<&str> = output.text().lines().collect();
        assert_eq!(lines.len(), 2, "{output}");
        assert_ne!(lines[0], own, "the workload is its own program");
        assert_eq!(lines[1], "hidden", "the init is not dumpable\n{output}");
    }
}

/// Waits inside for a process whose program is the file `dev:ino`, holds that file, and overwrites it as soon as nobody
/// executes it any more (before that, the kernel says ETXTBSY).
const ATTACKER: &str = "
import os, sys
wanted, held = sys.argv[1], None
open('/shared/ready', 'w').close()
while not os.path.exists('/shared/stop'):
    for pid in filter(str.isdigit, os.listdir('/proc')):
        if held is not None: break
        try: fd = os.open(f'/proc/{pid}/exe', os.O_PATH)
        except OSError: continue
        found = os.fstat(fd)
        if f'{found.st_dev}:{found.st_ino}' == wanted: held = fd
        else: os.close(fd)
    if held is None: continue
    try: os.write(os.open(f'/proc/self/fd/{held}', os.O_WRONLY), b'fallen'); break
    except OSError: pass
print('nothing held' if held is None else 'held')
";

/// A workload that lies in wait for an executable of the host. Landlock and seccomp are off: they hinder it only.
struct Attacker {
    running: Running,
    shared: PathBuf,
}

impl Attacker {
    fn lie_in_wait(host: &Host, target: &Path) -> Self {
        let shared = open_directory(host, "shared");
        let profile = host.profile(DEV, "security: {landlock: off, seccomp: unconfined}");
        let call = host.run(profile, &["/usr/bin/python3", "-c", ATTACKER, &identity(target)]);
        let mut running = call.args(["--volume", &writable(&shared, "/shared")]).spawn();
        running.wait_for_file(&shared.join("ready"));
        Self { running, shared }
    }

    fn pid_namespace(&self) -> String {
        let nucleus = self.running.pid().as_raw_nonzero().get().unsigned_abs();
        format!("/proc/{}/ns/pid", child_of(nucleus))
    }

    /// Ends the attack and tells what it has come to.
    fn end(self) -> String {
        fs::write(self.shared.join("stop"), "").unwrap();
        self.running.wait().assert_success().text().to_owned()
    }
}

fn identity(file: &Path) -> String {
    let file = fs::metadata(file).unwrap();
    format!("{}:{}", file.dev(), file.ino())
}

/// Calls a copy of nucleus, so that the one under test outlives a success of the attack.
fn through_copy(call: &Nucleus, copy: &Path) -> std::process::Output {
    Command::new(copy).args(&call.words()[1..]).output().expect("start the copy of nucleus")
}

#[test]
fn a_container_cannot_grab_nucleus_as_it_enters_a_shared_pid_namespace() {
    let host = Host::enter();
    let copy = host.path("nucleus");
    fs::copy(nucleus::binary(), &copy).unwrap();
    let canary = Canary::watch(&copy);
    let attacker = Attacker::lie_in_wait(&host, &copy);
    let profile = host.profile(DEV, &format!("namespaces: {{pid: {{path: {}}}}}", attacker.pid_namespace()));
    for option in [None, Some("--init")].repeat(10) {
        let output = through_copy(&host.shell(&profile, "sleep 0.02").args(option), &copy);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(attacker.end(), "nothing held");
    canary.assert_alive();
}

#[test]
fn the_trap_works_on_a_runtime_that_enters_as_its_own_file() {
    let host = Host::enter();
    let naive = host.path("sleep");
    fs::copy("/bin/busybox", &naive).unwrap();
    let canary = Canary::watch(&naive);
    let attacker = Attacker::lie_in_wait(&host, &naive);
    let mut enter = Command::new("nsenter");
    enter.arg(format!("--pid={}", attacker.pid_namespace()));
    enter.args(["setpriv", "--inh-caps=-all", "--bounding-set=-all"]).arg(&naive).arg("0.5");
    assert!(enter.status().unwrap().success());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while canary.lives() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(attacker.end(), "held");
    assert!(!canary.lives(), "the attacker overwrites a runtime without the defence");
}
