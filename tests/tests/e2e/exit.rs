//! The exit status of `run` is the workload's, or says why there was none.

use nucleus_tests::Host;

use crate::{DEV, PROD, PROFILES, open_directory, writable};

#[test]
fn the_workloads_status_is_passed_on() {
    let host = Host::enter();
    for profile in PROFILES {
        for code in [0, 1, 7, 124, 200, 255] {
            let output = host.shell(profile, &format!("exit {code}")).output().assert_code(code);
            assert_eq!(output.stderr, "", "nucleus has nothing to say about it");
        }
    }
}

#[test]
fn a_program_that_is_missing_is_127() {
    let host = Host::enter();
    for profile in PROFILES {
        for program in ["/no/such/program", "no-such-program"] {
            let output = host.run(profile, &[program]).output().assert_code(127);
            assert!(output.stderr.contains(program), "the message names the program\n{output}");
        }
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_126() {
    let host = Host::enter();
    let files = open_directory(&host, "files");
    std::fs::write(files.join("plain"), "no program").unwrap();
    for profile in PROFILES {
        host.run(profile, &["/usr"]).output().assert_code(126);
        let call = host.run(profile, &["/files/plain"]).args(["--volume", &writable(&files, "/files")]);
        let output = call.output().assert_code(126);
        assert!(output.stderr.contains("/files/plain"), "the message names the file\n{output}");
    }
}

#[test]
fn a_signal_that_kills_is_128_and_its_number() {
    let host = Host::enter();
    for profile in PROFILES {
        for (signal, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11), ("USR1", 10)] {
            let call = host.shell(profile, &format!("kill -{signal} $$; sleep 5")).arg("--init");
            call.output().assert_code(128 + number);
        }
    }
}

#[test]
fn what_nucleus_itself_fails_at_is_125() {
    let host = Host::enter();
    host.shell("no/such/profile.yaml", "true").output().assert_refused(&["no/such/profile.yaml"]);
    host.shell(DEV, "true")
        .args(["--backend", "no-such-backend"])
        .output()
        .assert_refused(&["no-such-backend"]);
    host.shell(PROD, "true").arg("--no-such-flag").output().assert_code(125);
}

#[test]
fn a_profile_that_names_its_command_needs_none() {
    let host = Host::enter();
    let id = host.fresh_id();
    let output = host.nucleus("run").profile(PROD).args(["--id", &id, "--no-tty"]).output().assert_success();
    assert!(output.text().contains("10001:10001"), "{output}");
}

#[test]
fn a_generated_id_leaves_nothing_either() {
    let host = Host::enter();
    host.nucleus("run").command(["/bin/true"]).output().assert_success();
}
