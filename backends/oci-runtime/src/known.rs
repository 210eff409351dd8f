//! What a runtime is: its name and version, by its own word (`--version`).

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::OnceLock;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_linux::groups;
use nucleus_oci_cli::{ExitSource, Fault, HostAccess, RootMount, Runtime, Seal, TmpfsMode, answer};
use serde_json::Value;

use crate::features;
use crate::options::Options;

/// A runtime whose ways are known, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    Crun,
    Runc,
    Youki,
    Other,
}

/// What a runtime says of itself.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) make: Make,
    /// Name and version: `crun 1.8.1`.
    pub(crate) name: String,
    /// All that `--version` prints.
    pub(crate) version: String,
    options: Options,
    features: OnceCell<Option<Value>>,
}

impl Known {
    /// Asks it.
    ///
    /// # Errors
    /// `host-unfit` when it does not answer.
    pub(crate) fn ask(options: &Options) -> Result<Self> {
        let version = version(options)?;
        let (make, name) = identify(&version).ok_or_else(|| {
            Error::new(ErrorCode::HostUnfit, "ask for `--version`")
                .on(options.program.display())
                .because("its answer names no version")
                .hint("`backend.options.path` must name an OCI runtime, such as /usr/bin/crun")
        })?;
        Ok(Self { make, name, version, options: options.clone(), features: OnceCell::new() })
    }

    /// What its `features` verb says (features.md), where it has one. Asked once, and only where it decides something.
    pub(crate) fn features(&self) -> Option<&Value> {
        self.features.get_or_init(|| features::ask(&self.options).ok()).as_ref()
    }

    /// As the engine calls it.
    pub(crate) fn into_runtime(self, options: &Options) -> Runtime {
        Runtime {
            hidden: self.hidden(),
            root: self.root(),
            tmpfs: self.tmpfs(),
            seal: self.seal(),
            faults: self.faults(),
            bundles: None,
            host: self.host(),
            exits: ExitSource::Process,
            lacks: Vec::new(),
            name: self.name,
            program: options.program.clone(),
            arguments: options.arguments.clone(),
            patience: options.timeout,
        }
    }

    /// Measured; of others it is not known.
    pub(crate) fn root(&self) -> RootMount {
        match self.make {
            Make::Runc => RootMount::Kept,
            Make::Crun | Make::Youki | Make::Other => RootMount::Remounted,
        }
    }

    /// The engine does it well for any release of runc; 1.1.10 mended it.
    fn tmpfs(&self) -> TmpfsMode {
        match self.make {
            Make::Runc => TmpfsMode::OfDirectory,
            Make::Crun | Make::Youki | Make::Other => TmpfsMode::Asked,
        }
    }

    /// crun and runc seal themselves (CVE-2019-5736); of others it is not known.
    pub(crate) fn seal(&self) -> Seal {
        match self.make {
            Make::Crun | Make::Runc => Seal::Own,
            Make::Youki | Make::Other => Seal::Mount,
        }
    }

    /// runc makes names by path (CVE-2026-41579), and crun did (CVE-2026-47766). What others write to is not known.
    fn host(&self) -> HostAccess {
        match self.make {
            Make::Crun | Make::Runc => HostAccess::ReadOnly,
            Make::Youki | Make::Other => HostAccess::Writable,
        }
    }

    /// youki's were measured with 0.7.0; of others nothing is known.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        match self.make {
            Make::Crun | Make::Runc => Vec::new(),
            Make::Youki | Make::Other => vec![Fault::LoopbackDown, Fault::ExecUnfiltered],
        }
    }

    /// crun refuses a host on which cgroup v2 has controllers beside cgroup v1 ("cgroups in hybrid mode not supported"). It
    /// need not see that hierarchy: limits are set where the controllers of v1 are.
    fn hidden(&self) -> Vec<PathBuf> {
        match self.make {
            Make::Crun => groups::unified_with_controllers().into_iter().collect(),
            Make::Runc | Make::Youki | Make::Other => Vec::new(),
        }
    }
}

/// One call of nucleus asks the same program twice: what it can, and then how to call it.
static ASKED: OnceLock<(PathBuf, String)> = OnceLock::new();

fn version(options: &Options) -> Result<String> {
    if let Some((_, version)) = ASKED.get().filter(|(program, _)| *program == options.program) {
        return Ok(version.clone());
    }
    let version = answer(&options.program, &["--version"], options.patience())?;
    // Another program's answer may be there already: then this one is asked anew each time.
    let _ = ASKED.set((options.program.clone(), version.clone()));
    Ok(version)
}

/// The make and the name with its version, from `crun version 1.8.1`, `youki version: 0.3.0` or `foo 1.2`.
fn identify(text: &str) -> Option<(Make, String)> {
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    let mut words = first.split_whitespace().filter(|word| word.trim_end_matches(':') != "version");
    let (name, version) = (words.next()?, words.next()?);
    if !version.contains(|one: char| one.is_ascii_digit()) || version.len() > 64 || name.len() > 64 {
        return None;
    }
    let make = match name {
        "crun" => Make::Crun,
        "runc" => Make::Runc,
        "youki" => Make::Youki,
        _ => Make::Other,
    };
    Some((make, format!("{name} {version}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_name_themselves_in_several_ways() {
        let of = |text| identify(text).unwrap();
        assert_eq!(of("crun version 1.8.1\ncommit: f8\n"), (Make::Crun, "crun 1.8.1".to_owned()));
        assert_eq!(of("runc version 1.1.5+ds1\n"), (Make::Runc, "runc 1.1.5+ds1".to_owned()));
        assert_eq!(of("youki version: 0.3.0\n"), (Make::Youki, "youki 0.3.0".to_owned()));
        assert_eq!(of("\nours 2\n"), (Make::Other, "ours 2".to_owned()));
    }

    #[test]
    fn what_names_no_version_is_no_runtime() {
        for text in ["", "usage: true", "hello", &format!("x {}", "1".repeat(100))] {
            assert_eq!(identify(text), None, "{text}");
        }
    }
}
