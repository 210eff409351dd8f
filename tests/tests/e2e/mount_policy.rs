//! `mounts.policy`: what may be mounted, whoever asks for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nucleus_tests::racer::Racer;
use nucleus_tests::{Bundle, Host, Nucleus};
use serde_json::{Value, json};

use crate::DEV;

/// A directory with a part that everybody may see and one that nobody may.
struct Data {
    path: PathBuf,
}

impl Data {
    fn lay(host: &Host) -> Self {
        let path = host.path("data").canonicalize().unwrap_or_else(|_| host.path("data"));
        for part in ["public", "secret"] {
            fs::create_dir_all(path.join(part)).unwrap();
            fs::write(path.join(part).join("file"), part).unwrap();
        }
        Self { path }
    }

    fn of(&self, part: &str) -> PathBuf {
        self.path.join(part)
    }

    /// All of the directory is allowed but for the secret part.
    fn policy(&self) -> String {
        let path = self.path.display();
        format!("mounts:\n  policy:\n    allow: [{path}/**]\n    deny: [{path}/secret/**]\n")
    }
}

fn show(host: &Host, profile: &Path, source: &Path) -> Nucleus {
    let volume = format!("{}:/shown:ro", source.display());
    host.shell(profile, "cat /shown/file").args(["--volume", &volume])
}

#[test]
fn a_denied_source_is_refused_by_rule_and_line_however_it_is_reached() {
    let host = Host::enter();
    let data = Data::lay(&host);
    let profile = host.profile(DEV, &data.policy());
    assert_eq!(show(&host, &profile, &data.of("public")).output().assert_success().text(), "public");
    symlink(data.of("secret"), host.path("link")).unwrap();
    symlink("../data/secret", data.of("inner")).unwrap();
    let denied = ["--volume", "mounts.policy.deny[0]", "secret/**", &profile.display().to_string()];
    for source in ["data/secret", "link", "data/inner", "data/public/../secret"] {
        show(&host, &profile, &host.path(source)).output().assert_refused(&denied);
    }
    // It would show what is denied below it.
    show(&host, &profile, &data.path).output().assert_refused(&["can hold what is denied", "deny[0]"]);
    show(&host, &profile, Path::new("/usr")).output().assert_refused(&["mounts.policy.allow", "/usr"]);
    host.assert_no_leak();
}

#[test]
fn explain_shows_which_rule_allows_a_mount_and_dry_run_refuses_what_run_would() {
    let host = Host::enter();
    let data = Data::lay(&host);
    let profile = host.profile(DEV, &data.policy());
    let explained = |source: &Path| {
        let volume = format!("{}:/shown:ro", source.display());
        host.nucleus("explain").profile(&profile).args(["--volume", &volume, "--format", "json"]).output()
    };
    symlink(data.of("public"), host.path("link")).unwrap();
    let json = explained(&host.path("link")).assert_success().json();
    let row = row(&json, "mounts.volumes[/shown].source");
    let said = row["value"].as_str().unwrap();
    assert!(
        said.contains("data/public, allowed by mounts.policy.allow[0]") && said.contains("/data/**"),
        "{said}"
    );
    assert_eq!(row["enforcer"]["who"], "core", "{row}");
    assert!(row["origin"].as_str().unwrap().contains(&profile.display().to_string()), "{row}");
    let refused = explained(&data.of("secret")).assert_code(1);
    assert!(refused.stderr.contains("mounts.policy.deny[0]"), "{refused}");
    let dry = show(&host, &profile, &data.of("secret")).arg("--dry-run").output();
    dry.assert_refused(&["mounts.policy.deny[0]"]);
    let missing = explained(&data.of("missing")).assert_success().json();
    let said = row_value(&missing, "mounts.volumes[/shown].source");
    assert!(said.contains("checked at start"), "{said}");
    show(&host, &profile, &data.of("missing")).output().assert_refused(&["No such file", "--volume"]);
}

fn row<'a>(json: &'a Value, field: &str) -> &'a Value {
    let mut rows = json["rows"].as_array().unwrap().iter();
    rows.find(|row| row["field"] == field).unwrap_or_else(|| panic!("no {field} in {json}"))
}

