//! `delete` and `undo`: the runtime forgets the container, and nothing of ours is left.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nucleus_abi::{ContainerId, ContainerRequest, Done, Error, ErrorCode, Process, Result, UndoRequest};
use nucleus_linux::fault::OrFail;
use nucleus_linux::identity;
use nucleus_sys::Pid;
use nucleus_sys::pidfd::PidFd;

use crate::bundle;
use crate::call::{Call, kill_session};
use crate::ended::{self, Processes};
use crate::place::Place;
use crate::record::{Hooks, Record};
use crate::runtime::ExitSource;

/// How long a runtime that cannot delete a container is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long it is left alone in between.
const REST: Duration = Duration::from_millis(50);

/// [`nucleus_abi::Backend::delete`].
///
/// # Errors
/// `teardown`, with everything that could not be removed.
pub fn delete(request: &ContainerRequest) -> Result<Done> {
    let place = Place::of(&request.directory);
    let bundle = Record::read(&place).ok().flatten().and_then(|record| record.bundle);
    let removals = [forget(&place, &request.id), bundle::remove(bundle.as_deref()), remove(&place)];
    let failures: Vec<Error> = removals.into_iter().filter_map(Result::err).collect();
    if failures.is_empty() {
        return Ok(Done::default());
    }
    Err(Error::new(ErrorCode::Teardown, "remove the container").on(&request.id).and(failures))
}

/// [`nucleus_abi::Backend::undo`]: what the ledger of the runtime's container says is that there may be one.
///
/// # Errors
/// `teardown`.
pub fn undo(request: &UndoRequest) -> Result<Done> {
    let place = Place::of(&request.directory);
    forget(&place, &request.id)?;
    bundle::remove(bundle::of_effect(&request.document).as_deref())?;
    remove(&place).map(|()| Done::default())
}

/// Makes the runtime forget it. Nothing is left to do where the runtime's own directory is empty.
fn forget(place: &Place, id: &ContainerId) -> Result<()> {
    let Some(record) = Record::read(place)? else { return Ok(()) };
    // Left alone, a `create` that is under way would come after our `delete`.
    end_stager(record.stager, id)?;
    let first =
        record.process.map(identity::open).transpose().or_fail("look at the first process", id)?.flatten();
    if record.runtime.exits == ExitSource::Monitor && knows(place, id) {
        let processes = ended::end(place, record.process, id)?;
        if processes == Processes::Gone && record.after == Hooks::None {
            // Its files are ours to remove, and so are its groups.
            return Ok(());
        }
    }
    let mut deleted = call_delete(&record, place, id);
    reap(record.process, first.as_ref());
    // A runtime may lose the race with the kernel, which ends processes and empties groups in its own time (youki 0.7).
    let deadline = Instant::now() + PATIENCE;
    while deleted.is_err() && Instant::now() < deadline {
        thread::sleep(REST);
        deleted = call_delete(&record, place, id);
    }
    deleted
}

fn call_delete(record: &Record, place: &Place, id: &ContainerId) -> Result<()> {
    if !knows(place, id) {
        return Ok(());
    }
    match Call::new(record, place, "delete").words(["--force", id.as_str()]).run(id.as_str()) {
        Err(error) if knows(place, id) => Err(error),
        _ => Ok(()),
    }
}

/// Every runtime keeps something of the container's name below its root: a directory, or runsc's `ID_sandbox:ID.state`.
fn knows(place: &Place, id: &ContainerId) -> bool {
    place.state().join(id.as_str()).exists() || ended::record_of(place, id).exists()
}

fn end_stager(stager: Process, id: &ContainerId) -> Result<()> {
    let pid = i32::try_from(stager.pid).ok().and_then(Pid::from_raw);
    match identity::open(stager).or_fail("look at the staging process", id)?.zip(pid) {
        Some((process, pid)) => {
            kill_session(&process, pid)?;
            let _ = process.try_wait();
            Ok(())
        }
        None => Ok(()),
    }
}

/// Takes the status of one that is our child and that nobody waited for.
fn reap(process: Option<Process>, opened: Option<&PidFd>) {
    if let Some(opened) = opened {
        let _ = opened.wait_over(Some(Duration::from_secs(1)));
        let _ = opened.try_wait();
    } else if let Some(pid) = process.and_then(|it| Pid::from_raw(i32::try_from(it.pid).ok()?)) {
        // A zombie of ours keeps its id; of others it is not ours to wait for.
        let _ = PidFd::open(pid).and_then(|zombie| zombie.try_wait());
    }
}

fn remove(place: &Place) -> Result<()> {
    match fs::remove_dir_all(place.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).or_fail("remove the engine's directory", place.path().display())
        }
        _ => Ok(()),
    }
}
