//! A runtime that misbehaves: each way is one clear error, and leaves nothing (which [`Host`] checks).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nucleus_tests::{Host, Nucleus, Output};
use rustix::process::Signal;

use crate::{DEV, open_directory, writable};

/// Calls itself crun, and is crun but for one verb: `stand-in WORD… --root R --log L --log-format json VERB …`.
const SCRIPT: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo "crun version 99.0"; echo "+SECCOMP"; exit 0; }
[ "$1" = features ] && exit 1
misbehaviour=$1; shift
log=$4
{ echo "$7 $8" >> "${0%/*}/verbs"; } 2> /dev/null
case "$misbehaviour $7" in
"is-slow create") : > "${2%/*}/creating"; sleep 0.5; exec /usr/bin/crun "$@";;
"hangs create") sleep 1000 & sleep 1000;;
"says-why create") echo '{"level":"error","msg":"the moon is wrong"}' >> "$log"; exit 1;;
"says-nothing create") exit 3;;
"dies create") kill -SEGV $$;;
"writes-no-pid create") exit 0;;
"writes-a-strange-pid create")
    while [ "$1" != --pid-file ]; do shift; done
    echo "not a number" > "$2"; exit 0;;
"names-a-dead-process create")
    while [ "$1" != --pid-file ]; do shift; done
    sh -c 'echo $$' > "$2"; exit 0;;
"fails-after-create create") /usr/bin/crun "$@"; exit 7;;
"dies-at-start start") kill -KILL $$;;
"panics start") echo "panic: nil map" >&2; echo >&2; echo "goroutine 1 [running]:" >&2; exit 2;;
"hangs-at-start start") sleep 1000;;
"talks-nonsense state") printf 'what? \033[2J'; exit 0;;
"tells-no-status state") echo '{"status": "melancholic"}'; exit 0;;
"hangs-at-kill kill") sleep 1000;;
*) exec /usr/bin/crun "$@";;
esac
"#;

/// A profile with the stand-in.
fn profile(host: &Host, misbehaviour: &str) -> PathBuf {
    let script = host.file("stand-in", SCRIPT);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let options = format!("{{path: {}, args: [{misbehaviour}], timeout: 1}}", script.display());
    host.profile(
        DEV,
        &format!("backend: {{name: oci-runtime, options: {options}}}\nsecurity: {{landlock: off}}"),
    )
}

fn run(host: &Host, misbehaviour: &str) -> Output {
    host.shell(profile(host, misbehaviour), "exit 5").output()
}

#[test]
fn one_that_behaves_is_as_good_as_the_real_one() {
    let host = Host::enter();
    run(&host, "behaves").assert_code(5);
}

/// The runtime itself is told that the container goes: it has hooks to call and groups of its own to remove.
#[test]
fn the_runtime_deletes_what_it_created_also_after_a_kill() {
    let host = Host::enter();
    let verbs = || fs::read_to_string(host.path("verbs")).unwrap();
    run(&host, "behaves").assert_code(5);
    // What is called crun can write nowhere on the host while it creates.
    assert_eq!(verbs(), "start ".to_owned() + &id_of(&verbs()) + "\ndelete --force\n");
    let (_, running) = sleeping(&host, "behaves");
    running.signal(Signal::KILL);
    running.wait();
    fs::remove_file(host.path("verbs")).unwrap();
    host.nucleus("gc").output().assert_success();
    assert_eq!(verbs(), "delete --force\n");
}

/// One that nobody knows, and that says of itself what features.md asks for; it tries to write to its own file at each verb.
const UNKNOWN: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo "other version 1"; exit 0; }
[ "$1" = features ] && { echo '{"ociVersionMax": "1.0.2", "linux": {"seccomp": {"enabled": true}}}'; exit 0; }
(: >> "$0") 2>/dev/null && echo "$7 wrote" >> "${0%/*}/verdicts" || echo "$7 refused" >> "${0%/*}/verdicts"
exec /usr/sbin/runc "$@"
"#;

/// A profile with it.
fn unknown(host: &Host, security: &str) -> PathBuf {
    let script = host.file("unknown", UNKNOWN);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let backend = format!("backend: {{name: oci-runtime, options: {{path: {}}}}}", script.display());
    host.profile(DEV, &format!("{backend}\nsecurity: {{landlock: off, {security}}}"))
}

/// youki 0.7 filters the calls of the container's first process, and of no other.
#[test]
fn an_exec_that_may_be_unfiltered_is_refused() {
    let host = Host::enter();
    let profile = unknown(&host, "seccomp: default");
    let explained = host.nucleus("explain").profile(&profile).command(["true"]).output().assert_code(0);
    assert!(explained.text().contains("`exec` is refused"), "{explained}");
    let (id, running) = sleeping_under(&host, &profile);
    let output = host.nucleus("exec").args([&id, "true"]).output();
    output.assert_refused(&["other 1", "`security.seccomp` (", "system call filter"]);
    host.nucleus("kill").args([&id, "KILL"]).output().assert_success();
    running.wait().assert_code(137);
}

/// CVE-2019-5736: the container reaches its runtime's file through `/proc`, and must not write to it.
#[test]
fn the_program_of_an_unknown_runtime_is_sealed() {
    let host = Host::enter();
    let profile = unknown(&host, "seccomp: unconfined");
    let explained = host.nucleus("explain").profile(&profile).command(["true"]).output().assert_code(0);
    assert!(explained.text().contains("executed from a read-only mount"), "{explained}");
    let (id, running) = sleeping_under(&host, &profile);
    host.nucleus("exec").args([&id, "true"]).output().assert_success();
    host.nucleus("kill").args([&id, "KILL"]).output().assert_success();
    running.wait().assert_code(137);
    let verdicts = fs::read_to_string(host.path("verdicts")).unwrap();
    for verb in ["create", "start", "exec", "kill", "delete"] {
        assert!(verdicts.contains(&format!("{verb} refused")), "{verb} in\n{verdicts}");
    }
    assert!(!verdicts.contains("wrote"), "{verdicts}");
}

