//! Hook plugins that are programs: they hear of a container's life, may refuse it, and what they do wrong costs one clear error.

mod engines;
mod misbehaviour;
mod plan;
mod shipped;
mod telling;
mod trust;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use nucleus_tests::Host;
use serde_json::Value;

/// A hook in Python; `body` is what it does at an event, with `point` and `document` at hand, and leaves its reply in `reply`.
const HOOK: &str = r#"#!/usr/bin/python3
import json, os, signal, socket, sys, time
here = socket.socket(fileno=3)
stream = here.makefile("rwb")
def answer(document, outcome="done"):
    stream.write(json.dumps({"outcome": outcome, "document": document}).encode() + b"\n")
    stream.flush()
for line in stream:
    question = json.loads(line)
    document = question["document"]
    if question["verb"] == "describe":
        answer({"id": "probe", "kind": "hook", "version": "1", "schemas": [1, 1]})
        continue
    point, options, reply = document["point"], document["options"], {}
BODY
    answer(reply)
"#;

/// The hook `probe`, in a directory of the test.
struct Probe<'h> {
    host: &'h Host,
    file: PathBuf,
}

impl<'h> Probe<'h> {
    fn new(host: &'h Host, body: &str) -> Self {
        let body: Vec<String> = body.lines().map(|line| format!("    {line}")).collect();
        Self::of(host, &HOOK.replace("BODY", &body.join("\n")))
    }

    /// The hook as a program of this text.
    fn of(host: &'h Host, text: &str) -> Self {
        let directory = host.path("hooks");
        fs::create_dir_all(&directory).expect("make a directory");
        let file = directory.join("nucleus-hook-probe");
        fs::write(&file, text).expect("write the hook");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("make it executable");
        Self { host, file }
    }

    fn digest(&self) -> String {
        let output = Command::new("sha256sum").arg(&self.file).output().expect("run sha256sum");
        String::from_utf8_lossy(&output.stdout)[..64].to_owned()
    }

    /// A profile that names it; `more` are fields of its entry.
    fn profile(&self, more: &str) -> PathBuf {
        self.under(crate::DEV, more)
    }

    fn under(&self, parent: &str, more: &str) -> PathBuf {
        let directory = self.file.parent().expect("a directory").display();
        let digest = self.digest();
        self.host.profile(
            parent,
            &format!(
                "hooks: [{{plugin: probe{more}}}]\nplugins: {{path: [{directory}], trust: {{sha256: {{probe: \"{digest}\"}}}}}}"
            ),
        )
    }

    /// A hook that writes each request into a file, a line each.
    fn recorder(host: &'h Host) -> (Self, PathBuf) {
        let log = host.path("log");
        let body = format!(
            "with open({:?}, 'a') as log: log.write(json.dumps(document) + '\\n')",
            log.display().to_string()
        );
        (Self::new(host, &body), log)
    }
}

/// What a recorder wrote.
fn requests(log: &std::path::Path) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a request")).collect()
}

fn points(log: &std::path::Path) -> Vec<String> {
    requests(log).iter().map(|request| request["point"].as_str().expect("a point").to_owned()).collect()
}
