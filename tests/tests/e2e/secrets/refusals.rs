//! What is missing, too open, too big or fails: refused by name, and never with what it is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::slice::from_ref;
use std::time::Duration;

use nucleus_tests::Host;

use super::{from_file, profile, run, secret_file};

/// Sources that a profile refuses or lets pass, and the words for each.
fn doubtful(host: &Host) -> [(String, &'static str); 6] {
    let open = secret_file(host, "open", "canary");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let link = host.path("link");
    symlink(secret_file(host, "key", "canary"), &link).unwrap();
    [
        (from_file(&open, "name: it"), "its mode is 0644"),
        (from_file(&link, "name: it"), "is a link"),
        (from_file(&PathBuf::from("/nonexistent/key"), "name: it"), "there is no such file"),
        ("{source: {env: NUCLEUS_TEST_UNSET}, name: it}".into(), "$NUCLEUS_TEST_UNSET is not set"),
        ("{source: {fd: 99}, name: it}".into(), "without a descriptor 99"),
        ("{source: {credential: it}, name: it}".into(), "systemd gave nucleus no credentials"),
    ]
}

#[test]
fn a_strict_profile_refuses_and_a_permissive_one_warns_and_remembers() {
    let host = Host::enter();
    for (secret, words) in doubtful(&host) {
        let refused = run(&host, from_ref(&secret), "true").output().assert_refused(&["secrets[it]", words]);
        assert!(refused.stderr.contains("profile-"), "the line is named: {refused}");
        let permissive = profile(&host, from_ref(&secret), "enforcement: permissive");
        let id = host.fresh_id();
        let run = host.nucleus("run").profile(permissive).args(["--no-tty", "--id", &id]);
        let state = format!("cat {}/{id}/state.json", host.root().display());
        let output =
            run.command(["/bin/sh", "-c", "cat /run/secrets/it 2>/dev/null; true"]).output().assert_code(0);
        assert!(output.stderr.contains(words), "{words}: {output}");
        let is_there = words.contains("mode") || words.contains("link");
        assert_eq!(output.text() == "canary", is_there, "{state}: {output}");
    }
}

#[test]
fn what_may_be_missing_is_left_out_in_silence() {
    let host = Host::enter();
    let optional = |secret: &String| secret.replace("name: it", "name: it, optional: true");
    for (secret, words) in &doubtful(&host)[2..] {
        let call = run(&host, &[optional(secret)], "ls /run/secrets 2>/dev/null; true");
        assert_eq!(call.output().assert_success().text(), "", "{words}");
    }
    let open = &doubtful_again(&host);
    run(&host, &[optional(open)], "true").output().assert_refused(&["its mode is 0644"]);
}

fn doubtful_again(host: &Host) -> String {
    let open = secret_file(host, "open-again", "canary");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    from_file(&open, "name: it")
}

#[test]
fn a_warning_stays_with_the_container() {
    let host = Host::enter();
    let permissive = profile(&host, &[doubtful_again(&host)], "enforcement: permissive");
    let shared = crate::open_directory(&host, "shared");
    let id = host.fresh_id();
    let call = host.nucleus("run").profile(permissive).args(["--no-tty", "--id", &id, "--volume"]);
    let call = call.arg(crate::writable(&shared, "/shared"));
    let mut running = call.command(["/bin/sh", "-c", ": > /shared/ready; read line"]).stdin_open().spawn();
    running.wait_for_file(&shared.join("ready"));
    let record = fs::read_to_string(host.root().join(&id).join("state.json")).unwrap();
    assert!(record.contains("its mode is 0644"), "{record}");
    drop(running.stdin());
    running.wait();
}

#[test]
fn a_command_that_does_not_deliver_is_told_with_its_complaints() {
    let host = Host::enter();
    let command = |script: &str, rest: &str| {
        format!("{{source: {{command: [/bin/sh, -c, \"{script}\"], {rest}}}, name: it}}")
    };
    let none = "timeout: 20s";
    for (secret, words) in [
        (command("echo canary; echo locked >&2; exit 3", none), &["status 3", "locked"][..]),
        (command("echo empty >&2", none), &["wrote nothing", "empty"]),
        (
            command("echo canary; echo slow >&2; sleep 50 & sleep 51", "timeout: 300ms"),
            &["longer than 300ms", "slow"],
        ),
        (command("head -c 1000000000 /dev/zero", none), &["does not fit", "mounts.secrets"]),
        (
            "{source: {command: [/nonexistent/pass]}, name: it}".into(),
            &["cannot be executed", "No such file"],
        ),
    ] {
        let output = run(&host, &[secret], "echo started").timeout(Duration::from_secs(30)).output();
        let output = output.assert_refused(&["secrets[it]"]).assert_refused(words);
        assert!(!output.stderr.contains("canary") && output.stdout.is_empty(), "{output}");
        host.assert_no_leak();
    }
}

/// Its signals are blocked by then, lest one kill it before it can tear down.
#[test]
fn a_signal_stops_nucleus_while_it_waits_for_a_secret() {
    let host = Host::enter();
    let begun = host.path("begun");
    let script = format!(": > {}; sleep 500", begun.display());
    let secret = format!("{{source: {{command: [/bin/sh, -c, '{script}'], timeout: 400s}}, name: it}}");
    let mut running = run(&host, &[secret], "echo started").global("--error-format=json").spawn();
    running.wait_for_file(&begun);
    running.signal(rustix::process::Signal::TERM);
    let words = ["secrets[it]", "SIGTERM interrupted it", "\"code\":\"interrupted\""];
    let output = running.wait().assert_code(143).assert_says(&words);
    assert_eq!(output.text(), "");
    host.assert_no_leak();
}

#[test]
fn a_command_gets_nothing_of_nucleus_and_ends_with_all_that_it_started() {
    let host = Host::enter();
    let script = "env; ls /proc/self/fd; setsid sleep 77 > /dev/null 2>&1 &";
    let secret = format!("{{source: {{command: [/bin/sh, -c, \"{script}\"]}}, name: it}}");
    let output = run(&host, &[secret], "cat /run/secrets/it").env("LEAKED", "x").output().assert_success();
    assert_eq!(output.text(), "PWD=/\n0\n1\n2\n3", "the shell's own, and a listing's");
    // A process that is left would be this test's child.
    host.assert_no_leak();
}

#[test]
fn too_much_is_refused_by_the_name_of_the_one_that_does_not_fit() {
    let host = Host::enter();
    let small = secret_file(&host, "small", "x");
    let big = secret_file(&host, "big", vec![b'x'; 20 << 20]);
    let secrets = [from_file(&small, "name: small"), from_file(&big, "name: big")];
    run(&host, &secrets, "true").output().assert_refused(&["secrets[big]", "does not fit", "mounts.secrets"]);
    let roomy = profile(&host, &secrets, "mounts: {secrets: 32M}");
    let output = host.shell(roomy, "wc -c < /run/secrets/big").output().assert_success();
    assert_eq!(output.text(), (20 << 20).to_string());
}

#[test]
fn what_no_variable_can_hold_is_refused() {
    let host = Host::enter();
    for (content, words) in
        [(vec![b'a', 0, b'b'], "holds a NUL"), (vec![b'x'; 200_000], "longer than a variable")]
    {
        let secret = from_file(&secret_file(&host, "key", content), "name: it, env: TOKEN");
        run(&host, &[secret], "true").output().assert_refused(&["secrets[it]", words]);
    }
    let longest = from_file(
        &secret_file(&host, "key", vec![b'x'; 131_072 - "TOKEN=".len() - 1]),
        "name: it, env: TOKEN",
    );
    let output = run(&host, &[longest], "echo ${#TOKEN}").output().assert_success();
    assert_eq!(output.text(), "131065");
}

#[test]
fn explain_and_dry_run_say_where_and_look_at_nothing() {
    let host = Host::enter();
    let marker = host.path("ran");
    let key = secret_file(&host, "key", "canary");
    let secrets = [
        format!("{{source: {{command: [/bin/touch, {}]}}, name: ran}}", marker.display()),
        from_file(&key, "name: key"),
        "{source: {env: NUCLEUS_TEST_TOKEN}, env: TOKEN}".into(),
    ];
    let profile = profile(&host, &secrets, "");
    for verb in ["explain", "run"] {
        let call = host.nucleus(verb).profile(&profile).env("NUCLEUS_TEST_TOKEN", "canary");
        let call = if verb == "run" { call.arg("--dry-run") } else { call };
        let strace =
            ["strace", "-f", "-e", "trace=openat,openat2,execve", "-o"].map(std::ffi::OsString::from);
        let log = host.path("strace");
        let output = call.command(["true"]).through(strace.into_iter().chain([log.clone().into()])).output();
        let output = output.assert_success();
        assert!(!marker.exists() && !output.text().contains("canary"), "{output}");
        let opened = fs::read_to_string(&log).unwrap();
        assert!(!opened.contains(key.to_str().unwrap()) && !opened.contains("/bin/touch"), "{opened}");
        if verb == "explain" {
            let shown = output.text().split_whitespace().collect::<Vec<_>>().join(" ");
            for words in [
                "secrets[key]",
                "/run/secrets/key",
                "command /bin/touch",
                "variable NUCLEUS_TEST_TOKEN of nucleus",
            ] {
                assert!(shown.contains(words), "{words}: {output}");
            }
        } else {
            let mounts = output.json()["mounts"].to_string();
            assert!(mounts.contains(r#""source":"secret""#) && !mounts.contains("files/key"), "{mounts}");
        }
    }
}

#[test]
fn explain_foresees_what_a_start_would_refuse() {
    let host = Host::enter();
    let doubtful = doubtful(&host);
    let secrets = [&doubtful[0], &doubtful[1], &doubtful[2], &doubtful[3], &doubtful[5]];
    for (secret, words) in secrets {
        let profile = profile(&host, from_ref(secret), "");
        let output = host.nucleus("explain").profile(profile).command(["true"]).output().assert_success();
        assert!(
            output.text().contains("is refused here") && output.text().contains(words),
            "{words}: {output}"
        );
    }
}
