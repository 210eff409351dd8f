//! A bundle that an engine hands over, as a source of a container.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nucleus_abi::{Beyond, Client, ContainerId, Error, ErrorCode, Keyring, Result};
use serde_json::value::RawValue;

use super::cgroup_path;
use super::examine::{Reading, examine};
use super::hooks::Hooks;
use super::notify;
use super::state_root::StateRoot;
use super::workload::{Facts, Place, Source, Workload};
use crate::bundle::{Bundle, Document, GivenNetwork, MountPoints, Terminal};
use crate::plan::tighten::{self, Tightened};
use crate::plan::{Bounds, Held, Sources, engine_facts, look_at_document};
use crate::plugins::Registry;
use crate::profile::Loaded;

pub use super::cgroup_path::CgroupDriver;

/// An engine's bundle and the backend that is to run it.
#[derive(Debug)]
pub struct Handed {
    client: Client,
    document: Document,
    terms: Terms,
    /// What a profile adds.
    profile: Option<UnderProfile>,
}

/// What an operator's profile makes of a bundle.
#[derive(Debug)]
struct UnderProfile {
    held: Held,
    options: serde_json::Value,
    beyond: Beyond,
    warnings: Vec<String>,
    plan: serde_json::Value,
    /// The root, the sources of bind mounts and the namespaces that were looked at: no other may be mounted or joined.
    sources: Sources,
    hooks: Option<Hooks>,
}

/// What an engine says of a container outside of its bundle.
#[derive(Debug, Default)]
pub struct Terms {
    /// Who makes its groups.
    pub cgroups: CgroupDriver,
    /// Whether it gets a session keyring of its own.
    pub keyring: Keyring,
    /// Variables that its first process gets beside those of the bundle.
    pub environment: Vec<String>,
    /// Whether a service manager wants to hear from it.
    pub audience: Audience,
}

/// Whether a service manager wants to hear from a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Audience {
    /// Nobody does.
    #[default]
    Nobody,
    /// It is to say when it is ready.
    Manager,
}

impl Handed {
    /// A bundle as it is: its `config.json` is honoured exactly, by the best backend of this program.
    ///
    /// # Errors
    /// `backend-not-found` when there is none.
    pub fn new(document: Document, registry: &Registry, terms: Terms) -> Result<Self> {
        let client = registry.best()?.clone();
        Ok(Self { client, document, terms, profile: None })
    }

    /// A bundle under a profile, which chooses the backend and bounds what `config.json` asks for.
    ///
    /// # Errors
    /// As for [`examine`]; `capability-missing` and `profile-refuses` for what the backend cannot enforce and the profile
    /// does not allow; `config-invalid`, naming the field.
    pub fn bounded(
        mut document: Document,
        loaded: &Loaded,
        registry: &Registry,
        terms: Terms,
        root: &StateRoot,
    ) -> Result<Self> {
        let examined = examine(loaded, registry, Reading::Engine, root)?;
        examined.allow()?;
        let bounds = Bounds::of(loaded, &examined.plan);
        let (tightened, sources) = tighten_document(&mut document, &bounds, root)?;
        tightened.allow(&bounds.held)?;
        let warnings = [examined.warnings(), tightened.warnings(&bounds.held)].concat();
        let plan = serde_json::json!({
            "rows": examined.rows,
            "changes": tightened.changes,
            "mounts": tightened.admitted,
        });
        let beyond = Beyond { landlock: tightened.landlock, ..Beyond::default() };
        let (options, hooks) = (examined.plan.options, examined.hooks);
        let profile =
            Some(UnderProfile { held: bounds.held, options, beyond, warnings, plan, sources, hooks });
        Ok(Self { client: examined.client, document, terms, profile })
    }

    /// What is not enforced although it was asked for.
    pub fn warnings(&self) -> &[String] {
        self.profile.as_ref().map_or(&[], |profile| &profile.warnings)
    }

    /// Its document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The `config.json` that holds: the engine's, word for word unless something must be added.
    fn effective(&self, container: &Path) -> Result<Box<RawValue>> {
        let mut environment = self.terms.environment.clone();
        let mut mounts = Vec::new();
        if self.terms.audience == Audience::Manager {
            let speaking = notify::prepare(container)?;
            environment.push(speaking.variable);
            mounts.push(speaking.mount);
        }
        self.document.with(&environment, mounts)
    }
}

