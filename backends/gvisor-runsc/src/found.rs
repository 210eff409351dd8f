//! The runsc of this host: where it is, which release, and which platforms start here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_oci_cli::{ExitSource, Fault, HostAccess, RootMount, Runtime, Seal, TmpfsMode, answer, trust};

use crate::document::Document;
use crate::memory::{self, Facts, Identity};
use crate::options::{HostSockets, Options};
use crate::platform::{self, Platform};
use crate::release::{Release, is_runsc};

/// Where it is looked for: only where nobody but root can put a program.
const PLACES: [&str; 5] = [
    "/usr/local/bin/runsc",
    "/usr/bin/runsc",
    "/usr/local/libexec/runsc",
    "/usr/libexec/runsc",
    "/usr/local/sbin/runsc",
];

/// What is known of it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) program: PathBuf,
    facts: RefCell<Facts>,
}

/// One call of nucleus asks twice: what it can, and then how to call it.
static ASKED: Mutex<BTreeMap<PathBuf, Facts>> = Mutex::new(BTreeMap::new());

impl Found {
    /// Finds it, and asks for its version unless that is remembered.
    ///
    /// # Errors
    /// `host-unfit` when there is none, when others could exchange it, or when it is something else.
    pub(crate) fn look(options: &Options, memory: Option<&Path>) -> Result<Self> {
        let program = options.program.clone().map_or_else(search, Ok)?;
        let identity = Identity::of(&program)?;
        let asked = ASKED.lock().ok().and_then(|asked| asked.get(&program).cloned());
        let known = asked
            .filter(|facts| facts.identity == identity)
            .or_else(|| memory.and_then(|directory| memory::recall(directory, &identity)));
        let facts = match known {
            Some(facts) => facts,
            None => Facts::new(identity, version(&program, options)?),
        };
        let found = Self { program, facts: RefCell::new(facts) };
        found.keep();
        Ok(found)
    }

    fn keep(&self) {
        if let Ok(mut asked) = ASKED.lock() {
            asked.insert(self.program.clone(), self.facts.borrow().clone());
        }
    }

    /// Name and version, for messages.
    pub(crate) fn name(&self) -> String {
        let version = self.facts.borrow().version.clone();
        let version = version.lines().next().unwrap_or_default().trim();
        version.replacen("version ", "", 1).chars().take(64).collect()
    }

    pub(crate) fn release(&self) -> Option<Release> {
        Release::of(self.facts.borrow().version.lines().next().unwrap_or_default())
    }

    /// The platform that the options ask for, or the first that starts here.
    ///
    /// # Errors
    /// `host-unfit`, with each platform's own reason.
    pub(crate) fn platform(&self, options: &Options) -> Result<Platform> {
        let candidates = options.platform.map_or(Platform::ALL.to_vec(), |asked| vec![asked]);
        let mut reasons = Vec::new();
        for platform in candidates {
            match self.attempt(platform)? {
                None => return Ok(platform),
                Some(reason) => reasons.push(format!("{platform}: {reason}")),
            }
        }
        let error = Error::new(ErrorCode::HostUnfit, "find a platform of gVisor's that starts here")
            .on(self.name())
            .because(reasons.join("; "));
        Err(match options.platform {
            Some(_) => error.hint("`backend.options.platform: auto` takes one that does"),
            None => error,
        })
    }

    fn attempt(&self, platform: Platform) -> Result<Option<String>> {
        if let Some(outcome) = self.facts.borrow().platforms.get(&platform) {
            return Ok(outcome.clone());
        }
        let outcome = platform::attempt(&self.program, platform)?;
        self.facts.borrow_mut().platforms.insert(platform, outcome.clone());
        self.keep();
        Ok(outcome)
    }

    /// Leaves what was found out for the next call. Nothing but time depends on it.
    pub(crate) fn remember(&self, memory: Option<&Path>) {
        if let Some(directory) = memory {
            memory::store(directory, &self.facts.borrow());
        }
    }

    /// As the engine calls it: runsc takes its flags from nowhere but the command line of each verb.
    pub(crate) fn runtime(&self, options: &Options, platform: Platform, document: &Document) -> Runtime {
        let mut flags = options.arguments.clone();
        flags.extend([
            format!("--platform={platform}"),
            format!("--network={}", document.network),
            // Without this, later releases keep what is written to the root in a file that they make in the image.
            "--overlay2=none".to_owned(),
            // The filter of the document, on the workload's calls to gVisor's kernel.
            "--oci-seccomp".to_owned(),
        ]);
        if options.host_sockets == HostSockets::Open {
            flags.push("--host-uds=open".to_owned());
        }
        if document.has_raw_sockets {
            flags.push("--net-raw".to_owned());
        }
        Runtime {
            name: self.name(),
            program: self.program.clone(),
            arguments: flags,
            patience: options.timeout,
            bundles: options.bundles.clone(),
            hidden: Vec::new(),
            root: RootMount::Remounted,
            tmpfs: TmpfsMode::Asked,
            // The workload's kernel is gVisor's: no process of the host's is within its reach.
            seal: Seal::Own,
            // Its kernel gives the filter to the first process, and so to its children, and to no other.
            faults: vec![Fault::ExecUnfiltered],
            // Its monitor stays where it is made, and what it may write to is not known.
            host: HostAccess::Writable,
            exits: ExitSource::Monitor,
            lacks: ["update", "--preserve-fds", "--no-new-keyring", "--cgroup"].map(str::to_owned).into(),
        }
    }
}

fn version(program: &Path, options: &Options) -> Result<String> {
    let version = answer(program, &["--version"], options.patience())?;
    if is_runsc(&version) {
        return Ok(version);
    }
    Err(Error::new(ErrorCode::HostUnfit, "ask for `--version`")
        .on(program.display())
        .because("its answer does not begin with `runsc version`")
        .hint("`backend.options.path` must name runsc; other runtimes are the backend `oci-runtime`'s"))
}

fn search() -> Result<PathBuf> {
    trust::first_of(&PLACES).map_err(|error| {
        error.hint(
            "install gVisor (Debian: `apt install runsc`), or name it: `backend: {name: gvisor-runsc, options: {path: …}}`",
        )
    })
}
