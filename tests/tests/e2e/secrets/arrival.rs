//! Each kind of source, and what the workload sees of it.

use std::process::Command;

use nucleus_tests::neighbour::Neighbour;
use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::{Bundle, Host};

use super::{from_file, profile, run, secret_file, with_descriptor};

#[test]
fn each_kind_of_source_arrives_to_the_byte() {
    let host = Host::enter();
    let directory = host.path("credentials");
    std::fs::create_dir(&directory).unwrap();
    secret_file(&host, "credentials/db", "credential\n");
    let (file, piped) = (secret_file(&host, "key", "file\0\u{1}"), secret_file(&host, "piped", "descriptor"));
    let secrets = [
        from_file(&file, "name: file"),
        "{source: {env: NUCLEUS_TEST_TOKEN}, name: env}".into(),
        "{source: {fd: 7}, name: fd}".into(),
        "{source: {command: [/bin/echo, -n, it is, written]}, name: command}".into(),
        "{source: {credential: db}, name: credential}".into(),
    ];
    let call = run(
        &host,
        &secrets,
        "cd /run/secrets && for f in file env fd command credential; do od -An -c $f | tr -d ' \n'; echo; done",
    );
    let call = call.env("NUCLEUS_TEST_TOKEN", "variable").env("CREDENTIALS_DIRECTORY", &directory);
    let output = with_descriptor(call, 7, &piped).output().assert_success();
    assert_eq!(output.text(), "file\\0001\nvariable\ndescriptor\nitiswritten\ncredential\\n");
}

#[test]
fn mode_owner_and_place_are_those_that_were_asked_for() {
    let host = Host::enter();
    let file = secret_file(&host, "key", "mine");
    let secrets = [
        from_file(&file, "name: plain"),
        from_file(&file, "target: /etc/web/tls.key, mode: \"0440\", owner: \"7:8\""),
        from_file(&file, "target: /opt/a/b/c, mode: \"0004\", owner: \"0:0\""),
        from_file(&file, "target: /run/named, owner: nobody"),
    ];
    let profile = profile(&host, &secrets, "workload: {user: \"1000:100\"}");
    let script = "stat -c '%n %a %u:%g' /run/secrets/plain /etc/web/tls.key /opt/a/b/c /run/named; cat /run/secrets/plain /opt/a/b/c; \
        cat /etc/web/tls.key 2>/dev/null || echo refused";
    let output = host.shell(&profile, script).output().assert_success();
    assert_eq!(
        output.text(),
        "/run/secrets/plain 400 1000:100\n/etc/web/tls.key 440 7:8\n/opt/a/b/c 4 0:0\n/run/named 400 65534:65534\nmineminerefused"
    );
}

#[test]
fn nobody_writes_to_one_or_executes_it() {
    let host = Host::enter();
    let file = secret_file(&host, "key", "#!/bin/sh\necho ran");
    let secrets = [from_file(&file, "name: key, mode: \"0777\"")];
    let script = "exec 2>&1; (: > /run/secrets/key) || echo unwritten; rm -f /run/secrets/key || echo kept; \
        /run/secrets/key || echo unexecuted; grep ' /run/secrets/key ' /proc/self/mountinfo";
    let output = run(&host, &secrets, script).output().assert_success();
    for word in
        ["unwritten", "kept", "unexecuted", "ro,nosuid,nodev,noexec", "mode=700", "- tmpfs secrets ro"]
    {
        assert!(output.text().contains(word), "{word}\n{output}");
    }
}

/// It says of itself what the kernel keeps in memory.
#[test]
fn they_are_not_swapped_where_the_kernel_can_do_without() {
    let host = Host::enter();
    let secrets = [from_file(&secret_file(&host, "key", "x"), "name: key")];
    let profile = profile(&host, &secrets, "");
    let told = host.nucleus("explain").profile(&profile).command(["true"]).output().assert_success();
    let mounted = host.shell(&profile, "grep -c noswap /proc/self/mountinfo; true").output().assert_success();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let new = (numbers.next(), numbers.next()) >= (Some(6), Some(4));
    assert_eq!(mounted.text() == "1", new, "{mounted}");
    assert!(!new || told.text().contains("never swapped"), "{told}");
}

#[test]
fn a_variable_is_the_workloads_first_process_alone() {
    let host = Host::enter();
    let secrets = [
        "{source: {command: [/bin/echo, -n, told]}, env: TOKEN}".to_owned(),
        from_file(&secret_file(&host, "key", "mine"), "name: key"),
    ];
    let id = host.fresh_id();
    let shared = crate::open_directory(&host, "shared");
    let script = "echo \"$TOKEN\"; ls /run/secrets; : > /shared/ready; while [ ! -e /shared/done ]; do sleep 0.05; done";
    let call =
        host.nucleus("run").profile(profile(&host, &secrets, "")).args(["--id", &id, "--no-tty", "--volume"]);
    let mut running =
        call.arg(crate::writable(&shared, "/shared")).command(["/bin/sh", "-c", script]).spawn();
    running.wait_for_file(&shared.join("ready"));
    let exec =
        host.nucleus("exec").args([&id, "/bin/sh", "-c", "echo \"<$TOKEN>\"; cat /run/secrets/key"]).output();
    std::fs::write(shared.join("done"), "").unwrap();
    assert_eq!(exec.assert_success().text(), "<>\nmine");
    assert_eq!(running.wait().assert_success().text(), "told\nkey");
}

