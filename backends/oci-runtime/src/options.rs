//! The profile's options for this backend.

use std::path::PathBuf;
use std::time::Duration;

use nucleus_abi::Result;
use nucleus_oci_cli::options::{PATIENCE, arguments, mapping, seconds, text};
use nucleus_oci_cli::trust;
use serde_json::Value;

/// What is taken where no `path` is given: the first of these that is there and that only root can write to. Never what
/// `$PATH` finds.
const RUNTIMES: [&str; 6] = [
    "/usr/bin/crun",
    "/usr/bin/runc",
    "/usr/sbin/runc",
    "/usr/local/bin/crun",
    "/usr/local/bin/runc",
    "/usr/local/sbin/runc",
];

/// Options that were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The program, with every link resolved: what was checked is what is executed.
    pub(crate) program: PathBuf,
    /// Arguments before each verb.
    pub(crate) arguments: Vec<String>,
    /// Seconds that a call may take.
    pub(crate) timeout: u64,
}

const NAMES: [&str; 3] = ["path", "args", "timeout"];

impl Options {
    /// # Errors
    /// `profile-invalid`, naming the option; `host-unfit` for a program that others could exchange, and where there is none.
    pub(crate) fn read(options: &Value) -> Result<Self> {
        let options = mapping(options, crate::ID, &NAMES)?;
        let program = match options.get("path").map(text("path")).transpose()? {
            Some(path) => trust::program(&path)?,
            None => trust::first_of(&RUNTIMES).map_err(|error| {
                error.hint("install crun or runc, or name one: `backend: {name: oci-runtime, options: {path: /opt/bin/crun}}`")
            })?,
        };
        Ok(Self {
            program,
            arguments: options.get("args").map(|args| arguments(args, &[])).transpose()?.unwrap_or_default(),
            timeout: options.get("timeout").map(seconds("timeout")).transpose()?.unwrap_or(PATIENCE),
        })
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nucleus_abi::ErrorCode;
    use serde_json::json;

    #[test]
    fn a_runtime_and_its_arguments() {
        let options = Options::read(&json!({"path": "/bin/sh", "args": ["--debug"], "timeout": 5})).unwrap();
        assert_eq!(options.arguments, ["--debug"]);
        assert_eq!(options.patience(), Duration::from_secs(5));
        assert!(options.program.is_absolute());
    }

    #[test]
    fn every_mistake_is_named() {
        for (options, words) in [
            (json!([]), &["no mapping"][..]),
            (json!({"pth": "/bin/sh"}), &["backend.options.pth", "path, args, timeout"]),
            (json!({"path": 7}), &["backend.options.path", "no text"]),
            (json!({"path": "/bin/sh", "args": "--debug"}), &["backend.options.args", "no list"]),
            (json!({"path": "/bin/sh", "args": ["--root=/x"]}), &["--root=/x", "nucleus itself"]),
            (json!({"path": "/bin/sh", "timeout": 0}), &["backend.options.timeout", "seconds"]),
        ] {
            let error = Options::read(&options).unwrap_err();
            assert_eq!(error.code, ErrorCode::ProfileInvalid);
            assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        }
        let error = Options::read(&json!({"pth": "/bin/sh"})).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean `path`?"));
    }
}
