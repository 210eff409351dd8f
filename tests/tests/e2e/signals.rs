//! What is sent to nucleus reaches the workload.

use nucleus_tests::Host;
use rustix::process::Signal;

use crate::{PROFILES, open_directory, writable};

const SIGNALS: [(&str, Signal); 6] = [
    ("TERM", Signal::TERM),
    ("INT", Signal::INT),
    ("HUP", Signal::HUP),
    ("QUIT", Signal::QUIT),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
];

/// Starts a workload that ends with 42 on one signal, sends it when the workload is ready, and expects 42.
fn forwards(host: &Host, profile: &str, options: &[&str]) {
    for (name, signal) in SIGNALS {
        let shared = open_directory(host, "shared");
        let ready = shared.join("ready");
        let script = format!(
            "trap 'echo got {name}; exit 42' {name}; : > /shared/ready; while :; do sleep 0.02; done"
        );
        let call =
            host.shell(profile, &script).args(["--volume", &writable(&shared, "/shared")]).args(options);
        let mut running = call.spawn();
        running.wait_for_file(&ready);
        running.signal(signal);
        let output = running.wait().assert_code(42);
        assert_eq!(output.text(), format!("got {name}"), "{profile}");
        std::fs::remove_file(ready).unwrap();
    }
}

#[test]
fn signals_reach_the_workload() {
    let host = Host::enter();
    for profile in PROFILES {
        forwards(&host, profile, &[]);
    }
}

#[test]
fn signals_pass_through_init() {
    let host = Host::enter();
    for profile in PROFILES {
        forwards(&host, profile, &["--init"]);
    }
}

#[test]
fn a_second_signal_still_arrives() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    let script = "n=0; trap 'n=$((n+1)); : > /shared/$n' USR1; trap 'exit $n' TERM; : > /shared/ready; \
        while :; do sleep 0.02; done";
    let call = host.shell(crate::DEV, script).args(["--volume", &writable(&shared, "/shared")]);
    let mut running = call.spawn();
    running.wait_for_file(&shared.join("ready"));
    for count in 1..=3 {
        running.signal(Signal::USR1);
        running.wait_for_file(&shared.join(count.to_string()));
    }
    running.signal(Signal::TERM);
    running.wait().assert_code(3);
}

/// A workload's first process ignores what it has no handler for (`pid_namespaces(7)`); `--init` stands before it.
#[test]
fn with_init_a_plain_program_ends_by_a_signal() {
    let host = Host::enter();
    let shared = open_directory(&host, "shared");
    let volume = writable(&shared, "/shared");
    let call =
        host.shell(crate::DEV, ": > /shared/ready; exec sleep 30").args(["--init", "--volume", &volume]);
    let mut running = call.spawn();
    running.wait_for_file(&shared.join("ready"));
    running.signal(Signal::TERM);
    running.wait().assert_code(128 + 15);
}

const ORPHANS: &str = r"
import glob, os, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.05)
    os._exit(0)
os.wait()
time.sleep(0.4)
states = [open(name).read().rsplit(')', 1)[1].split()[0] for name in glob.glob('/proc/[0-9]*/stat')]
print(states.count('Z'))
";

#[test]
fn init_reaps_orphans() {
    let host = Host::enter();
    let zombies = |options: &[&str]| {
        let call = host.run(crate::DEV, &["/usr/bin/python3", "-c", ORPHANS]).args(options);
        call.output().assert_success().text().to_owned()
    };
    assert_eq!(zombies(&["--init"]), "0");
    assert_eq!(zombies(&[]), "1", "without init the orphan stays: the test can tell");
}
