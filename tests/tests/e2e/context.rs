//! The context: a tree of the host that the workload may read, and nothing beside it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nucleus_tests::canary::Canary;
use nucleus_tests::racer::Racer;
use nucleus_tests::{Bundle, Host, Nucleus};

use crate::DEV;

/// A directory with a few files in it, and with what is usually left out.
fn source(host: &Host) -> PathBuf {
    let source = host.path("source");
    for directory in ["src", ".git", "target/debug"] {
        fs::create_dir_all(source.join(directory)).unwrap();
    }
    for (name, content) in
        [("note", "hello"), ("src/main", "code"), (".git/config", "x"), ("target/debug/it", "x")]
    {
        fs::write(source.join(name), content).unwrap();
    }
    fs::write(source.join("script"), "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(source.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../note", source.join("src/link")).unwrap();
    source
}

/// A profile whose context is the source, with more about it.
fn profile(host: &Host, source: &Path, more: &str) -> PathBuf {
    host.profile(DEV, &format!("context: {{source: {}{more}}}", source.display()))
}

fn shell(host: &Host, source: &Path, more: &str, script: &str) -> Nucleus {
    host.shell(profile(host, source, more), script)
}

#[test]
fn a_mount_without_a_place_in_the_context_is_named() {
    let host = Host::enter();
    let source = source(&host);
    for mode in ["copy", "bind"] {
        let yaml = format!(
            "context: {{source: {}, mode: {mode}}}\nmounts:\n  tmpfs:\n    - {{target: /context/none}}\n",
            source.display()
        );
        let output = host.shell(host.profile(DEV, &yaml), "true").output();
        let words = ["/context/none (", ".yaml:6", "read-only at /context (", ".yaml:3", "has no none"];
        output
            .assert_refused(&words)
            .assert_refused(&[&format!("make it on the host, as {}/none", source.display())]);
        let yaml = yaml.replace("/context/none", "/context/src");
        host.shell(host.profile(DEV, &yaml), ": > /context/src/new").output().assert_success();
    }
}

#[test]
fn a_copy_is_there_to_be_read_and_for_nothing_else() {
    let host = Host::enter();
    let source = source(&host);
    let canaries = ["", "src", "note", "src/link"].map(|name| Canary::watch(source.join(name)));
    for more in ["", ", verify: true", ", mode: copy, exclude: [nothing]"] {
        let script = "cd /context; find . | sort; cat note src/link; (: > new; rm note; chmod 777 .) 2>/dev/null; ls -d new";
        let output = shell(&host, &source, more, script).output();
        assert_eq!(
            output.text(),
            ".\n./note\n./script\n./src\n./src/link\n./src/main\nhellohello",
            "{output}"
        );
        let output = shell(&host, &source, more, "grep ' /context ' /proc/self/mountinfo").output();
        for flag in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(output.text().contains(flag), "{flag}: {output}");
        }
        host.run(profile(&host, &source, more), &["/context/script"]).output().assert_code(126);
    }
    let output = host.run(profile(&host, &source, ", exec: true"), &["/context/script"]).output();
    assert_eq!(output.assert_success().text(), "ran");
    canaries.iter().for_each(Canary::assert_alive);
}

#[test]
fn a_bind_is_the_directory_itself() {
    let host = Host::enter();
    let source = source(&host);
    let script = "cd /deep/place; ls -A; (: > new) 2>/dev/null || echo refused";
    let output = shell(&host, &source, ", mode: bind, target: /deep/place", script).output().assert_success();
    assert_eq!(output.text(), ".git\nnote\nscript\nsrc\ntarget\nrefused");
    fs::write(source.join(".nucleusignore"), "note").unwrap();
    let output = shell(&host, &source, ", mode: bind", "true").output();
    output.assert_refused(&["mode: bind", ".nucleusignore", "mode: copy"]);
}

