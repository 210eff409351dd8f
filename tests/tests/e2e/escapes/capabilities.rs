//! CVE-2022-24769 (CVE-2022-29162, youki 2025-27612): a workload starts with inheritable capabilities, which file
//! capabilities turn into permitted ones. Defence: the set is empty, whatever the caller's is.

use std::process::Command;

use nucleus_tests::Host;

use crate::{PROFILES, status_field};

const GENEROUS: [&str; 4] =
    ["setpriv", "--inh-caps=+chown,+net_raw,+sys_admin", "--ambient-caps=+chown", "--"];

#[test]
fn a_callers_inheritable_capabilities_end_at_the_container() {
    let host = Host::enter();
    for profile in PROFILES {
        for command in [&["/bin/cat", "/proc/self/status"][..], &["/bin/cat", "/proc/1/status"]] {
            let call = host.run(profile, command).through(GENEROUS);
            let output = call.output().assert_success();
            for set in ["CapInh", "CapAmb"] {
                assert_eq!(status_field(output.text(), set), "0000000000000000", "{set} under {profile}");
            }
        }
    }
}

#[test]
fn the_trap_works_on_a_program_that_is_just_started() {
    let _alone = Host::enter();
    let output = Command::new(GENEROUS[0])
        .args(&GENEROUS[1..])
        .args(["/bin/cat", "/proc/self/status"])
        .output()
        .unwrap();
    let status = String::from_utf8(output.stdout).unwrap();
    assert_ne!(status_field(&status, "CapInh"), "0000000000000000");
    assert_ne!(status_field(&status, "CapAmb"), "0000000000000000");
}
