//! The runtime specification's own JSON Schema, as an oracle for `config.json`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Where Debian's golang-github-opencontainers-specs-dev lays the schema. Debian 12 has version 1.0.2, which knows no time
/// namespaces: 1.1 adds them (config-linux.md, "Namespaces"), and so do we.
const SCHEMA: &str = "/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema";

const VALIDATE: &str = r"
import json, os, sys
import jsonschema
folder = sys.argv[1]
def load(name):
    document = json.load(open(os.path.join(folder, name)))
    if name == 'defs-linux.json':
        kinds = document['definitions']['NamespaceType']['enum']
        kinds += [kind for kind in ['time'] if kind not in kinds]
    return document
base = 'file://' + folder + '/'
schema = load('config-schema.json')
store = {base + name: load(name) for name in os.listdir(folder) if name.endswith('.json')}
resolver = jsonschema.RefResolver(base + 'config-schema.json', schema, store=store)
validator = jsonschema.Draft4Validator(schema, resolver=resolver)
for error in validator.iter_errors(json.load(sys.stdin)):
    print('/'.join(map(str, error.absolute_path)) + ': ' + error.message)
";

/// Lists where `config` breaks the schema; empty when it is valid.
pub fn violations(config: &Value) -> Vec<String> {
    assert!(Path::new(SCHEMA).is_dir(), "{SCHEMA} is missing: run tests/install");
    let mut python = Command::new("/usr/bin/python3")
        .args(["-W", "ignore", "-c", VALIDATE, SCHEMA])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start python3");
    let mut stdin = python.stdin.take().expect("the pipe was asked for");
    stdin.write_all(config.to_string().as_bytes()).expect("hand over config.json");
    drop(stdin);
    let output = python.wait_with_output().expect("wait for python3");
    assert!(output.status.success(), "the validator runs: python3-jsonschema is installed");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_schema_tells_right_from_wrong() {
        let right = json!({"ociVersion": "1.0.2", "process": {"cwd": "/", "args": ["/bin/true"]}, "root": {"path": "r"}});
        assert_eq!(violations(&right), Vec::<String>::new());
        let wrong =
            json!({"ociVersion": "1.0.2", "process": {"cwd": 7}, "linux": {"resources": {"pids": {}}}});
        let found = violations(&wrong).join("\n");
        assert!(found.contains("process/cwd"), "{found}");
        assert!(found.contains("linux/resources/pids"), "{found}");
    }
}
