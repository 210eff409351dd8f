//! `nucleus plugin`: looking at files, and trusting them.

use std::fs;
use std::path::Path;
use std::process::Command;

use nucleus_tests::Host;
use nucleus_tests::plugins::Plugins;

#[test]
fn info_says_what_the_note_says() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    let info = host.nucleus("plugin").args(["info", "--format", "json"]).arg(plugins.file("again")).output();
    let info = info.assert_success().json();
    assert_eq!(info["id"], "again");
    assert_eq!(info["kind"], "backend");
    assert_eq!(info["interface"], "1.0");
    let sum = Command::new("sha256sum").arg(plugins.file("again")).output().unwrap().stdout;
    assert!(String::from_utf8(sum).unwrap().starts_with(info["sha256"].as_str().unwrap()));
}

#[test]
fn list_shows_what_is_trusted_and_why_the_rest_is_not() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    let profile = host.profile(crate::DEV, &plugins.trusting("again"));
    fs::write(plugins.file("broken"), "nonsense").unwrap();
    let list = host.nucleus("plugin").profile(profile).args(["list", "--format", "json"]).output();
    let list = list.assert_success().json();
    let trust = |id: &str| {
        let lines = list.as_array().unwrap().iter();
        lines
            .filter(|line| line["id"] == id)
            .map(|line| line["trust"].as_str().unwrap().to_owned())
            .next()
            .unwrap()
    };
    assert_eq!(trust("native-namespace"), "part of nucleus");
    assert_eq!(trust("again"), "pinned by the profile");
    assert_eq!(trust("broken"), "REFUSED: it is no ELF file");
}

#[test]
fn check_refuses_what_a_profile_could_not_name() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    host.nucleus("plugin").arg("check").arg(plugins.file("again")).output().assert_success();
    let output = host.nucleus("plugin").args(["check", "/etc/passwd"]).output().assert_code(1);
    assert!(output.stderr.contains("it is no ELF file"), "{output}");
}

#[test]
fn trust_pins_the_digest_in_a_file_and_keeps_what_stands_there() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    let config = host.file("config.yaml", "# by hand\nengines: {}\n");
    let trust = host.nucleus("plugin").arg("trust").arg(plugins.file("again")).arg("--config").arg(&config);
    trust.output().assert_success();
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.starts_with("# by hand\nengines: {}\n"), "{text}");
    assert!(text.contains(&format!("again: \"{}\"", plugins.sha256("again"))), "{text}");
}

fn minisign(arguments: &[&str]) {
    let output = Command::new("minisign").args(arguments).output().expect("start minisign");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn key(host: &Host, name: &str) -> (String, String) {
    let path = |end: &str| host.path(&format!("{name}.{end}")).display().to_string();
    minisign(&["-G", "-W", "-p", &path("pub"), "-s", &path("key")]);
    (path("pub"), path("key"))
}

fn trust(host: &Host, file: &Path, key: &str) -> nucleus_tests::Output {
    let config = host.path("config.yaml");
    host.nucleus("plugin").arg("trust").arg(file).args(["--key", key, "--config"]).arg(config).output()
}

#[test]
fn a_signature_is_verified_before_anything_is_pinned() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "again");
    let file = plugins.file("again");
    let (public, secret) = key(&host, "author");
    let (stranger, _) = key(&host, "stranger");
    let missing = trust(&host, &file, &public).assert_code(1);
    assert!(missing.stderr.contains(".minisig"), "{missing}");
    minisign(&["-S", "-s", &secret, "-m", file.to_str().unwrap()]);
    let foreign = trust(&host, &file, &stranger).assert_code(1);
    assert!(foreign.stderr.contains("signature"), "{foreign}");
    assert!(!host.path("config.yaml").exists(), "nothing is pinned");
    trust(&host, &file, &public).assert_success();
    // One byte more than what was signed.
    let mut content = fs::read(&file).unwrap();
    content.push(0);
    fs::write(&file, content).unwrap();
    trust(&host, &file, &public).assert_code(1);
}
