//! Standard input, output and error are the workload's, byte for byte.

use std::io::Write;

use nucleus_tests::Host;

use crate::{DEV, PROFILES};

/// Bytes without a pattern that a buffer's size could hide in (xorshift64).
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn ten_megabytes_pass_unchanged() {
    let host = Host::enter();
    let bytes = noise(10 << 20);
    for profile in PROFILES {
        let output = host.run(profile, &["/bin/cat"]).stdin(bytes.clone()).output().assert_success();
        assert!(
            output.stdout == bytes,
            "{} of {} bytes came back, or others",
            output.stdout.len(),
            bytes.len()
        );
    }
}

#[test]
fn output_and_error_are_two_streams() {
    let host = Host::enter();
    for profile in PROFILES {
        let output = host.shell(profile, "printf out; printf err >&2").output().assert_code(0);
        assert_eq!((output.text(), output.stderr.as_str()), ("out", "err"));
    }
}

#[test]
fn the_workload_sees_the_end_of_its_input() {
    let host = Host::enter();
    for profile in PROFILES {
        let mut running = host.shell(profile, "read a; echo got $a; read b || echo end").stdin_open().spawn();
        let mut stdin = running.stdin();
        stdin.write_all(b"one\n").unwrap();
        drop(stdin);
        assert_eq!(running.wait().assert_success().text(), "got one\nend");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_writer() {
    let host = Host::enter();
    let pipe = ["/bin/sh", "-c", r#""$@" | head -c 4"#, "sh"];
    let output = host.run(DEV, &["/usr/bin/yes"]).through(pipe).output();
    assert_eq!(output.stdout, b"y\ny\n");
}

#[test]
fn no_descriptor_of_the_caller_reaches_the_workload() {
    let host = Host::enter();
    let leaking = ["/bin/sh", "-c", r#"exec 5</ 7</etc 9</dev/null; exec "$@""#, "sh"];
    for profile in PROFILES {
        let call = host.run(profile, &["/bin/ls", "/proc/self/fd"]).through(leaking);
        // 3 is the directory that ls itself reads.
        assert_eq!(call.output().assert_success().text(), "0\n1\n2\n3", "{profile}");
    }
}

/// CVE-2024-21626: a leaked descriptor of the host's root as the workload's working directory.
#[test]
fn a_descriptor_as_working_directory_leads_nowhere() {
    let host = Host::enter();
    let canary = host.file("canary", "sings");
    let leaking = ["/bin/sh", "-c", r#"exec 5</ 6</ 7</ 8</ 9</; exec "$@""#, "sh"];
    for number in 3..24 {
        let call = host.shell(DEV, &format!("pwd; cat .{0} ../..{0} ../../../..{0}", canary.display()));
        let output = call.through(leaking).args(["--cwd", &format!("/proc/self/fd/{number}")]).output();
        assert_ne!(output.code(), Some(0), "fd {number}\n{output}");
        assert!(
            !output.text().contains("sings") && !output.text().contains("unreachable"),
            "fd {number}\n{output}"
        );
    }
}

/// What nucleus opens must never get the number of a standard descriptor: the workload would write into it.
#[test]
fn descriptors_that_the_caller_closed_are_the_null_device() {
    let host = Host::enter();
    let closing = ["/bin/sh", "-c", r#"exec "$@" <&- >&-"#, "sh"];
    for profile in PROFILES {
        let call =
            host.shell(profile, "exec 3>&1; readlink /proc/self/fd/0 /proc/self/fd/3 >&2").through(closing);
        let output = call.output().assert_code(0);
        assert_eq!(output.stderr, "/dev/null\n/dev/null\n", "{profile}");
    }
}

#[test]
fn an_answer_that_nobody_reads_is_no_failure() {
    let host = Host::enter();
    let deaf = ["/bin/sh", "-c", r#"{ "$@"; echo $? >&2; } | exec sleep 0"#, "sh"];
    let output = host.nucleus("profile").arg("schema").through(deaf).output();
    assert_eq!(output.stderr.trim(), "0", "{output}");
}