/// The copy lies in the container's own directory, and goes with it.
#[test]
fn a_copy_lives_as_long_as_its_container() {
    let host = Host::enter();
    let (source, shared) = (source(&host), crate::open_directory(&host, "shared"));
    let id = host.fresh_id();
    let call = host.nucleus("run").profile(profile(&host, &source, "")).args(["--id", &id, "--no-tty"]);
    let call = call.args(["--volume", &crate::writable(&shared, "/shared")]);
    let mut running = call.command(["/bin/sh", "-c", ": > /shared/ready; read line"]).stdin_open().spawn();
    running.wait_for_file(&shared.join("ready"));
    let copies = || {
        let found = Command::new("find").arg(host.root()).args(["-name", "note"]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().count()
    };
    assert_eq!(copies(), 1);
    drop(running.stdin());
    running.wait();
    assert_eq!(copies(), 0);
}

#[test]
fn what_leads_out_or_is_no_file_is_refused_by_name() {
    let host = Host::enter();
    let source = source(&host);
    symlink("/etc/shadow", source.join("src/out")).unwrap();
    symlink("../..", source.join("src/up")).unwrap();
    let made = Command::new("mkfifo").arg(source.join("pipe")).status().unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(source.join("socket")).unwrap();
    let made = Command::new("mknod").arg(source.join("null")).args(["c", "1", "3"]).status().unwrap();
    assert!(made.success());
    for more in ["", ", verify: true", ", mode: bind"] {
        let words = [
            "src/out",
            "src/up",
            "pipe: it is a fifo",
            "socket: it is a socket",
            "null: it is a device",
            "5 names",
        ];
        let output = shell(&host, &source, more, "echo started").output().assert_refused(&words);
        assert_eq!(output.text(), "", "nothing ran");
    }
    let more = ", exclude: [out, up, pipe, socket, \"null\"]";
    assert_eq!(shell(&host, &source, more, "echo started").output().assert_success().text(), "started");
}

#[test]
fn explain_copies_nothing_and_says_who_sees_to_it() {
    let host = Host::enter();
    let source = source(&host);
    let more = ", verify: true, exclude: [secret], size: 1M, owner: workload";
    let output =
        host.nucleus("explain").profile(profile(&host, &source, more)).command(["/bin/true"]).output();
    let table = output.assert_success();
    let row = |field: &str| {
        let found = table.text().lines().find(|line| line.split_whitespace().next() == Some(field));
        found.unwrap_or_else(|| panic!("{field}\n{table}"))
    };
    assert!(
        row("context[/context]").contains("mount_setattr") || !row("context[/context]").ends_with("nucleus")
    );
    assert!(row("context.verify").contains("true") && row("context.verify").ends_with("nucleus"));
    assert!(
        row("context.mode").contains("copy of at most 1048576 bytes")
            && row("context.mode").ends_with("nucleus")
    );
    assert!(table.text().contains("without secret"), "{table}");
    let config = host.run(profile(&host, &source, more), &["/bin/true"]).arg("--dry-run").output().json();
    let mounts = config["mounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["destination"] == "/context" && mount["source"] == "context"));
    assert!(!host.root().exists(), "no state was made");
}

#[test]
fn a_copy_may_be_the_workloads_own() {
    let host = Host::enter();
    let source = source(&host);
    fs::set_permissions(source.join("note"), fs::Permissions::from_mode(0o600)).unwrap();
    let user = ["--user", "10001:10002"];
    let script = "cat /context/note; stat -c %u:%g:%a /context/note";
    let output = shell(&host, &source, ", owner: workload", script).args(user).output().assert_success();
    assert_eq!(output.text(), "hello10001:10002:600");
    let output = shell(&host, &source, "", script).args(user).output();
    assert!(!output.text().contains("hello") && output.text().ends_with("0:0:600"), "{output}");
    let map = "[{container: 0, host: 200000, size: 65536}]";
    let yaml = format!(
        "context: {{source: {}, verify: true}}\nnamespaces: {{user: {{uidMap: {map}, gidMap: {map}}}}}",
        source.display()
    );
    let output = host.shell(host.profile(DEV, &yaml), script).output().assert_success();
    assert_eq!(output.text(), "hello0:0:600", "the same ids inside");
}

#[test]
fn the_mount_policy_holds_for_it_too() {
    let host = Host::enter();
    let source = source(&host);
    let yaml = format!(
        "context: {{source: {}}}\nmounts: {{policy: {{deny: [\"{}/**\"]}}}}",
        source.display(),
        source.display()
    );
    let output = host.shell(host.profile(DEV, &yaml), "cat /context/note").output();
    assert_eq!((output.code(), output.text()), (Some(125), ""), "{output}");
    assert!(output.stderr.contains("deny") && output.stderr.contains("context"), "{output}");
    for denied in ["/", "/proc", "/sys"] {
        let output = shell(&host, Path::new(denied), "", "true").output();
        assert_eq!(output.code(), Some(125), "{denied}: {output}");
    }
}

/// An engine says itself what its containers see.
#[test]
fn under_an_engine_it_does_not_apply() {
    let host = Host::enter();
    let source = source(&host);
    let bundle = Bundle::shell(&host, "bundle", "ls -d /context 2>/dev/null || echo none").write();
    let call = host.nucleus("run").profile(profile(&host, &source, "")).arg("--bundle").arg(bundle.path());
    assert_eq!(call.arg(host.fresh_id()).output().assert_code(0).text(), "none");
}

/// While it is copied, a file and a directory change places with links to a secret of the host.
#[test]
fn no_exchange_of_names_brings_a_secret_in() {
    const SWAPS: u64 = 2000;
    let host = Host::enter();
    let source = source(&host);
    let secret = host.path("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("main"), "canary").unwrap();
    for (place, target) in [("src", secret.clone()), ("note", secret.join("main"))] {
        let trap = host.path(&format!("trap-{place}"));
        symlink(target, &trap).unwrap();
        for more in ["", ", verify: true", ", mode: bind"] {
            let racer = Racer::swap(source.join(place), &trap);
            let (mut started, mut runs) = (0, 0);
            while racer.swaps() < SWAPS || runs < 12 {
                let script =
                    "cd /context && cat src/main note 2>/dev/null; find . -type f -exec cat {} +; true";
                let output = shell(&host, &source, more, script).output();
                assert!(
                    !String::from_utf8_lossy(&output.stdout).contains("canary"),
                    "{place}{more}\n{output}"
                );
                started += u32::from(output.code() == Some(0));
                runs += 1;
            }
            let swaps = racer.swaps();
            drop(racer);
            assert!(swaps >= SWAPS, "{swaps} swaps, {started} of {runs} started");
            if source.join(place).is_symlink() {
                fs::rename(&trap, host.path("honest")).unwrap();
                fs::rename(source.join(place), &trap).unwrap();
                fs::rename(host.path("honest"), source.join(place)).unwrap();
            }
        }
    }
    // The trap works on who copies by path.
    symlink(secret.join("main"), source.join("naive")).unwrap();
    let naive = Command::new("cp").arg("-rL").arg(&source).arg(host.path("naive")).status().unwrap();
    assert!(naive.success());
    assert_eq!(fs::read_to_string(host.path("naive/naive")).unwrap(), "canary");
}

#[test]
fn the_option_names_a_source() {
    let host = Host::enter();
    let source = source(&host);
    let call = host.run(DEV, &["/bin/cat", "/context/note"]).arg("--context").arg(&source);
    assert_eq!(call.output().assert_success().text(), "hello");
    let call = host.run(DEV, &["/bin/true"]).arg("--context").arg(source.join("note"));
    call.output().assert_refused(&["it is no directory"]);
    host.run(DEV, &["/bin/true"])
        .args(["--context", "/no/such"])
        .output()
        .assert_refused(&["/no/such", "--context"]);
}

/// Each directory is open until all in it has been visited: of a deep tree of two in each, as many as it is deep.
#[test]
fn a_deep_and_wide_tree_needs_no_more_descriptors_than_the_hard_limit() {
    let host = Host::enter();
    let source = source(&host);
    let mut deepest = source.clone();
    for _ in 0..100 {
        deepest.push("d");
        fs::create_dir_all(&deepest).unwrap();
        fs::create_dir(deepest.with_file_name("e")).unwrap();
        fs::write(deepest.with_file_name("e").join("file"), "").unwrap();
    }
    fs::write(deepest.join("note"), "deep").unwrap();
    let below = deepest.strip_prefix(&source).unwrap().display().to_string();
    let script = format!("ulimit -Sn; ulimit -Hn; cat /context/{below}/note");
    let run = |limits: &str| shell(&host, &source, "", &script).through(["prlimit", limits]).output();
    assert_eq!(run("--nofile=64:1024").assert_success().text(), "64\n1024\ndeep");
    run("--nofile=64:64").assert_refused(&["directories lie in each other", "RLIMIT_NOFILE is 64"]);
    host.assert_no_leak();
}
