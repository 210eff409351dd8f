//! What engines type, and what they read of the answers.

use std::fs;
use std::path::Path;

use nucleus_tests::{Bundle, Container, Host, Nucleus};
use serde_json::{Value, json};

#[test]
fn run_with_an_id_takes_the_bundle_and_gives_the_workloads_status() {
    let host = Host::enter();
    let bundle = Bundle::shell(&host, "bundle", "echo from inside; exit 7").write();
    let run = || host.nucleus("run").current_dir(bundle.path());
    let output = run().arg(host.fresh_id()).output().assert_code(7);
    assert_eq!(output.text(), "from inside");
    host.assert_no_leak();
    let kept = Container::fresh(&host);
    run().args(["--keep", &kept.id]).output().assert_code(7);
    assert_eq!(kept.status(), "stopped");
    kept.delete();
    host.assert_no_leak();
}

#[test]
fn a_detached_run_returns_while_the_workload_runs() {
    let host = Host::enter();
    let bundle = Bundle::new(&host, "bundle", &["sleep", "60"]).write();
    let container = Container::fresh(&host);
    let run = host.nucleus("run").args(["--detach", "--bundle"]).arg(bundle.path()).arg(&container.id);
    run.detached().output().assert_success();
    assert_eq!(container.status(), "running");
    container.kill("9").assert_success();
    container.wait_for("stopped");
    container.delete();
}

#[test]
fn a_detached_run_that_fails_leaves_nothing() {
    let host = Host::enter();
    let hook = json!([{"path": "/bin/false"}]);
    let bundle = Bundle::new(&host, "bundle", &["sleep", "60"]).set("/hooks/startContainer", hook).write();
    let run = host.nucleus("run").args(["--detach", "--bundle"]).arg(bundle.path()).arg(host.fresh_id());
    let output = run.detached().output().assert_code(125);
    assert!(output.stderr.contains("/bin/false"), "{output}");
    host.assert_no_leak();
}

#[test]
fn a_state_root_may_be_named_from_here() {
    let host = Host::enter();
    let bundle = Bundle::shell(&host, "bundle", "test -d /run/notify; sleep 60").write();
    let call = |verb: &str| Nucleus::new(Path::new("near"), verb).current_dir(host.path(""));
    let (id, manager) = (host.fresh_id(), host.path("manager"));
    let create = call("create").arg("--bundle").arg(bundle.path()).arg(&id).env("NOTIFY_SOCKET", manager);
    create.detached().output().assert_success();
    call("start").arg(&id).output().assert_success();
    assert_eq!(call("state").arg(&id).output().assert_success().json()["status"], "running");
    call("delete").args(["--force", &id]).output().assert_success();
    assert_eq!(fs::read_dir(host.path("near")).unwrap().count(), 0);
    host.assert_no_leak();
}

#[test]
fn what_cannot_be_executed_has_the_status_of_a_shell_in_run_and_one_in_create() {
    let host = Host::enter();
    let missing = Bundle::new(&host, "missing", &["no-such-program"]).write();
    let directory = Bundle::new(&host, "directory", &["/etc"]).write();
    for (bundle, status, words) in
        [(&missing, 127, "executable file not found in $PATH"), (&directory, 126, "permission denied")]
    {
        let run = host.nucleus("run").arg("--bundle").arg(bundle.path()).arg(host.fresh_id());
        let output = run.output().assert_code(status);
        assert!(output.stderr.contains(words), "{output}");
        let output = Container::fresh(&host).creating(bundle).output().assert_code(1);
        assert!(output.stderr.contains(words), "{output}");
    }
    host.assert_no_leak();
}

