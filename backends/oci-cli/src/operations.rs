//! The verbs that only pass on: pause, resume, update, the list of processes, and what the groups count.

use std::fs;

use nucleus_abi::{
    ContainerRequest, Done, Error, ErrorCode, ProcessesReply, Reply, Result, Stats, Status, UpdateRequest,
    WatchOomReply,
};
use nucleus_linux::fault::OrFail;
use nucleus_linux::groups;

use crate::call::Call;
use crate::log;
use crate::place::Place;
use crate::record::Record;
use crate::state::{living, status};

/// [`nucleus_abi::Backend::pause`].
///
/// # Errors
/// `wrong-state`; the runtime's own reason.
pub fn pause(request: &ContainerRequest) -> Result<Done> {
    const STEP: &str = "pause the container";
    let place = Place::of(&request.directory);
    let (record, _) = living((&request.id, &place), STEP)?;
    match status(&record, &place, &request.id)? {
        Status::Paused => Ok(Done::default()),
        Status::Running => plain(&record, &place, "pause", request),
        // runsc panics, and what is not running needs no rest (runc refuses it too).
        _ => Err(Error::new(ErrorCode::WrongState, STEP).on(&request.id).because("it does not run")),
    }
}

/// [`nucleus_abi::Backend::resume`].
///
/// # Errors
/// `wrong-state`; the runtime's own reason.
pub fn resume(request: &ContainerRequest) -> Result<Done> {
    const STEP: &str = "resume the container";
    let place = Place::of(&request.directory);
    let (record, _) = living((&request.id, &place), STEP)?;
    match status(&record, &place, &request.id)? {
        Status::Paused => plain(&record, &place, "resume", request),
        _ => Err(Error::new(ErrorCode::WrongState, STEP).on(&request.id).because("it is not paused")),
    }
}

fn plain(record: &Record, place: &Place, verb: &'static str, request: &ContainerRequest) -> Result<Done> {
    Call::new(record, place, verb).words([request.id.as_str()]).run(request.id.as_str())?;
    Ok(Done::default())
}

/// [`nucleus_abi::Backend::update`].
///
/// # Errors
/// `wrong-state`; the runtime's own reason.
pub fn update(request: &UpdateRequest) -> Result<Done> {
    const STEP: &str = "change the container's limits";
    let place = Place::of(&request.directory);
    let (record, _) = living((&request.id, &place), STEP)?;
    if !record.runtime.has("update") {
        return Err(Error::new(ErrorCode::NotSupported, STEP)
            .on(&request.id)
            .because(format!("{} has no `update`", record.runtime.name)));
    }
    let file = place.of_call("resources.json");
    fs::write(&file, request.resources.get()).or_fail("write the new limits", file.display())?;
    let words = ["--resources".into(), file.clone().into_os_string(), request.id.as_str().into()];
    let updated = Call::new(&record, &place, "update").words(words).run(request.id.as_str());
    fs::remove_file(&file).or_fail("remove the new limits' file", file.display())?;
    updated.map(|_| Done::default())
}

/// [`nucleus_abi::Backend::processes`].
///
/// # Errors
/// `protocol` when the runtime's answer cannot be read; its own reason.
pub fn processes(request: &ContainerRequest) -> Result<ProcessesReply> {
    let place = Place::of(&request.directory);
    let Ok((record, _)) = living((&request.id, &place), "list the processes") else {
        return Ok(ProcessesReply::default());
    };
    let words = ["--format", "json", request.id.as_str()];
    let answer = Call::new(&record, &place, "ps").words(words).run(request.id.as_str())?;
    let mut pids: Vec<u32> = serde_json::from_slice(&answer).map_err(|error| {
        let text = log::short(&String::from_utf8_lossy(&answer));
        Error::new(ErrorCode::Protocol, format!("read the answer of {} to `ps`", record.runtime.name))
            .on(&request.id)
            .because(format!("{error}; it is `{text}`"))
    })?;
    pids.sort_unstable();
    pids.dedup();
    Ok(ProcessesReply { pids })
}

/// [`nucleus_abi::Backend::stats`]: from the groups, which are the kernel's own count.
///
/// # Errors
/// `wrong-state` when it has ended.
pub fn stats(request: &ContainerRequest) -> Result<Stats> {
    let place = Place::of(&request.directory);
    let (record, _) = living((&request.id, &place), "tell what the container uses")?;
    Ok(groups::stats(&record.cgroups))
}

/// [`nucleus_abi::Backend::watch_oom`].
///
/// # Errors
/// `wrong-state` when it has ended; `host-unfit` when nothing counts its memory.
pub fn watch_oom(request: &ContainerRequest) -> Result<Reply<WatchOomReply>> {
    const STEP: &str = "watch for the out-of-memory killer";
    let place = Place::of(&request.directory);
    let (record, _) = living((&request.id, &place), STEP)?;
    let watch = groups::watch_memory(&record.cgroups)?.ok_or_else(|| {
        Error::new(ErrorCode::HostUnfit, STEP).on(&request.id).because("none of its cgroups counts memory")
    })?;
    Ok(Reply { document: WatchOomReply { watch: 0 }, descriptors: vec![watch] })
}