/// The container that was started.
fn id_of(verbs: &str) -> String {
    verbs.lines().find_map(|line| line.strip_prefix("start ")).unwrap_or_default().to_owned()
}

#[test]
fn a_failed_create_is_told_by_the_runtimes_own_reason() {
    let host = Host::enter();
    for (misbehaviour, words) in [
        ("says-why", &["`create` with crun 99.0", "the moon is wrong"][..]),
        ("says-nothing", &["status 3 and said nothing"]),
        ("dies", &["signal 11 ended it"]),
        ("fails-after-create", &["status 7"]),
        ("writes-no-pid", &["wrote no pid file"]),
        ("writes-a-strange-pid", &["pid file holds `not a number`"]),
        ("names-a-dead-process", &["has ended before its start"]),
    ] {
        run(&host, misbehaviour).assert_refused(words);
        let leaks = host.leaks();
        assert!(leaks.is_empty(), "{misbehaviour} left {leaks:?}");
    }
}

#[test]
fn one_that_hangs_is_killed_with_all_that_it_started() {
    let host = Host::enter();
    run(&host, "hangs").assert_refused(&["`create`", "not ended after 1 s and was killed"]);
    host.assert_no_leak();
    run(&host, "hangs-at-start").assert_refused(&["`start`", "not ended after 1 s and was killed"]);
}

#[test]
fn a_crash_between_create_and_start_leaves_nothing() {
    let host = Host::enter();
    run(&host, "dies-at-start").assert_refused(&["`start`", "signal 9 ended it"]);
    host.assert_no_leak();
    let output = run(&host, "panics").assert_refused(&["`start`", "panic: nil map"]);
    assert!(!output.stderr.contains("goroutine"), "one error, and no trace\n{output}");
}

/// A container under the stand-in that runs, and its id.
fn sleeping(host: &Host, misbehaviour: &str) -> (String, nucleus_tests::Running) {
    sleeping_under(host, &profile(host, misbehaviour))
}

pub(super) fn sleeping_under(host: &Host, profile: &Path) -> (String, nucleus_tests::Running) {
    let files = open_directory(host, "files");
    let id = host.fresh_id();
    let call = host.nucleus("run").profile(profile).args(["--id", &id, "--no-tty"]);
    let call = call.args(["--volume", &writable(&files, "/files")]);
    let mut running = call.command(["/bin/sh", "-c", ": > /files/ready; exec sleep 60"]).spawn();
    running.wait_for_file(&files.join("ready"));
    (id, running)
}

fn verb(host: &Host, verb: &str, id: &str) -> Nucleus {
    host.nucleus(verb).arg(id)
}

#[test]
fn nonsense_in_place_of_an_answer_is_shown_and_cannot_write_to_a_terminal() {
    let host = Host::enter();
    for (misbehaviour, words) in [
        ("talks-nonsense", &["answer of crun 99.0 to `state`", "it is `what?  [2J`"][..]),
        ("tells-no-status", &["`melancholic` is no status"]),
    ] {
        let (id, running) = sleeping(&host, misbehaviour);
        let output = verb(&host, "state", &id).output();
        assert_ne!(output.code(), Some(0), "{output}");
        for word in words {
            assert!(output.stderr.contains(word), "`{word}` in\n{output}");
        }
        verb(&host, "kill", &id).arg("KILL").output().assert_success();
        running.wait().assert_code(137);
        fs::remove_file(host.path("files/ready")).unwrap();
    }
}

#[test]
fn a_kill_that_hangs_is_an_error_in_time() {
    let host = Host::enter();
    let (id, running) = sleeping(&host, "hangs-at-kill");
    let output = verb(&host, "kill", &id).arg("TERM").output();
    assert!(output.stderr.contains("not ended after 1 s and was killed"), "{output}");
    running.signal(Signal::KILL);
    running.wait();
    host.nucleus("gc").output().assert_success();
}

/// What the core has checked and opened is what is mounted, though its path leads elsewhere when the runtime looks.
#[test]
fn a_source_that_is_exchanged_before_the_runtime_mounts_it_stays_what_was_checked() {
    let host = Host::enter();
    let (volume, image) = (host.path("volume"), host.path("image"));
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("mine"), "mine").unwrap();
    let root = nucleus_tests::rootfs::Rootfs::busybox(&image);
    root.file("mine", "mine");
    let slow = profile(&host, "is-slow");
    let yaml = fs::read_to_string(&slow).unwrap() + &format!("rootfs: {{path: {}}}\n", image.display());
    fs::write(&slow, yaml).unwrap();
    let id = host.fresh_id();
    let call = host.nucleus("run").profile(&slow).args(["--id", &id, "--no-tty"]);
    let call =
        call.args(["--volume", &writable(&volume, "/volume")]).command(["/bin/cat", "/mine", "/volume/mine"]);
    let mut running = call.spawn();
    // Beside its `--root`: it can write nowhere else while it creates.
    running.wait_for_file(&host.root().join(id).join("backend/oci/creating"));
    for path in [&volume, &image] {
        fs::rename(path, path.with_extension("away")).unwrap();
        symlink("/etc", path).unwrap();
    }
    let output = running.wait().assert_success();
    assert_eq!(output.text().replace('\n', ""), "minemine");
}
