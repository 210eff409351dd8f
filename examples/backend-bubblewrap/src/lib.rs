//! A backend on bubblewrap: each container is one bwrap(1).
//!
//! A shell waits at the gate and then for `start`, and becomes bwrap. What later verbs must know lies in the container's
//! directory: who the shell is ([`record`]), a FIFO that `start` writes to, and what bwrap says of the workload
//! (`--json-status-fd`).

mod arguments;
mod program;
mod record;
mod spawn;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nucleus_abi::{
    Backend, Capability, CapabilityReport, ContainerRequest, CreateReply, CreateRequest, Description,
    Descriptors, Done, Effect, Error, ErrorCode, ExitStatus, Kind, Ledger, Reply, ReportRequest, Result,
    SandboxReply, SandboxRequest, SignalRequest, SignalTarget, StateReply, Status, Verdict, WaitRequest,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::record::Record;

nucleus_abi::export_backend!("bubblewrap", Bubblewrap);

const KILL: i32 = 9;

/// The backend.
pub struct Bubblewrap;

impl Backend for Bubblewrap {
    fn description(&self) -> Description {
        Description::new(Kind::Backend, "bubblewrap", env!("CARGO_PKG_VERSION"))
    }

    fn report(&self, request: &ReportRequest) -> Result<CapabilityReport> {
        let missing = spawn::missing();
        Ok(CapabilityReport::of(&request.asked, |capability| match &missing {
            Some(why) => Verdict::no(why),
            None => enforces(capability),
        }))
    }

    fn sandbox(&self, request: &SandboxRequest, descriptors: Descriptors<'_>) -> Result<Reply<SandboxReply>> {
        let config = arguments::parse(request.config.get())?;
        program::check(
            &config,
            &request.bundle,
            request.rootfs.map(|index| descriptors.get(index)).transpose()?,
        )?;
        let (process, gate) = spawn::waiting(request, &config, descriptors)?;
        // It dies with the gate, so that it can be written down now that it has a number.
        let ledger = descriptors
            .get(request.ledger)?
            .try_clone_to_owned()
            .map_err(|error| failed("copy the ledger", error))?;
        Ledger::new(File::from(ledger))
            .record(&Effect::Process(process))
            .map_err(|error| failed("write the ledger", error))?;
        Record::new(process).write(&request.directory)?;
        Ok(Reply { document: SandboxReply::new(process.pid, 0), descriptors: vec![gate] })
    }

    fn create(&self, request: &CreateRequest, descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>> {
        let record = Record::read(&request.directory)?;
        let wait = pidfd(record.process.pid)
            .ok_or_else(|| wrong_state("create the container", "its sandbox is gone"))?;
        rustix::io::write(descriptors.get(request.gate)?, b"go\n")
            .map_err(|error| failed("open the gate", error.into()))?;
        Ok(Reply { document: CreateReply::new(0), descriptors: vec![wait] })
    }

    fn start(&self, request: &ContainerRequest) -> Result<Done> {
        let mut record = Record::read(&request.directory)?;
        if record.started || !record::is_alive(record.process) {
            return Err(wrong_state("start the workload", "it is not waiting to be started").on(&request.id));
        }
        spawn::let_go(&request.directory).map_err(|error| failed("start the workload", error))?;
        record.started = true;
        record.write(&request.directory)?;
        Ok(Done::default())
    }

    fn wait(&self, request: &WaitRequest, descriptors: Descriptors<'_>) -> Result<ExitStatus> {
        spawn::reap(descriptors.get(request.wait)?).map_err(|error| failed("wait for bwrap", error))?;
        Ok(match record::status(&request.directory).exit_code {
            // Beyond 128 bwrap's word may mean a signal, or not: it cannot tell, and nor can we.
            Some(code) if code <= 128 => ExitStatus::Exited { code },
            _ => ExitStatus::Unknown,
        })
    }

    fn state(&self, request: &ContainerRequest) -> Result<StateReply> {
        let record = Record::read(&request.directory)?;
        let pid = record::status(&request.directory).child_pid;
        Ok(match (record::is_alive(record.process), record.started) {
            (false, _) => StateReply { status: Status::Stopped, pid: None },
            (true, false) => StateReply { status: Status::Created, pid: Some(record.process.pid) },
            (true, true) => StateReply { status: Status::Running, pid: pid.or(Some(record.process.pid)) },
        })
    }

    fn signal(&self, request: &SignalRequest) -> Result<Done> {
        const STEP: &str = "send a signal";
        let record = Record::read(&request.directory)?;
        if request.target == SignalTarget::All && request.signal != KILL {
            return Err(Error::new(ErrorCode::NotSupported, STEP)
                .because("bubblewrap reaches all processes by SIGKILL alone"));
        }
        let ended = || wrong_state(STEP, "container not running").on(&request.id);
        if !record::is_alive(record.process) {
            return Err(ended());
        }
        // The workload is the first process of its namespace: with it, all others end.
        let target = spawn::workload(&request.directory, &record).unwrap_or(record.process.pid);
        let pidfd = pidfd(target).ok_or_else(ended)?;
        let signal = Signal::from_named_raw(request.signal).ok_or_else(|| {
            Error::new(ErrorCode::NotSupported, STEP).on(request.signal).because("it has no name")
        })?;
        pidfd_send_signal(&pidfd, signal).map_err(|errno| failed(STEP, errno.into()))?;
        Ok(Done::default())
    }

    fn delete(&self, request: &ContainerRequest) -> Result<Done> {
        if let Ok(record) = Record::read(&request.directory)
            && record::is_alive(record.process)
        {
            let workload = spawn::workload(&request.directory, &record);
            for pidfd in workload.into_iter().chain([record.process.pid]).filter_map(pidfd) {
                // One that has ended meanwhile is what we want.
                let _ = pidfd_send_signal(&pidfd, Signal::KILL);
                spawn::reap(pidfd.as_fd()).map_err(|error| failed("end the container", error))?;
            }
        }
        record::remove(&request.directory)?;
        Ok(Done::default())
    }
}

/// What bwrap does as root. What is not here, it does not do, or we do not know.
fn enforces(capability: Capability) -> Verdict {
    let by = match capability {
        Capability::NamespacePid => "--unshare-pid",
        Capability::NamespaceMount => "bwrap",
        Capability::NamespaceNetwork | Capability::NetworkNone => "--unshare-net",
        Capability::NamespaceIpc => "--unshare-ipc",
        Capability::NamespaceUts | Capability::Hostname => "--unshare-uts",
        Capability::Rootfs | Capability::Volumes | Capability::RootfsNodev => "--bind",
        Capability::RootfsReadonly | Capability::VolumesReadonly => "--ro-bind",
        Capability::Tmpfs => "--size, --tmpfs",
        Capability::NoNewPrivileges => "bwrap, always",
        _ => return Verdict::no("bubblewrap does not do it, or this plugin does not ask it to"),
    };
    Verdict::yes(format!("bubblewrap: {by}"))
}

fn pidfd(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

fn wrong_state(step: &'static str, cause: &str) -> Error {
    Error::new(ErrorCode::WrongState, step).because(cause)
}

fn failed(step: &'static str, error: std::io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, step).because(error)
}
