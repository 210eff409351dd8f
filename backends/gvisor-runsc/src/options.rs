//! The profile's options for this backend.

use std::path::PathBuf;
use std::time::Duration;

use nucleus_abi::Result;
use nucleus_oci_cli::options::{PATIENCE, arguments, invalid, mapping, seconds, text, texts, word};
use nucleus_oci_cli::trust;
use serde_json::Value;

use crate::advisories;
use crate::platform::Platform;

/// Options that were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The program, with every link resolved; `None` looks for it in the trusted directories.
    pub(crate) program: Option<PathBuf>,
    /// `None` takes the first that starts here.
    pub(crate) platform: Option<Platform>,
    /// Whose network stack the workload's sockets are.
    pub(crate) stack: Stack,
    /// Advisories that the operator accepts, by name.
    pub(crate) accepted: Vec<String>,
    /// Whether the workload may connect to sockets of the host in its volumes.
    pub(crate) host_sockets: HostSockets,
    /// Where each container's bundle is made; `None` is nucleus' own directory of the container.
    pub(crate) bundles: Option<PathBuf>,
    /// Arguments before each verb.
    pub(crate) arguments: Vec<String>,
    /// Seconds that a call may take.
    pub(crate) timeout: u64,
}

/// Whose network stack the workload's sockets are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stack {
    /// gVisor's own: the host's kernel sees frames.
    #[default]
    Sandbox,
    /// The host kernel's, in the container's network namespace: it sees the workload's socket calls.
    Host,
}

/// Sockets of the host in volumes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum HostSockets {
    /// Out of reach.
    #[default]
    Refused,
    /// The workload may connect to them.
    Open,
}

const NAMES: [&str; 8] =
    ["path", "platform", "networkStack", "acceptAdvisories", "hostUds", "bundleDir", "args", "timeout"];

/// Flags that the profile's other words decide.
const TAKEN: [&str; 10] = [
    "--platform",
    "--network",
    "--rootless",
    "--oci-seccomp",
    "--overlay",
    "--overlay2",
    "--host-uds",
    "--fsgofer-host-uds",
    "--ignore-cgroups",
    "--debug-log",
];

/// Flags that give up the isolation or the checks of the profile.
const FORBIDDEN: [&str; 2] = ["--TESTONLY-", "--allow-flag-override"];

impl Options {
    /// # Errors
    /// `profile-invalid`, naming the option; `host-unfit` for a program that others could exchange.
    pub(crate) fn read(options: &Value) -> Result<Self> {
        let options = mapping(options, crate::ID, &NAMES)?;
        let get = |name: &str| options.get(name);
        let path = get("path").map(text("path")).transpose()?;
        Ok(Self {
            program: path.map(|path| trust::program(&path)).transpose()?,
            platform: get("platform").map(word("platform", &Platform::WORDS)).transpose()?.flatten(),
            stack: get("networkStack")
                .map(word("networkStack", &[("sandbox", Stack::Sandbox), ("host", Stack::Host)]))
                .transpose()?
                .unwrap_or_default(),
            accepted: get("acceptAdvisories").map(accepted).transpose()?.unwrap_or_default(),
            host_sockets: get("hostUds")
                .map(word("hostUds", &[("none", HostSockets::Refused), ("open", HostSockets::Open)]))
                .transpose()?
                .unwrap_or_default(),
            bundles: get("bundleDir").map(directory).transpose()?,
            arguments: get("args").map(flags).transpose()?.unwrap_or_default(),
            timeout: get("timeout").map(seconds("timeout")).transpose()?.unwrap_or(PATIENCE),
        })
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn accepted(value: &Value) -> Result<Vec<String>> {
    let names = texts("acceptAdvisories")(value)?;
    match names.iter().find(|name| !advisories::is_known(name)) {
        Some(name) => Err(invalid(
            "acceptAdvisories",
            format!("`{name}` is none of the advisories that are known: {}", advisories::names()),
        )),
        None => Ok(names),
    }
}

/// What lies there decides what runs as root.
fn directory(value: &Value) -> Result<PathBuf> {
    let path = text("bundleDir")(value)?;
    trust::directory(path.as_ref()).map_err(|error| error.on(format!("`backend.options.bundleDir` ({path})")))
}

fn flags(value: &Value) -> Result<Vec<String>> {
    let flags = arguments(value, &TAKEN)?;
    let dashes = |flag: &str| format!("--{}", flag.trim_start_matches('-'));
    let forbidden = |flag: &&String| FORBIDDEN.iter().any(|name| dashes(flag).starts_with(name));
    match flags.iter().find(forbidden) {
        Some(flag) => Err(invalid("args", format!("`{flag}` gives up what the profile promises"))),
        None => Ok(flags),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nucleus_abi::ErrorCode;
    use serde_json::json;

    #[test]
    fn without_options_it_looks_for_everything_itself() {
        let options = Options::read(&Value::Null).unwrap();
        assert_eq!((options.program, options.platform, options.stack), (None, None, Stack::Sandbox));
        assert_eq!(options.host_sockets, HostSockets::Refused);
    }

    #[test]
    fn every_option_has_its_words() {
        let options = Options::read(&json!({
            "path": "/bin/sh", "platform": "kvm", "networkStack": "host", "hostUds": "open", "bundleDir": "/etc",
            "acceptAdvisories": ["CVE-2025-2713"], "args": ["--debug"], "timeout": 7
        }))
        .unwrap();
        assert_eq!(options.platform, Some(Platform::Kvm));
        assert_eq!((options.stack, options.host_sockets), (Stack::Host, HostSockets::Open));
        assert_eq!((options.accepted.len(), options.timeout), (1, 7));
        assert_eq!(options.bundles, Some("/etc".into()));
        assert_eq!(Options::read(&json!({"platform": "auto"})).unwrap().platform, None);
    }

    #[test]
    fn every_mistake_is_named() {
        for (options, words) in [
            (json!({"platfrm": "kvm"}), &["backend.options.platfrm", "platform"][..]),
            (
                json!({"platform": "kvn"}),
                &["backend.options.platform", "`kvn` is none of auto, systrap, kvm, ptrace"],
            ),
            (json!({"networkStack": true}), &["backend.options.networkStack", "no text"]),
            (json!({"acceptAdvisories": ["CVE-1"]}), &["`CVE-1`", "CVE-2025-2713"]),
            (json!({"bundleDir": "/tmp"}), &["/tmp", "can be written by everybody", "bundleDir"]),
            (json!({"bundleDir": "bundles"}), &["bundleDir", "not absolute"]),
            (json!({"bundleDir": "/etc/passwd"}), &["no directory"]),
            (json!({"args": ["-platform=kvm"]}), &["-platform=kvm", "nucleus itself"]),
            (json!({"args": ["--TESTONLY-unsafe-nonroot"]}), &["gives up what the profile promises"]),
        ] {
            let error = Options::read(&options).unwrap_err();
            assert!(matches!(error.code, ErrorCode::ProfileInvalid | ErrorCode::HostUnfit), "{error}");
            assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        }
    }
}