#[test]
fn the_two_readings_are_never_mixed() {
    let host = Host::enter();
    let refused = |arguments: &[&str], words: &str| {
        let output = host.nucleus("run").args(arguments).output().assert_code(125);
        assert!(output.stderr.contains(words) && output.stderr.contains("hint"), "{output}");
    };
    refused(&["--memory", "64M", "web"], "--memory");
    refused(&["--id", "a", "web"], "--id");
    refused(&["web", "--", "true"], "-- COMMAND");
    refused(&["--detach", "--", "true"], "--detach");
    refused(&["--bundle", "/b", "--", "true"], "--bundle");
    refused(&["true"], "config.json");
    host.assert_no_leak();
}

#[test]
fn a_list_shows_what_there_is_in_each_form() {
    let host = Host::enter();
    assert_eq!(host.nucleus("list").args(["--format", "json"]).output().assert_success().json(), json!([]));
    let bundle = Bundle::new(&host, "bundle", &["sleep", "60"]).write();
    let (one, two) = (Container::create(&host, &bundle), Container::create(&host, &bundle));
    two.start();
    let listed = host.nucleus("list").args(["-f", "json"]).output().assert_success().json();
    assert_eq!(listed, json!([one.state(), two.state()]));
    let quiet = host.nucleus("list").arg("-q").output().assert_success();
    assert_eq!(quiet.text(), format!("{}\n{}", one.id, two.id));
    let table = host.nucleus("list").output().assert_success();
    let rows: Vec<Vec<&str>> = table.text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    assert_eq!(rows[2][..3], [two.id.as_str(), &two.pid().to_string(), "running"]);
    one.delete();
    two.delete_by_force();
}

#[test]
fn an_unreadable_record_hides_no_other_and_is_forced_away() {
    let host = Host::enter();
    let bundle = Bundle::new(&host, "bundle", &["sleep", "60"]).write();
    let (broken, sound) = (Container::create(&host, &bundle), Container::create(&host, &bundle));
    broken.start();
    fs::write(host.root().join(&broken.id).join("state.json"), "{\"schema\": 2, \"id\"").unwrap();
    let listed = host.nucleus("list").args(["--format", "json"]).output().assert_code(0);
    assert_eq!(listed.json().as_array().map(Vec::len), Some(1), "{listed}");
    assert!(listed.stderr.contains("state.json"), "{listed}");
    for verb in ["state", "start", "delete"] {
        let output = broken.verb(verb).output().assert_code(1);
        assert!(output.stderr.contains("state.json"), "{output}");
    }
    host.nucleus("gc").output().assert_success();
    assert!(host.root().join(&broken.id).exists(), "it may still be run by an engine: gc leaves it");
    broken.delete_by_force();
    sound.delete();
    host.assert_no_leak();
}

#[test]
fn signals_are_named_and_numbered_as_anywhere() {
    let host = Host::enter();
    let script = "trap 'exit 41' USR1; : > /ready; while :; do sleep 0.02; done";
    // As process 1 of its namespace it ignores a signal before the trap is set, and any other for ever.
    let bundle = Bundle::shell(&host, "bundle", script).write();
    let ready = bundle.rootfs().join("ready");
    for signal in ["USR1", "SIGUSR1", "sigusr1", "10"] {
        let container = Container::create(&host, &bundle);
        container.start();
        while !ready.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        container.kill(signal).assert_success();
        container.wait_for("stopped");
        container.delete();
        std::fs::remove_file(&ready).unwrap();
    }
    let container = Container::create(&host, &bundle);
    let output = container.kill("SIGNOTHING").assert_code(1);
    assert!(output.stderr.contains("SIGNOTHING"), "{output}");
    container.delete();
}

