//! `exec`: another process in the container.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nucleus_abi::{
    Descriptors, Error, ErrorCode, ExecReply, ExecRequest, Reply, Result, Shortfall, Status, WhenPaused,
};
use nucleus_linux::fault::OrFail;
use nucleus_sys::Pid;
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::process;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::call::{Call, Streams, failed, null};
use crate::console::{self, Console};
use crate::monitor;
use crate::place::Place;
use crate::record::Record;
use crate::runtime::{ExitSource, Fault};
use crate::state::{living, status};
use crate::{log, reason};

const STEP: &str = "execute a process in the container";

/// How often a paused container is looked at until it is resumed.
const REST: Duration = Duration::from_millis(20);

/// [`nucleus_abi::Backend::exec`].
///
/// # Errors
/// `wrong-state`; `capability-missing` where the process would have less of what the profile promises; `command-not-found` and `command-not-executable` where the runtime tells of the program; its own reason.
pub fn exec(request: &ExecRequest, descriptors: Descriptors<'_>) -> Result<Reply<ExecReply>> {
    let place = Place::of(&request.directory);
    if let Some(controller) = request.cgroups.keys().next() {
        return Err(Error::new(ErrorCode::NotSupported, STEP)
            .on(format!("--cgroup {controller}:…"))
            .because("not every OCI runtime has groups for single controllers"));
    }
    let (record, _) = living((&request.id, &place), STEP)?;
    let warnings = unfiltered(&record, request)?;
    refuse_what_it_lacks(&record, request)?;
    allow(&record, &place, request)?;
    process::become_subreaper().or_fail("become the process's parent", &request.id)?;
    let files = Files::make(&place, request)?;
    let process: serde_json::Value = serde_json::from_str(request.process.get())
        .map_err(|error| Error::new(ErrorCode::ConfigInvalid, STEP).on("process").because(error))?;
    let console =
        if process["terminal"] == true { Some(Console::listen(&place, &files.console)?) } else { None };
    let executed = execute(request, (&record, &place), (&files, console.as_ref()), descriptors);
    let executed = executed.map(|mut reply| {
        reply.document.warnings = warnings;
        reply
    });
    executed.map_err(|error| {
        reap_orphans();
        match process.pointer("/args/0").and_then(serde_json::Value::as_str) {
            Some(program) if error.subject.is_none() => error.on(program),
            _ => error,
        }
    })
}

/// The profile's field that does not hold then.
const UNFILTERED: &str = "security.seccomp";

/// A process without the container's filter is refused, or told of.
fn unfiltered(record: &Record, request: &ExecRequest) -> Result<Vec<String>> {
    if !(record.filtered && record.runtime.has_fault(Fault::ExecUnfiltered)) {
        return Ok(Vec::new());
    }
    let cause = format!(
        "the `exec` of {} does not apply the container's system call filter, or is not known to",
        record.runtime.name
    );
    match request.shortfall {
        Shortfall::Refuse => Err(Error::new(ErrorCode::CapabilityMissing, STEP)
            .on(UNFILTERED)
            .because(cause)
            .hint("`enforcement: permissive` lets it run without; native-namespace, crun and runc apply the filter")),
        Shortfall::Tell => Ok(vec![format!("`{UNFILTERED}` does not hold for this process: {cause}")]),
    }
}

/// What the specification's command line has and this runtime has not.
fn refuse_what_it_lacks(record: &Record, request: &ExecRequest) -> Result<()> {
    let wanted = [("--preserve-fds", !request.extra.is_empty()), ("--cgroup", request.cgroup.is_some())];
    match wanted.into_iter().find(|(word, wanted)| *wanted && !record.runtime.has(word)) {
        None => Ok(()),
        Some((word, _)) => Err(Error::new(ErrorCode::NotSupported, STEP)
            .on(word)
            .because(format!("{} has no such option", record.runtime.name))),
    }
}

/// A runtime may execute in a paused container, and hang.
fn allow(record: &Record, place: &Place, request: &ExecRequest) -> Result<()> {
    loop {
        let cause = match (status(record, place, &request.id)?, request.when_paused) {
            (Status::Running | Status::Created, _) => return Ok(()),
            (Status::Paused, WhenPaused::Wait) => {
                std::thread::sleep(REST);
                continue;
            }
            (Status::Paused, WhenPaused::Refuse) => "it is paused",
            (Status::Creating | Status::Stopped, _) => "it does not run",
        };
        return Err(Error::new(ErrorCode::WrongState, STEP).on(&request.id).because(cause));
    }
}

/// How long what a failed call left may take to end.
const LAST_RESPITE: Duration = Duration::from_secs(1);