#[test]
fn a_user_namespace_maps_its_owner() {
    let host = Host::enter();
    let secrets = [
        from_file(&secret_file(&host, "key", "mine"), "name: key"),
        from_file(&secret_file(&host, "key", "mine"), "name: web, owner: \"33:33\""),
    ];
    let maps = "namespaces: {user: {uidMap: [{container: 0, host: 100000, size: 65536}], gidMap: [{container: 0, host: 100000, size: 65536}]}}";
    let more = format!("workload: {{user: \"1000:1000\"}}\n{maps}");
    let script = "cat /run/secrets/key; stat -c ' %u:%g' /run/secrets/key /run/secrets/web";
    let output = host.shell(profile(&host, &secrets, &more), script).output().assert_success();
    assert_eq!(output.text(), "mine 1000:1000\n 33:33");
    let odd = [from_file(&secret_file(&host, "key", "mine"), "name: key, owner: \"70000:0\"")];
    host.shell(profile(&host, &odd, &more), "true").output().assert_refused(&["70000", "maps no id"]);
}

#[test]
fn a_joined_user_namespace_maps_its_owner_too() {
    let host = Host::enter();
    let neighbour = Neighbour::start_with_users();
    let secrets = [from_file(&secret_file(&host, "key", "mine"), "name: key")];
    let yaml = format!("namespaces: {{user: {{path: {}}}}}", neighbour.path("user"));
    let script = "cat /run/secrets/key; stat -c ' %u:%g' /run/secrets/key";
    let output = host.shell(profile(&host, &secrets, &yaml), script).output().assert_success();
    assert_eq!(output.text(), "mine 0:0");
}

#[test]
fn images_get_the_places_and_are_not_written_to() {
    let host = Host::enter();
    let root = Rootfs::busybox(host.path("root"));
    let secrets = [
        from_file(&secret_file(&host, "key", "mine"), "name: key"),
        from_file(&secret_file(&host, "key", "mine"), "target: /etc/deep/key"),
    ];
    let script = "cat /run/secrets/key /etc/deep/key";
    for access in ["--read-only", "--writable"] {
        let call = run(&host, &secrets, script).arg(access).arg("--rootfs").arg(root.path());
        assert_eq!(call.output().assert_success().text(), "minemine", "{access}");
        let left = ["etc/deep", "run/secrets"].map(|place| root.path().join(place).exists());
        assert_eq!(left, [false, false], "{access}");
    }
    let overlay = format!("rootfs: {{overlay: {{lower: [{}], upper: tmpfs}}}}", root.path().display());
    let call = host.shell(profile(&host, &secrets, &overlay), script);
    assert_eq!(call.output().assert_success().text(), "minemine");
}

#[test]
fn one_below_a_tmpfs_is_on_top_of_it() {
    let host = Host::enter();
    let secrets = [from_file(&secret_file(&host, "key", "mine"), "target: /scratch/a/key")];
    let call = run(&host, &secrets, "cat /scratch/a/key; : > /scratch/x && echo ' written'")
        .args(["--tmpfs", "/scratch"]);
    assert_eq!(call.output().assert_success().text(), "mine written");
}

#[test]
fn big_empty_binary_and_many() {
    let host = Host::enter();
    let pattern: Vec<u8> = (0..10_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let big = secret_file(&host, "big", &pattern);
    let mut secrets =
        vec![from_file(&big, "name: big"), from_file(&secret_file(&host, "empty", ""), "name: empty")];
    secrets.extend((0..62).map(|n| {
        from_file(&secret_file(&host, &format!("key{n}"), format!("{n},")), &format!("name: n{n}"))
    }));
    let script = "cd /run/secrets; ls | wc -l; cksum < big; cat empty; i=0; while [ $i -lt 62 ]; do cat n$i; i=$((i + 1)); done";
    let output = run(&host, &secrets, script).output().assert_success();
    let sum = Command::new("cksum").stdin(std::fs::File::open(&big).unwrap()).output().unwrap().stdout;
    let numbers: Vec<String> = (0..62).map(|n| format!("{n},")).collect();
    assert_eq!(output.text(), format!("64\n{}{}", String::from_utf8(sum).unwrap(), numbers.concat()));
}

/// The engine has its own way to bring secrets in.
#[test]
fn an_engines_container_gets_none() {
    let host = Host::enter();
    let file = secret_file(&host, "key", "mine");
    let profile = profile(&host, &[from_file(&file, "name: key")], "");
    let bundle = Bundle::shell(&host, "bundle", "ls /run/secrets 2>/dev/null || echo none").write();
    let output = host
        .nucleus("run")
        .profile(&profile)
        .arg("--bundle")
        .arg(bundle.path())
        .arg(host.fresh_id())
        .output();
    assert_eq!((output.code(), output.text()), (Some(0), "none"), "{output}");
}
