//! A plugin that was built when the interface was 1.0 is loaded by every later nucleus, whatever the documents have grown since.
#![cfg(target_arch = "x86_64")]

use std::fs;
use std::path::PathBuf;

use nucleus_abi::{Client, Outcome};
use nucleus_core::plugins::{Candidate, Trusted, load};
use nucleus_tests::plugins::Plugins;
use nucleus_tests::{Host, workspace};
use serde_json::json;

fn fixture() -> PathBuf {
    workspace().join("tests/fixtures/plugins/libnucleus_backend_bubblewrap.so")
}

/// As the plugin of a name, where nobody else can write.
fn installed(plugins: &Plugins<'_>) -> PathBuf {
    fs::copy(fixture(), plugins.file("bubblewrap")).unwrap();
    plugins.file("bubblewrap")
}

#[test]
fn it_runs_a_workload() {
    let host = Host::enter();
    let plugins = Plugins::new(&host);
    installed(&plugins);
    let yaml = format!("{}\nenforcement: permissive", plugins.yaml("bubblewrap"));
    let output =
        host.shell(host.profile(crate::DEV, &yaml), "echo still here; exit 6").output().assert_code(6);
    assert_eq!(output.text(), "still here", "{output}");
}

#[test]
fn it_passes_the_suite_that_has_grown_since() {
    let host = Host::enter();
    let plugins = Plugins::new(&host);
    let verdicts = super::kit::verdicts(&host, &installed(&plugins), "", "");
    super::kit::none_fails(&verdicts);
    assert!(verdicts.values().filter(|verdict| *verdict == "passed").count() >= 30, "{verdicts:?}");
}

fn loaded(host: &Host) -> Client {
    let candidate = Candidate::open(&installed(&Plugins::new(host))).unwrap();
    assert_eq!(candidate.note().surface, (1, 0));
    load(Trusted::to_be_tried(candidate)).unwrap()
}

#[test]
fn a_field_and_an_entry_that_it_does_not_know_are_passed_over() {
    let host = Host::enter();
    let client = loaded(&host);
    let grown = json!({
        "schema": 1, "asked": ["hostname", "telepathy"], "options": null, "mood": "excellent", "history": {"of": ["fields"]},
    });
    let answer = client.transport().call("report", grown.to_string().as_bytes(), &[]).unwrap();
    assert_eq!(answer.outcome, Outcome::Done, "{}", String::from_utf8_lossy(&answer.document));
    let report: nucleus_abi::CapabilityReport = serde_json::from_slice(&answer.document).unwrap();
    assert_eq!(report.entries.len(), 1, "{report:?}");
}

#[test]
fn a_verb_that_it_does_not_know_is_not_supported() {
    let host = Host::enter();
    let client = loaded(&host);
    let answer = client.transport().call("levitate", b"{\"schema\":1}", &[]).unwrap();
    assert_eq!(answer.outcome, Outcome::Failed);
    let error: nucleus_abi::Error = serde_json::from_slice(&answer.document).unwrap();
    assert_eq!(error.code, nucleus_abi::ErrorCode::NotSupported);
}
