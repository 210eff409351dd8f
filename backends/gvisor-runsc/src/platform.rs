//! How gVisor gets hold of the workload's system calls, and whether that works here.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use nucleus_abi::Result;
use nucleus_oci_cli::trial;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A platform of gVisor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Platform {
    /// By seccomp and signals; since 2023.
    Systrap,
    /// By hardware virtualisation.
    Kvm,
    /// By ptrace(2): everywhere, and slow.
    Ptrace,
}

/// How long a container of a trial may take. A platform that takes longer hangs (kvm on some hosts).
const PATIENCE: Duration = Duration::from_secs(4);

impl Platform {
    /// The words of the option.
    pub(crate) const WORDS: [(&'static str, Option<Self>); 4] = [
        ("auto", None),
        ("systrap", Some(Self::Systrap)),
        ("kvm", Some(Self::Kvm)),
        ("ptrace", Some(Self::Ptrace)),
    ];

    /// In the order in which `auto` tries them.
    pub(crate) const ALL: [Self; 3] = [Self::Systrap, Self::Kvm, Self::Ptrace];

    /// The word of `--platform`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Systrap => "systrap",
            Self::Kvm => "kvm",
            Self::Ptrace => "ptrace",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Runs a container on the platform: runsc's own program, which is static, tells its version inside. Returns why that failed, if
/// it did.
pub(crate) fn attempt(program: &Path, platform: Platform) -> Result<Option<String>> {
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": [program, "--version"], "env": [], "cwd": "/"},
        "root": {"path": "/", "readonly": true},
        "mounts": [],
        "linux": {"namespaces": (["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind})))},
    });
    let flags = [
        format!("--platform={platform}"),
        "--network=none".to_owned(),
        "--overlay2=none".to_owned(),
        "--ignore-cgroups".to_owned(),
    ];
    trial(program, &flags, &config.to_string(), PATIENCE)
}
