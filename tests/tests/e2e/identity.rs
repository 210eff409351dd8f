//! Who the workload is, and what it inherits.

use nucleus_tests::Host;

use crate::{DEV, PROD, PROFILES, status_field};

#[test]
fn users_and_groups_are_the_plans() {
    let host = Host::enter();
    let ids = |profile: &str, options: &[&str]| {
        let call = host.shell(profile, "id -u; id -g; id -G").args(options);
        call.output().assert_success().text().replace('\n', " ")
    };
    assert_eq!(ids(DEV, &["--user", "1234:2345"]), "1234 2345 2345");
    assert_eq!(ids(DEV, &["--user", "0:0"]), "0 0 0");
    assert_eq!(ids(PROD, &[]), "10001 10001 10001");
    let yaml = "workload: {user: \"77:88\", additionalGroups: [5, 6]}";
    let profile = host.profile(DEV, yaml);
    assert_eq!(ids(profile.to_str().unwrap(), &[]), "77 88 88 5 6");
}

/// crun 2026-30892: a user that cannot be parsed must not become root.
#[test]
fn a_user_that_makes_no_sense_is_refused() {
    let host = Host::enter();
    for user in ["1000abc", "-1", "4294967295", "4294967296", "0x0", ":5", "", "1:2:3", "1:", "１"] {
        let output = host.shell(DEV, "id -u").arg(format!("--user={user}")).output();
        assert_eq!(output.code(), Some(125), "user `{user}`\n{output}");
        assert_eq!(output.text(), "", "nothing ran");
    }
}

#[test]
fn umask_limits_and_oom_score_are_the_plans() {
    let host = Host::enter();
    let yaml = "workload:\n  umask: \"0027\"\n  oomScoreAdj: 321\n  rlimits: {nofile: {soft: 123, hard: 456}, core: 0}";
    for parent in PROFILES {
        let profile = host.profile(parent, yaml);
        let script = "umask; cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn; ulimit -c";
        assert_eq!(
            host.shell(profile, script).output().assert_success().text().replace('\n', " "),
            "0027 321 123 456 0"
        );
    }
}

#[test]
fn hostname_and_directory_are_the_plans() {
    let host = Host::enter();
    let before = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for profile in PROFILES {
        let call = host.shell(profile, "hostname; pwd").args(["--hostname", "web", "--cwd", "/usr/bin"]);
        assert_eq!(call.output().assert_success().text(), "web\n/usr/bin");
    }
    assert_eq!(
        std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap(),
        before,
        "the host kept its name"
    );
}

/// podman 2026-57231: nothing of the caller's environment leaks unless it is named.
#[test]
fn the_environment_is_the_plans_alone() {
    let host = Host::enter();
    for parent in PROFILES {
        let profile = host.profile(parent, "workload: {env: {A: one}, envFrom: [NAMED]}");
        let call = host.run(profile, &["/usr/bin/env"]).args(["--env", "B=two words", "--env", "C="]);
        let output = call.env("CANARY", "sings").env("NAMED", "host").output().assert_success();
        let text = output.text();
        for line in ["A=one", "B=two words", "C=", "NAMED=host"] {
            assert!(text.lines().any(|found| found == line), "`{line}` in {text}");
        }
        assert!(text.contains("PATH="), "programs are found: {text}");
        assert!(!text.contains("CANARY") && !text.contains("sings"), "{text}");
    }
}

#[test]
fn a_variable_without_a_value_is_no_way_to_the_hosts() {
    let host = Host::enter();
    let output = host.run(DEV, &["/usr/bin/env"]).args(["--env", "CANARY"]).env("CANARY", "sings").output();
    assert!(!output.text().contains("sings"), "{output}");
    output.assert_refused(&["CANARY", "--env-from"]);
    let call = host.run(DEV, &["/usr/bin/env"]).args(["--env-from", "CANARY"]);
    let output = call.env("CANARY", "sings").output().assert_success();
    assert!(output.text().lines().any(|line| line == "CANARY=sings"), "{output}");
}

