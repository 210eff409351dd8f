//! The profile's options for this backend.

use std::path::PathBuf;
use std::time::Duration;

use nucleus_abi::{Error, ErrorCode, Result};
use serde_json::{Map, Value};

use crate::trust;

/// How long a call of the runtime may take unless the profile says otherwise, in seconds.
const PATIENCE: u64 = 30;
/// The longest that can be asked for, in seconds.
const LONGEST: u64 = 3600;

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

/// Arguments that the engine gives itself.
const TAKEN: [&str; 4] = ["--root", "--log", "--log-format", "--systemd-cgroup"];

impl Options {
    /// # Errors
    /// `profile-invalid`, naming the option; `host-unfit` for a program that others could exchange, and where there is none.
    pub(crate) fn read(options: &Value) -> Result<Self> {
        let empty = Map::new();
        let options = match options {
            Value::Object(options) => options,
            Value::Null => &empty,
            other => return Err(invalid("options", format!("`{other}` is no mapping of names to values"))),
        };
        if let Some(unknown) = options.keys().find(|name| !NAMES.contains(&name.as_str())) {
            return Err(self::unknown(unknown));
        }
        let program = match options.get("path").map(text("path")).transpose()? {
            Some(path) => trust::program(&path)?,
            None => trust::first_of(&RUNTIMES)?,
        };
        Ok(Self {
            program,
            arguments: options.get("args").map(arguments).transpose()?.unwrap_or_default(),
            timeout: options.get("timeout").map(timeout).transpose()?.unwrap_or(PATIENCE),
        })
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn invalid(option: &str, cause: String) -> Error {
    Error::new(ErrorCode::ProfileInvalid, "use the backend's options")
        .on(format!("backend.options.{option}"))
        .because(cause)
}

fn unknown(name: &str) -> Error {
    let error = invalid(name, format!("`oci-runtime` has the options {}", NAMES.join(", ")));
    let distance = |known: &&str| strsim::damerau_levenshtein(name, known);
    match NAMES.into_iter().min_by_key(distance).filter(|known| distance(known) <= 2) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

fn text(option: &'static str) -> impl Fn(&Value) -> Result<String> {
    move |value| {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| invalid(option, format!("`{value}` is no text")))
    }
}

fn arguments(value: &Value) -> Result<Vec<String>> {
    let list = value.as_array().ok_or_else(|| invalid("args", format!("`{value}` is no list")))?;
    let arguments: Vec<String> = list.iter().map(text("args")).collect::<Result<_>>()?;
    let name = |argument: &str| argument.split('=').next().unwrap_or_default().to_owned();
    match arguments.iter().find(|argument| TAKEN.contains(&name(argument).as_str())) {
        Some(taken) => Err(invalid("args", format!("`{taken}` is given by nucleus itself"))),
        None => Ok(arguments),
    }
}

fn timeout(value: &Value) -> Result<u64> {
    let seconds = value.as_u64().filter(|seconds| (1..=LONGEST).contains(seconds));
    seconds
        .ok_or_else(|| invalid("timeout", format!("`{value}` is no number of seconds from 1 to {LONGEST}")))
}

#[cfg(test)]
mod tests {
    use super::*;
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