/// What the runtime began to execute has become our child. It has ended or is about to; unless somebody takes its status, the
/// first process of its pid namespace cannot end (`pid_namespaces(7)`).
fn reap_orphans() {
    let deadline = Instant::now() + LAST_RESPITE;
    while let Ok(ended) = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        if ended.is_none() {
            if Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Files of this call.
struct Files {
    process: PathBuf,
    pid: PathBuf,
    console: String,
    /// The directory of the monitor's log.
    log: PathBuf,
}

impl Files {
    fn make(place: &Place, request: &ExecRequest) -> Result<Self> {
        let of_call = |name| place.of_call(name);
        let console = of_call("exec-console").file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files = Self {
            process: of_call("process.json"),
            pid: of_call("exec-pid"),
            console,
            log: of_call("exec-log"),
        };
        fs::write(&files.process, request.process.get())
            .or_fail("write the process's description", files.process.display())?;
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.process);
        let _ = fs::remove_file(&self.pid);
        let _ = fs::remove_dir_all(&self.log);
    }
}

fn execute(
    request: &ExecRequest,
    (record, place): (&Record, &Place),
    (files, console): (&Files, Option<&Console>),
    descriptors: Descriptors<'_>,
) -> Result<Reply<ExecReply>> {
    let extra: Vec<BorrowedFd<'_>> =
        request.extra.iter().map(|index| descriptors.get(*index)).collect::<Result<_>>()?;
    let directory = console.map(|_| console::directory(place)).transpose()?;
    let directory = directory
        .map(|directory| process::out_of_the_way(directory.as_fd(), extra.len()))
        .transpose()
        .or_fail("make room for the process's descriptors", &request.id)?;
    let mut words: Vec<OsString> = ["--detach", "--process"].map(Into::into).to_vec();
    words.extend([files.process.clone().into(), "--pid-file".into(), files.pid.clone().into()]);
    if let Some(directory) = &directory {
        words.extend(["--console-socket".into(), console::path_in(directory, &files.console).into()]);
    }
    if !extra.is_empty() {
        words.extend(["--preserve-fds".into(), extra.len().to_string().into()]);
    }
    if let Some(group) = &request.cgroup {
        words.extend(["--cgroup".into(), group.into()]);
    }
    words.push(request.id.as_str().into());
    let null = null()?;
    let standard = if console.is_some() {
        [null.as_fd(); 3]
    } else {
        let [input, output, error] = request.stdio;
        [descriptors.get(input)?, descriptors.get(output)?, descriptors.get(error)?]
    };
    let kept = directory.iter().map(AsFd::as_fd).collect();
    let monitored = with_log(record, &files.log)?;
    let call = Call::new(&monitored, place, "exec").words(words);
    let outcome = call.end(&Streams::Given { standard, extra, kept })?;
    if let Some(cause) = outcome.failure(record.runtime.patience) {
        return Err(cannot_execute(record, request, &cause));
    }
    let (pid, pidfd) = process_of(files, record, request)?;
    if record.runtime.exits == ExitSource::Monitor {
        let log = monitor::of_exec(place, pid);
        fs::rename(&files.log, &log).or_fail("keep the log of the process", log.display())?;
    }
    let console = console.map(|console| console.receive(request.id.as_str())).transpose()?;
    if let Some(console) = &console {
        let size = serde_json::from_str(request.process.get()).ok().as_ref().and_then(console::size);
        console::resize(console, size, request.id.as_str())?;
    }
    let document = ExecReply {
        pid: Some(pid.as_raw_nonzero().get().cast_unsigned()),
        wait: 0,
        failure: None,
        console: console.as_ref().map(|_| 1),
        warnings: Vec::new(),
    };
    Ok(Reply { document, descriptors: [OwnedFd::from(pidfd)].into_iter().chain(console).collect() })
}

/// The record, with the place where the monitor writes how the process ended.
fn with_log(record: &Record, log: &Path) -> Result<Record> {
    let mut record = record.clone();
    if record.runtime.exits == ExitSource::Monitor {
        DirBuilder::new().mode(0o700).create(log).or_fail("make a directory", log.display())?;
        record.runtime.arguments.push(monitor::flag(log));
    }
    Ok(record)
}

fn cannot_execute(record: &Record, request: &ExecRequest, cause: &str) -> Error {
    match reason::class(cause) {
        code @ (ErrorCode::CommandNotFound | ErrorCode::CommandNotExecutable) => {
            Error::new(code, "execute the program").because(cause)
        }
        code => failed(&record.runtime, "exec", code).on(&request.id).because(cause),
    }
}

/// It is our child once the runtime has gone, so it keeps its id until we have waited for it.
fn process_of(files: &Files, record: &Record, request: &ExecRequest) -> Result<(Pid, PidFd)> {
    let text = fs::read_to_string(&files.pid).unwrap_or_default();
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let opened = pid.and_then(|pid| Some((pid, PidFd::open(pid).ok()?)));
    opened.ok_or_else(|| {
        Error::new(ErrorCode::Protocol, format!("find the process that {} executed", record.runtime.name))
            .on(&request.id)
            .because(format!("its pid file holds `{}`", log::short(&text)))
    })
}
