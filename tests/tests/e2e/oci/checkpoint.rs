//! `checkpoint` and `restore`: their options are understood, and the answer is honest.

use nucleus_tests::{Bundle, Container, Host};

#[test]
fn every_option_is_understood_and_the_answer_says_what_is_missing() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "sleeper", &["sleep", "1000"]).write());
    container.start();
    container.wait_for("running");
    let checkpoint = [
        "--image-path=/x",
        "--work-path=/x",
        "--parent-path=/x",
        "--leave-running",
        "--tcp-established",
        "--ext-unix-sk",
        "--shell-job",
        "--lazy-pages",
        "--status-fd=3",
        "--page-server=127.0.0.1:9",
        "--file-locks",
        "--pre-dump",
        "--manage-cgroups-mode=soft",
        "--empty-ns=network",
        "--auto-dedup",
    ];
    let restore = [
        "--image-path=/x",
        "--work-path=/x",
        "--tcp-established",
        "--ext-unix-sk",
        "--shell-job",
        "--file-locks",
        "--manage-cgroups-mode=soft",
        "--bundle=/x",
        "--detach",
        "--pid-file=/x",
        "--console-socket=/x",
        "--no-subreaper",
        "--no-pivot",
        "--empty-ns=network",
        "--auto-dedup",
        "--lazy-pages",
        "--lsm-profile=apparmor:x",
        "--lsm-mount-context=x",
    ];
    for (verb, options) in [("checkpoint", &checkpoint[..]), ("restore", &restore[..])] {
        let global = host.nucleus(verb).global("--error-format").global("json");
        let output = global.args(options).arg(&container.id).output().assert_code(1);
        let error: serde_json::Value = serde_json::from_str(&output.stderr).expect("an error is a document");
        assert_eq!(error["error"]["code"], "not-supported", "{output}");
        assert_eq!(error["error"]["subject"], container.id.as_str(), "{output}");
    }
    assert_eq!(container.status(), "running", "a checkpoint that failed changes nothing");
    container.delete_by_force();
}
