//! The same profile on every backend of this host gives the same results.

mod cases;
mod differences;
mod escapes;
mod gvisor;
mod gvisor_cases;
mod gvisor_stand_in;
mod networks;
mod options;
mod same_profile;
mod stand_in;
mod table;

use std::path::PathBuf;

use nucleus_tests::plugins::Plugins;
use nucleus_tests::{Host, Nucleus};

use crate::DEV;

/// A backend of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Native,
    /// The native backend, loaded from its file under another name.
    Loaded,
    Crun,
    Runc,
    /// runsc of Debian 12, December 2022.
    Runsc,
    /// runsc of its backports, July 2024.
    LaterRunsc,
    /// The runtime that `NUCLEUS_TEST_OCI_RUNTIME` names.
    Named,
}

impl Backend {
    /// What the profile says of it.
    fn yaml(self, host: &Host) -> String {
        match self {
            Self::Native => "backend: native-namespace".to_owned(),
            Self::Loaded => Plugins::with(host, "again").yaml("again"),
            Self::Crun => by_runtime("/usr/bin/crun"),
            Self::Runc => by_runtime("/usr/sbin/runc"),
            Self::Runsc => by_runsc("path: /usr/bin/runsc, platform: ptrace"),
            Self::LaterRunsc => by_runsc(&format!("path: {LATER_RUNSC}, platform: systrap")),
            Self::Named => by_runtime(&named().expect("asked for before")),
        }
    }
}

/// `tests/install` unpacks it there.
const LATER_RUNSC: &str = "/usr/local/lib/nucleus-tests/runsc-20240729";

/// With the words without which neither of Debian's releases starts here.
fn by_runsc(options: &str) -> String {
    let accepted = "CVE-2023-7258, CVE-2025-2713, CVE-2024-10026, CVE-2024-10603";
    format!(
        "backend: {{name: gvisor-runsc, options: {{{options}, networkStack: host, acceptAdvisories: [{accepted}]}}}}"
    )
}

fn by_runtime(path: &str) -> String {
    format!("backend: {{name: oci-runtime, options: {{path: {path}}}}}")
}

/// A runtime that no package of Debian's has, such as youki.
fn named() -> Option<String> {
    std::env::var("NUCLEUS_TEST_OCI_RUNTIME").ok()
}

/// A backend on which a case is tried.
struct Subject {
    host: Host,
    backend: Backend,
}

impl Subject {
    fn new(backend: Backend) -> Self {
        Self { host: Host::enter(), backend }
    }

    /// The profile of the table, with more lines. Landlock is beyond every OCI runtime.
    fn profile(&self, more: &str) -> PathBuf {
        let base = format!("{}\nsecurity: {{landlock: off}}\n{more}", self.backend.yaml(&self.host));
        self.host.profile(DEV, &base)
    }

    /// `run … -- /bin/sh -c SCRIPT` under a profile with more lines.
    fn shell(&self, more: &str, script: &str) -> Nucleus {
        self.host.shell(self.profile(more), script)
    }

    /// `run … -- COMMAND…`.
    fn run(&self, command: &[&str]) -> Nucleus {
        self.host.run(self.profile(""), command)
    }

    /// What a script prints that ends well.
    #[track_caller]
    fn prints(&self, more: &str, script: &str) -> String {
        self.shell(more, script).output().assert_success().text().to_owned()
    }
}
