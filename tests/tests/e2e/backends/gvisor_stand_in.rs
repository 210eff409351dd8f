//! Releases of runsc that Debian has not, and ways in which one fails: each is one clear error, and leaves nothing (which
//! [`Host`] checks).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nucleus_tests::{Host, Output};

use crate::DEV;

/// Calls itself a later runsc, and is Debian's but for one verb. Its own flags come first, the engine's, the verb.
const SCRIPT: &str = r#"#!/bin/sh
directory=${0%/*}
misbehaviour=$(cat "$directory/misbehaviour")
[ "$1" = --version ] && { cat "$directory/version"; exit 0; }
for word; do
    case $word in
    --platform=*) platform=${word#--platform=};;
    create|start|run|state|kill|delete|exec|ps) verb=$word; break;;
    esac
done
echo "$verb $platform $*" >> "$directory/calls"
case "$misbehaviour $verb $platform" in
"hangs run "*) sleep 1000 & sleep 1000;;
"only-kvm run systrap"|"only-kvm run ptrace") echo "no $platform today" >&2; exit 1;;
"only-kvm run kvm") exit 0;;
*" run systrap") exit 0;;
"dies-at-start start "*) kill -KILL $$;;
"panics start "*) echo "panic: nil map" >&2; echo >&2; echo "goroutine 1 [running]:" >&2; exit 2;;
"writes-garbage create "*) head -c 3000 /dev/urandom; exit 0;;
esac
count=$#
while [ $count -gt 0 ]; do
    case $1 in --platform=*) set -- "$@" --platform=ptrace;; *) set -- "$@" "$1";; esac
    shift; count=$((count - 1))
done
exec /usr/bin/runsc "$@"
"#;

struct StandIn<'a> {
    host: &'a Host,
    program: PathBuf,
}

impl<'a> StandIn<'a> {
    fn new(host: &'a Host, version: &str, misbehaviour: &str) -> Self {
        let program = host.file("runsc", SCRIPT);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        host.file("version", format!("runsc version {version}\nspec: 1.1.0-rc.1\n"));
        host.file("misbehaviour", misbehaviour);
        Self { host, program }
    }

    fn run(&self, options: &str) -> Output {
        let options = format!("{{path: {}, timeout: 5, {options}}}", self.program.display());
        let backend = format!("backend: {{name: gvisor-runsc, options: {options}}}");
        let profile = self.host.profile(DEV, &format!("{backend}\nsecurity: {{landlock: off}}"));
        self.host.shell(profile, "exit 5").output()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.host.path("calls")).unwrap_or_default()
    }
}

const LATER: &str = "release-20260831.0";

#[test]
fn a_later_release_needs_no_accepted_flaw_and_is_tried_once() {
    let host = Host::enter();
    let later = StandIn::new(&host, LATER, "behaves");
    later.run("").assert_code(5);
    later.run("").assert_code(5);
    let calls = later.calls();
    let tried: Vec<&str> = calls.lines().filter(|call| call.starts_with("run ")).collect();
    assert_eq!(tried.len(), 1, "the platform is remembered: {calls}");
    for call in calls.lines().filter(|call| !call.starts_with("run ")) {
        let flags = ["--platform=systrap", "--network=none", "--overlay2=none", "--oci-seccomp", "--root"];
        assert!(flags.iter().all(|flag| call.contains(flag)), "each verb gets the same flags: {call}");
    }
}

#[test]
fn a_platform_that_is_asked_for_and_does_not_start_is_refused() {
    let host = Host::enter();
    let stand_in = StandIn::new(&host, LATER, "only-kvm");
    stand_in.run("platform: ptrace").assert_refused(&["platform", "no ptrace today", "auto"]);
    stand_in.run("").assert_code(5);
    assert!(stand_in.calls().contains("create kvm"), "{}", stand_in.calls());
}

#[test]
fn a_trial_that_hangs_is_killed_with_all_that_it_started() {
    let host = Host::enter();
    let output = StandIn::new(&host, LATER, "hangs").run("platform: kvm");
    output.assert_refused(&["kvm", "had not ended after 4 s and was killed"]);
}

#[test]
fn a_crash_between_create_and_start_leaves_nothing() {
    let host = Host::enter();
    StandIn::new(&host, LATER, "dies-at-start").run("").assert_refused(&["`start`", "signal 9 ended it"]);
    host.assert_no_leak();
    let output = StandIn::new(&host, LATER, "panics").run("");
    let output = output.assert_refused(&["`start`", "panic: nil map"]);
    assert!(!output.stderr.contains("goroutine"), "one error, and no trace\n{output}");
}

#[test]
fn garbage_in_place_of_a_container_is_refused() {
    let host = Host::enter();
    let output = StandIn::new(&host, LATER, "writes-garbage").run("");
    output.assert_refused(&["wrote no pid file"]);
}

#[test]
fn a_program_that_is_no_runsc_is_refused() {
    let host = Host::enter();
    let stand_in = StandIn::new(&host, LATER, "behaves");
    host.file("version", "crun version 1.8\n");
    stand_in.run("").assert_refused(&["does not begin with `runsc version`"]);
    host.file("version", "runsc version VERSION_MISSING\n");
    stand_in.run("").assert_refused(&["names no day", "CVE-2018-16359"]);
}