impl Source for Handed {
    fn client(&self) -> &Client {
        &self.client
    }

    fn terminal(&self) -> Terminal {
        self.document.terminal
    }

    fn hooks(&self) -> Option<&Hooks> {
        self.profile.as_ref()?.hooks.as_ref()
    }

    /// Mount points that an engine's root lacks the backend makes in it, as engines expect.
    fn workload(
        &self,
        id: &ContainerId,
        own: &Path,
        _: &mut MountPoints<'_>,
        _: GivenNetwork,
    ) -> Result<Workload> {
        let (document, profile) = (&self.document, self.profile.as_ref());
        let cgroup = cgroup_path::of_engine(self.terms.cgroups, document.cgroups_path.as_deref(), id)?;
        let config = self.effective(own.parent().unwrap_or(own))?;
        keep(own, &config)?;
        let beyond = profile.map(|it| it.beyond.clone()).unwrap_or_default();
        Ok(Workload {
            bundle: Bundle {
                path: document.bundle.clone(),
                config,
                rootfs: self.root()?,
                sources: self.sources()?,
                namespaces: self.namespaces()?,
                secret_environment: None,
                warnings: Vec::new(),
            },
            options: profile.map(|it| it.options.clone()).unwrap_or_default(),
            cgroup: Place::Engines(cgroup),
            beyond: Beyond { keyring: self.terms.keyring, ..beyond },
            facts: Facts {
                oci_version: document.oci_version.clone(),
                bundle: document.bundle.clone(),
                rootfs: document.rootfs.clone(),
                annotations: document.annotations.clone(),
                warnings: self.warnings().to_vec(),
                plan: profile.map(|it| it.plan.clone()).unwrap_or_default(),
                held: profile.map(|it| it.held.clone()),
                hooks: profile.and_then(|it| it.hooks.clone()),
            },
        })
    }
}

impl Handed {
    fn sources(&self) -> Result<BTreeMap<usize, OwnedFd>> {
        let looked_at = self.profile.iter().flat_map(|profile| &profile.sources.opened);
        let copies = looked_at.map(|(mount, source)| Ok((*mount, source.try_clone()?)));
        copies.collect::<io::Result<_>>().map_err(|error| cannot_hold(&error))
    }

    fn namespaces(&self) -> Result<BTreeMap<String, OwnedFd>> {
        let looked_at = self.profile.iter().flat_map(|profile| &profile.sources.namespaces);
        let copies = looked_at.map(|(kind, namespace)| Ok((kind.clone(), namespace.try_clone()?)));
        copies.collect::<io::Result<_>>().map_err(|error| cannot_hold(&error))
    }

    fn root(&self) -> Result<Option<OwnedFd>> {
        let looked_at =
            self.profile.as_ref().and_then(|profile| profile.sources.opened_roots.values().next());
        looked_at.map(OwnedFd::try_clone).transpose().map_err(|error| cannot_hold(&error))
    }
}

fn cannot_hold(error: &io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, "hold what was opened for the bundle").because(error)
}

/// Patches the document; whatever no rule speaks of stays as the engine wrote it.
fn tighten_document(
    document: &mut Document,
    bounds: &Bounds,
    root: &StateRoot,
) -> Result<(Tightened, Sources)> {
    let invalid = |error| Error::new(ErrorCode::ConfigInvalid, "read config.json").because(error);
    let mut config = serde_json::from_str(document.json.get()).map_err(invalid)?;
    let sources = look_at_document(&config, &document.bundle, root.path());
    let facts = engine_facts(&config, &sources, &bounds.held.mounts);
    let tightened = tighten::config(&mut config, bounds, &facts)?;
    document.json = serde_json::value::to_raw_value(&config).map_err(invalid)?;
    Ok((tightened, sources))
}

/// Keeps the document that holds, where every later verb finds it: the engine's own may change or go.
fn keep(own: &Path, config: &RawValue) -> Result<()> {
    let kept = DirBuilder::new()
        .mode(0o700)
        .create(own)
        .and_then(|()| fs::write(own.join("config.json"), config.get()));
    kept.map_err(|error| {
        Error::new(ErrorCode::SystemCall, "keep the bundle's config.json").on(own.display()).because(error)
    })
}
