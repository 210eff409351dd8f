//! The end of a monitored container: its sandbox and gofer are ended and reaped here, for runsc's `delete` waits seconds for what
//! is dead and not reaped, and only its parent, who is this process, could reap it.

use std::fs;
use std::time::Duration;

use nucleus_abi::{ContainerId, Process, Result};
use nucleus_linux::fault::OrFail;
use nucleus_linux::identity;
use nucleus_sys::Pid;
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::signal::Signal;
use serde_json::Value;

use crate::place::Place;

/// How long processes may take to end that have nothing to do any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a container's processes are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processes {
    Gone,
    /// Or it is not known.
    Left,
}

/// runsc's own record of a container.
pub(crate) fn record_of(place: &Place, id: &ContainerId) -> std::path::PathBuf {
    place.state().join(format!("{id}_sandbox:{id}.state"))
}

/// Kills the sandbox, and waits for it and for the gofer, which ends with it.
pub(crate) fn end(place: &Place, sandbox: Option<Process>, id: &ContainerId) -> Result<Processes> {
    // Opened first: a number that is read may belong to another process later, which is waited for then, and not killed.
    let gofer = gofer(place, id).and_then(|pid| PidFd::open(pid).ok());
    let Some(sandbox) = sandbox else { return Ok(Processes::Left) };
    let step = "end the sandbox";
    if let Some(process) = identity::open(sandbox).or_fail(step, id)? {
        let _ = process.send_signal(Signal::KILL);
        if !is_over(&process)? {
            return Ok(Processes::Left);
        }
    }
    match gofer {
        Some(gofer) if !is_over(&gofer)? => Ok(Processes::Left),
        _ => Ok(Processes::Gone),
    }
}

fn is_over(process: &PidFd) -> Result<bool> {
    let over =
        process.wait_over(Some(PATIENCE)).or_fail("wait for a process of the sandbox", "its descriptor")?;
    let _ = process.try_wait();
    Ok(over)
}

fn gofer(place: &Place, id: &ContainerId) -> Option<Pid> {
    let record: Value = serde_json::from_slice(&fs::read(record_of(place, id)).ok()?).ok()?;
    Pid::from_raw(i32::try_from(record["goferPid"].as_i64()?).ok()?)
}