#[test]
fn signals_are_as_a_program_expects_them() {
    let host = Host::enter();
    // Ignored dispositions survive exec (signal(7)); nohup ignores SIGHUP.
    let call = host.run(DEV, &["/bin/cat", "/proc/self/status"]).through(["nohup"]);
    let output = call.output().assert_code(0);
    for field in ["SigBlk", "SigIgn"] {
        assert_eq!(status_field(output.text(), field), "0000000000000000", "{field}");
    }
}

/// Each of the kernel's resources (`getrlimit(2)`), at a value that is neither the host's nor another one's.
#[test]
fn each_resource_limit_is_the_plans() {
    let host = Host::enter();
    let rows = [
        ("core", "Max core file size"),
        ("cpu", "Max cpu time"),
        ("data", "Max data size"),
        ("fsize", "Max file size"),
        ("locks", "Max file locks"),
        ("memlock", "Max locked memory"),
        ("msgqueue", "Max msgqueue size"),
        ("nice", "Max nice priority"),
        ("nofile", "Max open files"),
        ("nproc", "Max processes"),
        ("rss", "Max resident set"),
        ("rtprio", "Max realtime priority"),
        ("rttime", "Max realtime timeout"),
        ("sigpending", "Max pending signals"),
        ("stack", "Max stack size"),
    ];
    // Limits only fall: nice and rtprio are 0 on most hosts, and SYS_RESOURCE may be missing.
    let value = |name: &str, soft: bool| match (name, soft) {
        ("nice" | "rtprio", _) => 0,
        ("data" | "stack", true) => 8 << 20,
        ("data" | "stack", false) => 16 << 20,
        (_, true) => 100,
        (_, false) => 200,
    };
    let limits = rows
        .map(|(name, _)| format!("{name}: {{soft: {}, hard: {}}}", value(name, true), value(name, false)));
    for parent in PROFILES {
        let profile = host.profile(parent, &format!("workload: {{rlimits: {{{}}}}}", limits.join(", ")));
        let output = host.run(profile, &["/bin/cat", "/proc/self/limits"]).output().assert_success();
        for (name, title) in rows {
            let line = output.text().lines().find_map(|line| line.strip_prefix(title));
            let words: Vec<&str> = line.unwrap_or_default().split_whitespace().take(2).collect();
            let expected = [true, false].map(|soft| value(name, soft).to_string());
            assert_eq!(words, expected, "{name} under {parent}\n{output}");
        }
    }
}

#[test]
fn a_umask_is_the_plans_and_new_files_show_it() {
    let host = Host::enter();
    for (umask, mode) in [("0000", "666"), ("0022", "644"), ("0077", "600"), ("0777", "0")] {
        let profile = host.profile(DEV, &format!("workload: {{umask: \"{umask}\"}}"));
        let output = host.shell(profile, "umask; : > /tmp/x; stat -c %a /tmp/x").output().assert_success();
        assert_eq!(output.text(), format!("{umask}\n{mode}"));
    }
}

/// Names are the image's, not the host's.
#[test]
fn users_are_looked_up_in_the_image() {
    let host = Host::enter();
    let root = nucleus_tests::rootfs::Rootfs::busybox(host.path("root"));
    for (user, ids) in [
        ("web", "1234 2345"),
        ("web:extra", "1234 3456"),
        ("1234", "1234 2345"),
        ("4321", "4321 0"),
        ("root", "0 0"),
    ] {
        let call = host.shell(DEV, "id -u; id -g").args(["--user", user]).arg("--rootfs").arg(root.path());
        assert_eq!(call.output().assert_success().text().replace('\n', " "), ids, "{user}");
    }
    let call = host.shell(DEV, "id -u").args(["--user", "nobody-here"]).arg("--rootfs").arg(root.path());
    call.output().assert_refused(&["nobody-here"]);
}
