//! A bundle that an engine hands over, as a source of a container.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nucleus_abi::{Beyond, Client, ContainerId, Error, ErrorCode, Result};

use super::cgroup_path;
use super::workload::{Facts, Place, Source, Workload};
use crate::bundle::{Bundle, Document};
use crate::plugins::Registry;

pub use super::cgroup_path::CgroupDriver;

/// An engine's bundle and the backend that is to run it.
#[derive(Debug)]
pub struct Handed {
    client: Client,
    document: Document,
    cgroups: CgroupDriver,
}

impl Handed {
    /// A bundle as it is: its `config.json` is honoured exactly, by the best backend of this program.
    ///
    /// # Errors
    /// `backend-not-found` when there is none.
    pub fn new(document: Document, registry: &Registry, cgroups: CgroupDriver) -> Result<Self> {
        let client = registry.best()?.clone();
        Ok(Self { client, document, cgroups })
    }

    /// Its document.
    pub fn document(&self) -> &Document {
        &self.document
    }
}

impl Source for Handed {
    fn client(&self) -> &Client {
        &self.client
    }

    fn workload(&self, id: &ContainerId, own: &Path) -> Result<Workload> {
        let document = &self.document;
        let cgroup = cgroup_path::of_engine(self.cgroups, document.cgroups_path.as_deref(), id)?;
        keep(own, document)?;
        Ok(Workload {
            bundle: Bundle {
                path: document.bundle.clone(),
                config: document.json.clone(),
                rootfs: None,
                sources: BTreeMap::new(),
            },
            options: serde_json::Value::Null,
            cgroup: Place::Engines(cgroup),
            beyond: Beyond::default(),
            facts: Facts {
                oci_version: document.oci_version.clone(),
                bundle: document.bundle.clone(),
                rootfs: document.rootfs.clone(),
                annotations: document.annotations.clone(),
                warnings: Vec::new(),
                plan: serde_json::Value::Null,
            },
        })
    }
}

/// Keeps the document that holds, where every later verb finds it: the engine's own may change or go.
fn keep(own: &Path, document: &Document) -> Result<()> {
    let kept = DirBuilder::new()
        .mode(0o700)
        .create(own)
        .and_then(|()| fs::write(own.join("config.json"), document.json.get()));
    kept.map_err(|error| {
        Error::new(ErrorCode::SystemCall, "keep the bundle's config.json").on(own.display()).because(error)
    })
}