#[test]
fn kill_all_reaches_every_process_also_without_a_pid_namespace() {
    let host = Host::enter();
    let bundle = Bundle::shell(&host, "bundle", "sleep 60 & sleep 60 & wait")
        .set(
            "/linux/namespaces",
            ["network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind})).to_vec(),
        )
        .write();
    let container = Container::create(&host, &bundle);
    container.start();
    let count = || host.nucleus("ps").args(["--format", "json", &container.id]).output();
    while container.state()["status"] == "running" && count_of(&count().json()) < 3 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    container.verb("kill").args(["--all", "KILL"]).output().assert_success();
    container.wait_for("stopped");
    container.delete();
    host.assert_no_leak();
}

fn count_of(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

#[test]
fn the_log_holds_the_error_in_the_form_that_engines_read() {
    let host = Host::enter();
    let log = host.path("log");
    let fail = |format: &str| {
        let call = host.nucleus("state").global("--log").global(&log).global("--log-format").global(format);
        call.arg("nobody").output().assert_code(1);
        fs::read_to_string(&log).unwrap().lines().last().unwrap().to_owned()
    };
    let line: Value = serde_json::from_str(&fail("json")).unwrap();
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().unwrap().contains("container does not exist"), "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    let line = fail("text");
    assert!(line.starts_with("time=\"20") && line.contains(" level=error msg=\"cannot find"), "{line}");
}

#[test]
fn what_engines_say_before_the_verb_is_understood() {
    let host = Host::enter();
    for flags in [&["--rootless", "auto"][..], &["--rootless=false"], &["--systemd-cgroup"], &["--debug"]] {
        let call = flags.iter().fold(host.nucleus("list"), Nucleus::global);
        call.output().assert_success();
    }
}

#[test]
fn a_bundle_that_is_none_is_named_with_what_is_wrong() {
    let host = Host::enter();
    let bundle = Bundle::new(&host, "bundle", &["true"]).write();
    let config = bundle.path().join("config.json");
    let refused = |words: &[&str]| {
        let output = Container::fresh(&host).creating(&bundle).output().assert_code(1);
        assert!(words.iter().all(|word| output.stderr.contains(word)), "{words:?}\n{output}");
    };
    for (text, words) in [
        ("", "EOF"),
        ("{\"ociVersion\": \"1.2.0\"", "EOF"),
        ("[]", "config.json"),
        ("\"text\"", "config.json"),
    ] {
        fs::write(&config, text).unwrap();
        refused(&["config.json", words]);
    }
    fs::remove_file(&config).unwrap();
    refused(&["config.json", "No such file"]);
    fs::create_dir(&config).unwrap();
    refused(&["config.json", "no regular file"]);
    let output = Container::fresh(&host).creating(&bundle).args(["--bundle", "/nowhere"]).output();
    assert_ne!(output.code(), Some(0), "{output}");
    host.assert_no_leak();
}

#[test]
fn spec_writes_a_bundle_that_runs() {
    let host = Host::enter();
    let bundle = Bundle::new(&host, "bundle", &["true"]);
    host.nucleus("spec").arg("--bundle").arg(bundle.path()).output().assert_success();
    let again = host.nucleus("spec").current_dir(bundle.path()).output().assert_code(1);
    assert!(again.stderr.contains("config.json: the file exists"), "{again}");
    let path = bundle.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(nucleus_tests::oci::violations(&config), Vec::<String>::new());
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["sh", "-c", "hostname; id -u"]);
    fs::write(&path, config.to_string()).unwrap();
    let run = host.nucleus("run").arg("--bundle").arg(bundle.path()).arg(host.fresh_id());
    assert_eq!(run.output().assert_success().text(), "nucleus\n0");
}

#[test]
fn a_state_root_that_others_may_enter_but_not_write_to_is_taken() {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::enter();
    let bundle = Bundle::new(&host, "bundle", &["true"]).write();
    fs::create_dir(host.root()).unwrap();
    for (mode, taken) in [(0o711, true), (0o755, true), (0o775, false)] {
        fs::set_permissions(host.root(), fs::Permissions::from_mode(mode)).unwrap();
        let container = Container::fresh(&host);
        let output = container.creating(&bundle).output();
        assert_eq!(output.code() == Some(0), taken, "{mode:o} {output}");
        if taken {
            container.delete();
        } else {
            assert!(output.stderr.contains("others can write to it"), "{output}");
        }
    }
}
