//! `checkpoint`: a container's processes as files, and what a restored container is held to.

mod kept;

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_abi::PageServer;
use nucleus_abi::{
    Afterwards, CheckpointRequest, ContainerId, Error, ErrorCode, Images, Result, SCHEMA, Status,
};
use nucleus_sys::{Mode, OFlags};

use super::delete::{Deletion, delete};
use super::exec::config_of;
use super::found::Found;
use super::operation::Operation;
use super::state_root::StateRoot;
use crate::plugins::Registry;

pub(super) use kept::Kept;

const STEP: &str = "write the container's processes into files";

/// How long processes that were written into files may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where images are, and how they are made or read.
#[derive(Debug)]
pub struct Place {
    /// Their directory.
    pub images: PathBuf,
    /// A directory for logs.
    pub work: Option<PathBuf>,
    /// The rest; the descriptors in it are filled in when the directories are opened.
    pub how: Images,
}

/// What was asked for.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where to.
    pub place: Place,
    /// What becomes of the container.
    pub afterwards: Afterwards,
    /// The images of an earlier one, relative to these.
    pub parent: Option<String>,
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
    let config = config_of(&found)?;
    Kept::of(&found.record, &config)?.write(directories.images.as_fd())?;
    let done = found.client.checkpoint(
        &CheckpointRequest {
            schema: SCHEMA,
            id: id.clone(),
            directory: found.backend_directory(),
            config,
            beyond: found.record.beyond.clone(),
            afterwards: wanted.afterwards,
            parent: wanted.parent.clone(),
            page_server: wanted.page_server.clone(),
            skip_in_flight: wanted.skip_in_flight,
            images: directories.request(&wanted.place.how, 0),
        },
        &directories.descriptors(),
    )?;
    done.warnings.iter().for_each(|warning| warn(warning));
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

/// The directories, opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) images: OwnedFd,
    work: Option<OwnedFd>,
}

impl Place {
    /// Makes what is missing of the directories.
    fn make(&self) -> Result<Opened> {
        for path in [Some(&self.images), self.work.as_ref()].into_iter().flatten() {
            let made = fs::DirBuilder::new().mode(0o700).create(path);
            made.or_else(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => Ok(()),
                _ => Err(error),
            })
            .map_err(|error| unusable(path, error))?;
        }
        self.open()
    }

    /// Opens them.
    ///
    /// # Errors
    /// `host-unfit` for a directory that is not there, or that others can write to: what lies in it becomes processes with
    /// the rights that it says.
    pub(super) fn open(&self) -> Result<Opened> {
        let open = |path: &Path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let file = rustix::fs::open(path, flags, Mode::empty())
                .map_err(|errno| unusable(path, std::io::Error::from(errno)))?;
            let file = File::from(file);
            let metadata = file.metadata().map_err(|error| unusable(path, error))?;
            let owner = metadata.uid();
            if (owner != 0 && owner != rustix::process::geteuid().as_raw()) || metadata.mode() & 0o022 != 0 {
                return Err(unusable(path, "others can write to it, and it says what rights processes have")
                    .hint("it must belong to root or to the caller, and be writable by its owner alone"));
            }
            Ok(OwnedFd::from(file))
        };
        Ok(Opened { images: open(&self.images)?, work: self.work.as_deref().map(open).transpose()? })
    }
}

impl Opened {
    /// `first` is the index of the first of [`Self::descriptors`] in the request.
    pub(super) fn request(&self, how: &Images, first: usize) -> Images {
        Images { directory: first, work: self.work.as_ref().map(|_| first + 1), ..how.clone() }
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        [Some(&self.images), self.work.as_ref()].into_iter().flatten().map(AsFd::as_fd).collect()
    }
}

fn unusable(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::HostUnfit, "use the directory of a checkpoint").on(path.display()).because(cause)
}

fn failed(error: &std::io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, STEP).because(error)
}
