//! A container that exists, found by its id: its record, and the backend that made it.

use std::path::PathBuf;

use nucleus_abi::{
    Client, ContainerId, ContainerRequest, Error, ErrorCode, Result, SCHEMA, StateReply, Stats, Status,
};
use nucleus_sys::pidfd::PidFd;
use rustix::process::Pid;

use super::container::not_found;
use super::owners;
use super::process;
use super::record::{Record, Supervision};
use super::state_root::StateRoot;
use crate::plugins::Registry;

/// A container that exists.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// What is known of it.
    pub(super) record: Record,
    /// Its backend.
    pub(super) client: Client,
    root: &'a StateRoot,
    directory: PathBuf,
}

impl<'a> Found<'a> {
    /// Finds a container. Takes no lock.
    ///
    /// # Errors
    /// `container-not-found`; `wrong-state` while it is being made; `record-unreadable`; `backend-not-found`; `host-unfit`
    /// for a state root that others can write to.
    pub(super) fn open(id: &ContainerId, root: &'a StateRoot, registry: &'a Registry) -> Result<Self> {
        root.check_existing()?;
        let directory = root.container(id);
        let Some(record) = Record::read(&directory)? else {
            return Err(if directory.is_dir() { unfinished(id) } else { not_found(root, id) });
        };
        let client = record.client(&directory, registry)?;
        Ok(Self { record, client, root, directory })
    }

    /// Finds a container whose first process lives.
    ///
    /// # Errors
    /// As for [`Found::open`]; `wrong-state` when it has ended, so that `step` cannot be done.
    pub(super) fn alive(
        id: &ContainerId,
        root: &'a StateRoot,
        registry: &'a Registry,
        step: &'static str,
    ) -> Result<Self> {
        let found = Self::open(id, root, registry)?;
        found.refuse_ended(step)?;
        Ok(found)
    }

    /// Refuses one whose first process does not live.
    ///
    /// # Errors
    /// `wrong-state`.
    pub(super) fn refuse_ended(&self, step: &'static str) -> Result<()> {
        match self.state()?.status {
            Status::Created | Status::Running | Status::Paused => Ok(()),
            Status::Creating | Status::Stopped => Err(self.wrong_state(step, "container not running")),
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> &ContainerId {
        &self.record.id
    }

    /// What the backend wants to hear with most verbs.
    pub(super) fn request(&self) -> ContainerRequest {
        ContainerRequest { schema: SCHEMA, id: self.record.id.clone(), directory: self.backend_directory() }
    }

    /// Where the backend keeps what it must remember.
    pub(super) fn backend_directory(&self) -> PathBuf {
        self.directory.join("backend")
    }

    /// The effective `config.json`.
    pub(super) fn config_path(&self) -> PathBuf {
        self.directory.join("bundle").join("config.json")
    }

    /// What it is doing. One that somebody still makes for an engine is `creating`, whatever its backend says.
    ///
    /// # Errors
    /// The backend's.
    pub(super) fn state(&self) -> Result<StateReply> {
        let state = self.client.state(&self.request())?;
        if state.status == Status::Created && self.is_being_made() {
            return Ok(StateReply { status: Status::Creating, ..state });
        }
        Ok(state)
    }

    fn is_being_made(&self) -> bool {
        let has_note = |owner| owners::has_note(self.root, owner, &self.record.id);
        self.record.supervision == Supervision::Nobody
            && self.record.owner.is_some_and(|owner| has_note(owner) && process::is_alive(owner))
    }

    /// What it uses.
    ///
    /// # Errors
    /// The backend's.
    pub(super) fn stats(&self) -> Result<Stats> {
        self.client.stats(&self.request())
    }

    /// Its first process, and that process's id.
    ///
    /// # Errors
    /// `wrong-state` when it has ended; `not-supported` where the backend has no process to name.
    pub(super) fn first_process(&self) -> Result<(PidFd, u32)> {
        const STEP: &str = "watch the container's first process";
        let ended = || self.wrong_state(STEP, "container not running");
        let number = self.state()?.pid.ok_or_else(|| {
            Error::new(ErrorCode::NotSupported, STEP)
                .on(&self.record.id)
                .because("its backend has no process to name")
        })?;
        let pid = i32::try_from(number).ok().and_then(Pid::from_raw).ok_or_else(ended)?;
        let pidfd = PidFd::open(pid).map_err(|_| ended())?;
        // The number can have passed to a stranger before the descriptor was open, but not if it is still the container's.
        match self.state()? {
            StateReply { pid: Some(now), status } if now == number && status != Status::Stopped => {
                Ok((pidfd, number))
            }
            _ => Err(ended()),
        }
    }

    /// The container does not allow `step` in the state that it is in.
    pub(super) fn wrong_state(&self, step: &'static str, cause: &str) -> Error {
        Error::new(ErrorCode::WrongState, step).on(&self.record.id).because(cause)
    }
}

fn unfinished(id: &ContainerId) -> Error {
    Error::new(ErrorCode::WrongState, "use the container")
        .on(id)
        .because("its creation has not come so far as to be recorded")
        .hint("if nobody is making it, `nucleus gc` removes what is left of it")
}

/// A status as the runtime specification writes it.
pub(super) fn name(status: Status) -> &'static str {
    match status {
        Status::Creating => "creating",
        Status::Created => "created",
        Status::Running => "running",
        Status::Paused => "paused",
        Status::Stopped => "stopped",
    }
}
