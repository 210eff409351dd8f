//! What a backend is to run: one value, whichever reading of the command line it comes from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nucleus_abi::{Beyond, CgroupPlacement, Client, ContainerId, NetworkNamespace, Result};

use super::hooks::Hooks;
use crate::bundle::{Bundle, GivenNetwork, MountPoints, Terminal};
use crate::plan::{AttachedPlan, Held, Plan};

/// Where a workload comes from: a profile's plan, or a bundle that an engine hands over.
pub trait Source {
    /// The backend that is to run it.
    fn client(&self) -> &Client;

    /// Whether the workload gets a terminal of its own.
    fn terminal(&self) -> Terminal;

    /// Makes it, for a container whose own bundle directory is `own`. Nobody else sees that directory yet. What must be made
    /// elsewhere are `mount_points`; `network` is what was made ready for it.
    ///
    /// # Errors
    /// What the host lacks, or what is wrong with the bundle.
    fn workload(
        &self,
        id: &ContainerId,
        own: &Path,
        mount_points: &mut MountPoints<'_>,
        network: GivenNetwork,
    ) -> Result<Workload>;

    /// Who is told of the container's life; `None` where nobody is.
    fn hooks(&self) -> Option<&Hooks> {
        None
    }

    /// The network that must be seen to; `None` where there is nothing to do: the namespace is empty, or somebody else's.
    fn network(&self) -> Option<WantedNetwork<'_>> {
        None
    }
}

/// A network that somebody must see to before the container is made.
#[derive(Debug, Clone, Copy)]
pub enum WantedNetwork<'a> {
    /// One that is to be attached.
    Attached {
        /// The plan.
        plan: &'a Plan,
        /// Its network.
        network: &'a AttachedPlan,
        /// Who makes the namespace.
        namespace: NetworkNamespace,
    },
    /// That of another container.
    Container {
        /// The plan.
        plan: &'a Plan,
        /// The other one.
        id: &'a ContainerId,
    },
}

/// All that a backend is told of a container, and what its record says of it.
#[derive(Debug)]
pub struct Workload {
    /// `config.json`, and what was opened for it.
    pub(super) bundle: Bundle,
    /// Options of the backend.
    pub(super) options: serde_json::Value,
    /// Where its groups are.
    pub(super) cgroup: Place,
    /// What goes beyond the runtime specification.
    pub(super) beyond: Beyond,
    /// For the record.
    pub(super) facts: Facts,
}

/// Where a container's groups are, and who chose it.
#[derive(Debug)]
pub(super) enum Place {
    /// We did: a place that names the container and was never there before.
    Ours(CgroupPlacement),
    /// An engine did: the ledger must say so, or undoing would take the groups for somebody else's.
    Engines(CgroupPlacement),
}

impl Place {
    pub(super) fn placement(&self) -> &CgroupPlacement {
        match self {
            Self::Ours(placement) | Self::Engines(placement) => placement,
        }
    }
}

/// What `state` tells of a container and a backend is not asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The version of the runtime specification that `config.json` names.
    pub(super) oci_version: String,
    /// The bundle's directory.
    pub(super) bundle: PathBuf,
    /// The root file system on the host.
    pub(super) rootfs: PathBuf,
    /// The annotations of `config.json`.
    pub(super) annotations: BTreeMap<String, String>,
    /// What was asked for and is not enforced.
    pub(super) warnings: Vec<String>,
    /// The plan, as `explain --format json` prints it.
    pub(super) plan: serde_json::Value,
    /// What a profile holds the container to; none for an engine's without one.
    pub(super) held: Option<Held>,
    /// Who is told of its life.
    pub(super) hooks: Option<Hooks>,
}