fn row_value(json: &Value, field: &str) -> String {
    row(json, field)["value"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_always_forbidden_needs_a_word_of_its_own() {
    let host = Host::enter();
    let socket = host.path("docker.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::create_dir_all(host.root()).unwrap();
    symlink("/proc", host.path("link")).unwrap();
    let state = host.root();
    let scope = state.parent().unwrap().to_owned();
    let places: [(&Path, &str); 9] = [
        (Path::new("/"), "host's root"),
        (Path::new("/proc"), "kernel"),
        (Path::new("/sys/kernel"), "kernel"),
        (Path::new("/dev"), "kernel"),
        (Path::new("/dev/kmsg"), "device"),
        (&host.path("link"), "kernel"),
        (&socket, "socket"),
        (&state, "state of nucleus"),
        (&scope, "state of nucleus"),
    ];
    for (source, word) in places {
        show(&host, Path::new(DEV), source).output().assert_refused(&["always forbidden", word, "dangerous"]);
    }
    // A word for what lies around it is none for it.
    let around = host.profile(DEV, "mounts: {policy: {dangerous: [/, /proc]}}\n");
    show(&host, &around, Path::new("/proc/sys")).output().assert_refused(&["always forbidden"]);
    let named = host.profile(DEV, "mounts: {policy: {dangerous: [/proc/sys]}}\n");
    let script = "cat /shown/kernel/ostype";
    let call = host.shell(&named, script).args(["--volume", "/proc/sys:/shown:ro"]);
    assert_eq!(call.output().assert_success().text(), "Linux");
    fs::remove_dir_all(state).unwrap();
}

#[test]
fn a_root_file_system_is_bound_too() {
    let host = Host::enter();
    let data = Data::lay(&host);
    let policy = host.profile(DEV, &data.policy());
    let root =
        |profile: &Path, path: &Path| host.run(profile, &["/bin/true"]).arg("--rootfs").arg(path).output();
    root(&policy, &data.of("secret")).assert_refused(&["mounts.policy.deny[0]", "--rootfs"]);
    for path in ["/", "/proc/self/root", "/proc"] {
        root(Path::new(DEV), Path::new(path)).assert_refused(&["always forbidden", "--rootfs"]);
    }
    let layers = format!(
        "rootfs: {{overlay: {{lower: [{}, {}]}}}}\n",
        data.of("public").display(),
        data.of("secret").display()
    );
    let profile = host.profile(DEV, &(layers + &data.policy()));
    for verb in ["run", "explain"] {
        let output = host.nucleus(verb).profile(&profile).command(["/bin/true"]).output();
        assert_ne!(output.code(), Some(0), "{output}");
        for word in ["rootfs.overlay.lower.1", "mounts.policy.deny[0]"] {
            assert!(output.stderr.contains(word), "{word}: {output}");
        }
    }
}

#[test]
fn targets_and_types() {
    let host = Host::enter();
    let data = Data::lay(&host);
    let yaml = "mounts: {tmpfs: [], policy: {allowTargets: [/shown], forbidTypes: [tmpfs]}}\n";
    let profile = host.profile(DEV, yaml);
    let call = || show(&host, &profile, &data.of("public"));
    assert_eq!(call().output().assert_success().text(), "public");
    let elsewhere = format!("{}:/elsewhere", data.of("public").display());
    call()
        .args(["--volume", &elsewhere])
        .output()
        .assert_refused(&["mounts.policy.allowTargets", "/elsewhere"]);
    let call = host.shell(&profile, "true").args(["--tmpfs", "/shown/x"]);
    call.output().assert_refused(&["mounts.policy.forbidTypes[0]", "tmpfs"]);
}

#[test]
fn an_engines_mounts_and_root_are_bound_alike() {
    let host = Host::enter();
    let data = Data::lay(&host);
    let yaml = format!("rootfs: host-runtime\n{}", data.policy());
    let profile = host.profile("configs/base.yaml", &yaml);
    let under = |profile: &Path, bundle: &Bundle| {
        host.nucleus("run").profile(profile).arg("--bundle").arg(bundle.path()).arg(host.fresh_id()).output()
    };
    let run = |bundle: &Bundle| under(&profile, bundle);
    let bundle =
        |name: &str, source: &Path| Bundle::shell(&host, name, "cat /shown/file").bind(source, "/shown");
    let allowed = bundle("allowed", &data.of("public")).write();
    assert_eq!(run(&allowed).assert_success().text(), "public");
    symlink(data.of("secret"), host.path("link")).unwrap();
    for (name, source) in [("link", host.path("link")), ("parent", data.path.clone())] {
        let bundle = bundle(name, &source).write();
        run(&bundle).assert_refused(&[
            "config.json: mounts[",
            "mounts.policy.deny[0]",
            &profile.display().to_string(),
        ]);
    }
    let rooted =
        Bundle::shell(&host, "rooted", "true").set("/root", json!({"path": data.of("secret")})).write();
    run(&rooted).assert_refused(&["config.json: root.path", "mounts.policy.deny[0]"]);
    let hosts = Bundle::shell(&host, "hosts", "true").set("/root", json!({"path": "/"})).write();
    let plain = host.profile("configs/base.yaml", "rootfs: host-runtime\n");
    under(&plain, &hosts).assert_refused(&["config.json: root.path", "host's root"]);
    host.assert_no_leak();
}

/// A source that leads to what is allowed and to what is denied by turns.
fn turning(host: &Host, data: &Data) -> Racer {
    symlink(data.of("public"), host.path("way")).unwrap();
    symlink(data.of("secret"), host.path("trap")).unwrap();
    Racer::swap(host.path("way"), host.path("trap"))
}

/// What the policy saw is what is mounted: the source is opened once.
#[test]
fn a_source_that_is_swapped_never_shows_what_is_denied() {
    let host = Host::enter();
    let data = Data::lay(&host);
    let profile = host.profile(DEV, &data.policy());
    let racer = turning(&host, &data);
    let until = Instant::now() + Duration::from_secs(20);
    let mut codes = Vec::new();
    while codes.len() < 300 && Instant::now() < until {
        let output = show(&host, &profile, &host.path("way")).output();
        match output.code() {
            Some(0) => assert_eq!(output.text(), "public", "{output}"),
            _ => assert!(output.stderr.contains("deny[0]"), "{output}"),
        }
        codes.push(output.code());
    }
    assert!(racer.swaps() > 2000, "only {} swaps", racer.swaps());
    for code in [0, 125] {
        assert!(codes.contains(&Some(code)), "some end with {code}: {codes:?}");
    }
}

/// Looks where the path leads first, and opens it then.
#[test]
fn the_trap_works_on_a_policy_that_looks_at_paths() {
    let host = Host::enter();
    let data = Data::lay(&host);
    let _racer = turning(&host, &data);
    let way = host.path("way");
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        assert!(Instant::now() < until, "nothing fell into the trap");
        let allowed = fs::canonicalize(&way).is_ok_and(|path| path.ends_with("public"));
        if allowed && fs::read_to_string(way.join("file")).is_ok_and(|text| text == "secret") {
            return;
        }
    }
}
