//! `restore`: a new container whose processes come out of a checkpoint.

use nucleus_abi::{Client, ContainerId, ExitStatus, Result};

use super::checkpoint::{Kept, Opened, Place, finish};
use super::create::create_from;
use super::handles::Handles;
use super::making::Beginning;
use super::run::{Afterwards, run_from};
use super::state_root::StateRoot;
use super::workload::{Source, Workload};
use crate::plugins::Registry;

/// What was asked for.
#[derive(Debug)]
pub struct Restoration {
    /// Where the images are.
    pub place: Place,
    /// The label of another profile for the processes, as `TYPE:NAME`.
    pub lsm_profile: Option<String>,
    /// The label of the mounts.
    pub lsm_mount_context: Option<String>,
}

impl Restoration {
    /// Opens the images, and holds the new container to what they say of the old one.
    pub(super) fn open(&self, client: &Client, workload: &Workload) -> Result<Opened> {
        use std::os::fd::AsFd;
        let opened = self.place.open()?;
        finish(opened.images.as_fd())?;
        let kept = Kept::read(opened.images.as_fd())?;
        let backend = &client.description().id;
        kept.hold(backend, &workload.bundle.config, &workload.beyond, &workload.facts)?;
        kept.check_files(opened.images.as_fd())?;
        Ok(opened)
    }
}

/// Makes a container of a checkpoint and leaves it running.
///
/// # Errors
/// As for [`super::create()`]; `config-invalid` and `profile-refuses` where the bundle is not what the checkpoint was made of.
pub fn restore(
    restoration: &Restoration,
    source: &dyn Source,
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    handles: &Handles,
    warn: &dyn Fn(&str),
) -> Result<()> {
    handles.check()?;
    create_from(Beginning::Checkpoint(restoration), source, id, root, registry, handles, warn)
}

/// Makes a container of a checkpoint and stands by until its end, as [`super::run()`] does.
///
/// # Errors
/// As for [`restore`], or what could not be removed after it.
pub fn run_restored(
    restoration: &Restoration,
    source: &dyn Source,
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    handles: &Handles,
    warn: &dyn Fn(&str),
) -> Result<ExitStatus> {
    handles.check()?;
    let how = (handles, Afterwards::Remove);
    run_from(Beginning::Checkpoint(restoration), source, id, root, registry, how, warn)
}
