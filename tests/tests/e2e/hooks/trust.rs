//! A program is executed only if it is the one that the operator pinned.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nucleus_tests::Host;

use super::Probe;

#[track_caller]
fn refused(spoil: impl FnOnce(&Probe<'_>), words: &[&str]) {
    let host = Host::enter();
    let (probe, log) = Probe::recorder(&host);
    let profile = probe.profile("");
    spoil(&probe);
    host.shell(profile, "true").output().assert_refused(words);
    assert!(!log.exists(), "nothing of it has run");
    host.assert_no_leak();
}

#[test]
fn another_program_than_the_pinned_one() {
    refused(
        |probe| fs::write(&probe.file, fs::read_to_string(&probe.file).unwrap() + "#\n").unwrap(),
        &["it has changed"],
    );
}

#[test]
fn one_that_others_can_write() {
    let open =
        |probe: &Probe<'_>| fs::set_permissions(&probe.file, fs::Permissions::from_mode(0o777)).unwrap();
    refused(open, &["others can write to it"]);
}

#[test]
fn one_that_cannot_be_executed() {
    let plain =
        |probe: &Probe<'_>| fs::set_permissions(&probe.file, fs::Permissions::from_mode(0o644)).unwrap();
    refused(plain, &["it cannot be executed", "nucleus-hook-probe"]);
}

#[test]
fn a_link_to_it() {
    let link = |probe: &Probe<'_>| {
        let real = probe.file.with_file_name("real");
        fs::rename(&probe.file, &real).unwrap();
        std::os::unix::fs::symlink(real, &probe.file).unwrap();
    };
    refused(link, &["symbolic link"]);
}

#[test]
fn one_that_is_not_there() {
    refused(
        |probe| fs::remove_file(&probe.file).unwrap(),
        &["nucleus-hook-probe", "libnucleus_hook_probe.so"],
    );
}

#[test]
fn one_that_nobody_trusts() {
    let host = Host::enter();
    let (probe, log) = Probe::recorder(&host);
    let directory = probe.file.parent().unwrap().display();
    let yaml = format!("hooks: [{{plugin: probe}}]\nplugins: {{path: [{directory}]}}");
    host.shell(host.profile(crate::DEV, &yaml), "true").output().assert_refused(&["nobody trusts it"]);
    assert!(!log.exists());
}
