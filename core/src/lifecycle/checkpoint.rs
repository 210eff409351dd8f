//! `checkpoint`: a container's processes as files, and what a restored container is held to.

mod files;
mod kept;
mod place;
mod staging;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_abi::PageServer;
use nucleus_abi::{
    Afterwards, CheckpointRequest, ContainerId, Error, ErrorCode, Images, Result, SCHEMA, Status,
};

use super::delete::{Deletion, delete};
use super::exec::config_of;
use super::found::Found;
use super::operation::Operation;
use super::state_root::StateRoot;
use crate::plugins::Registry;

pub(super) use kept::Kept;
pub(super) use place::Opened;
pub use place::Place;
pub(super) use staging::finish;

use place::same;
use staging::Staging;

const STEP: &str = "write the container's processes into files";

/// How long processes that were written into files may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was asked for.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where to.
    pub place: Place,
    /// What becomes of the container.
    pub afterwards: Afterwards,
    /// The images of an earlier one, relative to these.
    pub parent: Option<PathBuf>,
    /// Who takes the pages.
    pub page_server: Option<PageServer>,
    /// Leave connections out that have data on the way.
    pub skip_in_flight: bool,
}

/// Writes the processes of a container into files, and removes it unless it shall go on.
///
/// # Errors
/// `container-not-found`; `wrong-state` when it neither runs nor is paused; `not-supported` for what cannot be written;
/// what the backend reports: then the container goes on.
pub fn checkpoint(
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    wanted: &Checkpoint,
    warn: &dyn Fn(&str),
) -> Result<()> {
    let found = Found::open(id, root, registry)?;
    let alone = Operation::alone(id, root)?;
    refuse_state(&found)?;
    refuse_operators(&found, root)?;
    let first = found.first_process()?.0;
    let directories = wanted.place.make()?;
    write(&found, wanted, &directories, warn).inspect_err(|_| directories.unmake())?;
    if wanted.afterwards != Afterwards::Stop {
        return Ok(());
    }
    let over = first.wait_over(Some(PATIENCE)).map_err(|error| failed(&error))?;
    drop(alone);
    if !over {
        return Err(found.wrong_state(STEP, "its first process has not ended, though all was written"));
    }
    match delete(id, root, registry, Deletion::Ended, warn) {
        // Whoever ran it in the foreground was quicker.
        Err(error) if error.code == ErrorCode::ContainerNotFound => Ok(()),
        deleted => deleted,
    }
}

/// Makes the images beside an older checkpoint, whose place they take when all is there.
fn write(found: &Found<'_>, wanted: &Checkpoint, directories: &Opened, warn: &dyn Fn(&str)) -> Result<()> {
    let config = config_of(found)?;
    let mut kept = Kept::of(&found.record, &config)?;
    if let Some(parent) = &wanted.parent {
        refuse_parent(parent, directories, found.id())?;
    }
    let staging = Staging::make(directories.images.as_fd())?;
    let prepare = || {
        kept.write(staging.directory())?;
        let parent = wanted.parent.as_deref().map(|parent| staging.link(parent)).transpose()?;
        let request = CheckpointRequest {
            schema: SCHEMA,
            id: found.id().clone(),
            directory: found.backend_directory(),
            config,
            beyond: found.record.beyond.clone(),
            afterwards: wanted.afterwards,
            parent: parent.map(ToOwned::to_owned),
            page_server: wanted.page_server.clone(),
            skip_in_flight: wanted.skip_in_flight,
            images: Images { directory: 0, work: Some(1), ..wanted.place.how.clone() },
        };
        found.client.checkpoint(&request, &[staging.directory(), directories.logs()])
    };
    let done = prepare().inspect_err(|_| staging.discard())?;
    done.warnings.iter().for_each(|warning| warn(warning));
    // From here on nothing is taken away any more: its processes may have ended.
    kept.describe(staging.directory())?;
    kept.write(staging.directory())?;
    staging.settle()
}

/// # Errors
/// `invalid-argument` for what are not images of the same container, or are those that will be replaced.
fn refuse_parent(parent: &Path, directories: &Opened, id: &ContainerId) -> Result<()> {
    let refused = |cause: String| {
        Error::new(ErrorCode::InvalidArgument, "use --parent-path").on(parent.display()).because(cause).hint(
            "name images of `checkpoint --pre-dump` by a path relative to the directory of the new ones",
        )
    };
    if parent.is_absolute() {
        return Err(refused(
            "it is absolute, and the images would not be found when they are moved".to_owned(),
        ));
    }
    let images = directories.parent(parent).map_err(|error| refused(error.cause.unwrap_or_default()))?;
    if same(images.as_fd(), directories.images.as_fd())? {
        return Err(refused("the new images take the place of those".to_owned()));
    }
    finish(images.as_fd())?;
    let earlier = Kept::read(images.as_fd()).map_err(|error| refused(error.to_string()))?;
    match earlier.id() {
        same if same == id => Ok(()),
        other => Err(refused(format!("it was made of the container {other}"))),
    }
}

fn refuse_state(found: &Found<'_>) -> Result<()> {
    match found.state()?.status {
        Status::Running | Status::Paused => Ok(()),
        Status::Creating | Status::Created => {
            Err(found.wrong_state(STEP, "container not running: its program has not been started"))
        }
        Status::Stopped => Err(found.wrong_state(STEP, "container not running")),
    }
}

/// A container of `run` without an id has no bundle but the one that goes with it.
fn refuse_operators(found: &Found<'_>, root: &StateRoot) -> Result<()> {
    if !found.record.bundle.starts_with(root.container(found.id())) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::NotSupported, STEP)
        .on(found.id())
        .because("it was made of a profile's workload, and `restore` makes containers of bundles")
        .hint("run a bundle by `nucleus --profile NAME run --bundle DIRECTORY ID`"))
}

fn failed(error: &std::io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, STEP).because(error)
}
