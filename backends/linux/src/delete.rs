//! `delete`: ends what still runs and removes the engine's files. The core removes the cgroups and the directory.

use std::time::Duration;

use std::path::Path;

use nucleus_abi::{ContainerRequest, Done, Error, ErrorCode, Result, Status};
use nucleus_sys::signal::Signal;

use crate::cgroups;
use crate::config::Point;
use crate::fault::{OrFail, explain};
use crate::hooks::{Moment, started};
use crate::identity;
use crate::record::{Record, remove_if_there};
use crate::start;

pub(crate) fn delete(request: &ContainerRequest) -> Result<Done> {
    let record = match Record::read(&request.directory) {
        // What an unreadable record knew stands in the ledger too, and the core undoes that.
        Err(error) if error.code != ErrorCode::RecordUnreadable => return Err(error),
        record => record.ok().flatten(),
    };
    let ended = record.as_ref().map_or(Ok(()), |record| end(record, request));
    // A container that could not be ended is not deleted, and they are called when it is.
    let unheard = if ended.is_ok() { call_hooks(record.as_ref()) } else { Vec::new() };
    let unit = record.as_ref().and_then(|record| record.unit.as_deref());
    let failures: Vec<Error> = [
        ended,
        unit.map_or(Ok(()), cgroups::stop_scope),
        remove_gate(&request.directory).or_fail("remove the start gate", &request.id),
        forget_the_start(record.as_ref(), request),
        Record::remove(&request.directory).or_fail("remove the backend's record", &request.id),
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect();
    if failures.is_empty() {
        return Ok(Done { warnings: unheard.iter().map(ToString::to_string).collect() });
    }
    Err(Error::new(ErrorCode::Teardown, "remove the container").on(&request.id).and(failures).and(unheard))
}

fn remove_gate(directory: &Path) -> std::io::Result<()> {
    remove_if_there(&start::passed(directory)).and_then(|()| remove_if_there(&start::path(directory)))
}

/// Only a container with hooks has this; of one whose record is lost nobody knows.
fn forget_the_start(record: Option<&Record>, request: &ContainerRequest) -> Result<()> {
    if record.is_some_and(|record| record.callbacks.is_none()) {
        return Ok(());
    }
    remove_if_there(&started::path(&request.directory)).or_fail("remove the start's report", &request.id)
}

/// All of them, whatever becomes of each (runtime.md, "Lifecycle", step 13).
fn call_hooks(record: Option<&Record>) -> Vec<Error> {
    let moment = Moment { status: Status::Stopped, pid: None };
    let callbacks = record.and_then(|record| record.callbacks.as_ref());
    callbacks.map(|callbacks| callbacks.call_all(Point::Poststop, moment)).unwrap_or_default()
}

/// How long a killed container may take to end. The first process of a pid namespace ends when all others have been reaped
/// (`pid_namespaces(7)`), and whoever called for an exec'd one may never do that.
const PATIENCE: Duration = Duration::from_secs(10);

fn stays(request: &ContainerRequest) -> Error {
    Error::new(ErrorCode::Teardown, "wait for the killed container")
        .on(&request.id)
        .because(format!("its first process has not ended after {} s", PATIENCE.as_secs()))
        .hint(
            "it waits for the processes of its pid namespace: one is stuck in the kernel, or was executed from outside and \
             is not reaped by its parent",
        )
}

fn end(record: &Record, request: &ContainerRequest) -> Result<()> {
    if let Some(first) =
        identity::open(record.process).or_fail("look at the container's first process", &request.id)?
    {
        match first.send_signal(Signal::KILL) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                return Err(Error::new(ErrorCode::Teardown, "kill the container")
                    .on(&request.id)
                    .because(explain(&error)));
            }
            _ => {}
        }
        // Frozen in cgroup v1, it would wait for ever.
        cgroups::let_die(&record.cgroups)?;
        let over = first.wait_over(Some(PATIENCE)).or_fail("wait for the killed container", &request.id)?;
        if !over {
            return Err(stays(request));
        }
        // Reaped if it is ours; if it is another process's child, that one does it.
        let _ = first.try_wait();
    }
    // The end of a pid namespace's first process ends all others before it is over itself.
    if record.own_pid_namespace { Ok(()) } else { cgroups::kill_all(&record.cgroups) }
}
