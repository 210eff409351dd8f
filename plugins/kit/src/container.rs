//! One container, made and ended as the core does it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_abi::{
    Beyond, CgroupManager, CgroupPlacement, ContainerId, ContainerRequest, CreateReply, CreateRequest,
    Effect, ExitStatus, Hierarchies, NetworkWish, Process, Reply, SCHEMA, SandboxRequest, SignalRequest,
    SignalTarget, StateReply, Then, UndoRequest, WaitRequest, read_ledger,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::bundle::Bundle;
use crate::subject::{Subject, Trial, fault, optional};

/// How long a container may take to do what it is told; far beyond what it takes.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// A container whose sandbox has been made.
pub(crate) struct Sandbox<'s> {
    pub(crate) subject: &'s Subject,
    pub(crate) bundle: Bundle,
    pub(crate) pid: u32,
    pub(crate) gate: OwnedFd,
    input: PipeWriter,
    output: PipeReader,
}

/// A container that has been created.
pub(crate) struct Container<'s> {
    pub(crate) subject: &'s Subject,
    pub(crate) bundle: Bundle,
    pub(crate) reply: CreateReply,
    descriptors: Vec<OwnedFd>,
    input: PipeWriter,
    output: PipeReader,
}

/// What a whole life came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

/// The id of the container in a directory: the directory's name, which holds the trial's.
fn id(subject: &Subject, directory: &Path) -> ContainerId {
    let own = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    format!("{}-{own}", subject.name()).parse().unwrap_or_else(|error| panic!("{error}"))
}

/// What a backend hears with most verbs.
pub(crate) fn request(subject: &Subject, directory: &Path) -> ContainerRequest {
    ContainerRequest { schema: SCHEMA, id: id(subject, directory), directory: directory.join("state") }
}

/// A fresh bundle of the trial.
pub(crate) fn bundle(subject: &Subject, name: &str, script: &str) -> Trial<Bundle> {
    Ok(Bundle::new(subject.scratch().join(name), script)?)
}

impl<'s> Sandbox<'s> {
    pub(crate) fn new(subject: &'s Subject, bundle: Bundle) -> Trial<Self> {
        bundle.write()?;
        fs::create_dir_all(bundle.directory.join("state"))?;
        let ledger = File::options().create(true).append(true).open(bundle.directory.join("ledger"))?;
        let rootfs = rustix::fs::open(
            bundle.rootfs(),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(std::io::Error::from)?;
        let (stdin, input) = std::io::pipe()?;
        let (output, stdout) = std::io::pipe()?;
        let config = serde_json::value::to_raw_value(&bundle.config).map_err(std::io::Error::other)?;
        let id = id(subject, &bundle.directory);
        let document = SandboxRequest {
            schema: SCHEMA,
            directory: bundle.directory.join("state"),
            bundle: bundle.directory.clone(),
            config,
            options: subject.options.clone(),
            cgroup: Some(CgroupPlacement {
                path: format!("/nucleus/{id}").into(),
                hierarchies: Hierarchies::Needed,
                manager: CgroupManager::Cgroupfs,
            }),
            id,
            beyond: Beyond::default(),
            memory: None,
            ledger: 3,
            rootfs: Some(4),
            mount_sources: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            secret_environment: None,
            stdio: [0, 1, 2],
            extra: Vec::new(),
            network: NetworkWish::default(),
        };
        let lent = [stdin.as_fd(), stdout.as_fd(), stdout.as_fd(), ledger.as_fd(), rootfs.as_fd()];
        let made = subject.client.sandbox(&document, &lent);
        let reply = match made {
            Ok(reply) => reply,
            Err(error) => {
                // As the core does after a verb that failed.
                end(subject, &bundle.directory)?;
                return optional(Err(error));
            }
        };
        let mut returned: Vec<Option<OwnedFd>> = reply.descriptors.into_iter().map(Some).collect();
        let gate = Reply::<()>::take(&mut returned, reply.document.gate)?;
        Ok(Self { subject, bundle, pid: reply.document.pid, gate, input, output })
    }

    /// `create`; what failed is deleted.
    pub(crate) fn create(self) -> Trial<Container<'s>> {
        let document = CreateRequest {
            schema: SCHEMA,
            id: id(self.subject, &self.bundle.directory),
            directory: self.bundle.directory.join("state"),
            gate: 0,
            then: Then::Wait,
        };
        let created = self.subject.client.create(&document, &[self.gate.as_fd()]);
        drop(self.gate);
        match created {
            Ok(reply) => Ok(Container {
                subject: self.subject,
                bundle: self.bundle,
                reply: reply.document,
                descriptors: reply.descriptors,
                input: self.input,
                output: self.output,
            }),
            Err(error) => {
                end(self.subject, &self.bundle.directory)?;
                Err(error.into())
            }
        }
    }
}

impl<'s> Container<'s> {
    /// `sandbox` and `create`.
    pub(crate) fn new(subject: &'s Subject, bundle: Bundle) -> Trial<Self> {
        Sandbox::new(subject, bundle)?.create()
    }

    /// As before, and `start`.
    pub(crate) fn started(subject: &'s Subject, bundle: Bundle) -> Trial<Self> {
        let container = Self::new(subject, bundle)?;
        container.start()?;
        Ok(container)
    }

    /// A whole life.
    pub(crate) fn run(subject: &'s Subject, bundle: Bundle) -> Trial<Ended> {
        Self::started(subject, bundle)?.finish()
    }

    pub(crate) fn start(&self) -> nucleus_abi::Result<()> {
        self.subject.client.start(&self.request()).map(drop)
    }

    pub(crate) fn request(&self) -> ContainerRequest {
        request(self.subject, &self.bundle.directory)
    }

    pub(crate) fn state(&self) -> nucleus_abi::Result<StateReply> {
        self.subject.client.state(&self.request())
    }

    pub(crate) fn signal(&self, signal: i32, target: SignalTarget) -> nucleus_abi::Result<()> {
        let ContainerRequest { schema, id, directory } = self.request();
        self.subject.client.signal(&SignalRequest { schema, id, directory, signal, target }).map(drop)
    }

    /// Waits until the descriptor says that it has ended, and asks how.
    pub(crate) fn wait(&self) -> Trial<ExitStatus> {
        let wait = self.descriptors.get(self.reply.wait);
        let Some(wait) = wait else { return fault("`create` names a descriptor that it does not send") };
        until_readable(wait)?;
        let mut lent = vec![wait.as_fd()];
        let failure = self.reply.failure.and_then(|index| self.descriptors.get(index));
        lent.extend(failure.map(AsFd::as_fd));
        let ContainerRequest { schema, id, directory } = self.request();
        let document = WaitRequest { schema, id, directory, wait: 0, failure: failure.map(|_| 1) };
        Ok(self.subject.client.wait(&document, &lent)?)
    }

    /// Gives it input, which ends after that; waits, deletes, and returns what it printed.
    pub(crate) fn finish(self) -> Trial<Ended> {
        self.with_input("")
    }

    pub(crate) fn with_input(mut self, input: &str) -> Trial<Ended> {
        self.input.write_all(input.as_bytes())?;
        drop(std::mem::replace(&mut self.input, std::io::pipe()?.1));
        let status = self.wait();
        let deleted = self.delete();
        let (status, ()) = (status?, deleted?);
        let mut output = String::new();
        self.output.read_to_string(&mut output)?;
        Ok(Ended { status, output: output.trim_end().to_owned() })
    }

    /// `delete`, and the ledger undone.
    pub(crate) fn delete(&self) -> Trial {
        end(self.subject, &self.bundle.directory)
    }
}

/// `delete`, and what the core does after it.
pub(crate) fn end(subject: &Subject, directory: &Path) -> Trial {
    let deleted = subject.client.delete(&request(subject, directory));
    let ledger = fs::read_to_string(directory.join("ledger")).unwrap_or_default();
    let effects = read_ledger(&ledger).map_err(|error| crate::Stop::Fault(format!("the ledger: {error}")))?;
    let alive = effects.iter().find_map(|effect| match effect {
        Effect::Process(process) if is_alive(*process) => Some(process.pid),
        _ => None,
    });
    for effect in effects.iter().rev() {
        undo(subject, directory, effect)?;
    }
    deleted?;
    match alive {
        Some(pid) => fault(format!("`delete` succeeds, and process {pid} of the ledger lives on")),
        None => Ok(()),
    }
}

/// Whether it is still the same process, and has not ended.
fn is_alive(process: Process) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ').collect();
    let start_time = fields.get(19).and_then(|field| field.parse().ok());
    !matches!(fields.first(), Some(&("Z" | "X"))) && start_time == Some(process.start_time)
}

fn undo(subject: &Subject, directory: &Path, effect: &Effect) -> Trial {
    match effect {
        Effect::Process(process) => kill(*process),
        Effect::Cgroup { directories } => remove_groups(directories),
        Effect::Plugin { document } => {
            let ContainerRequest { schema, id, directory } = request(subject, directory);
            subject.client.undo(&UndoRequest { schema, id, directory, document: document.clone() })?;
        }
        _ => {}
    }
    Ok(())
}

fn kill(process: Process) {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let Some(pidfd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return };
    if is_alive(process) && pidfd_send_signal(&pidfd, Signal::KILL).is_ok() {
        let _ = until_readable(&pidfd);
    }
}

fn remove_groups(directories: &[PathBuf]) {
    for directory in directories.iter().rev() {
        // The kernel lets the last process go a moment after it was reaped.
        for _ in 0..200 {
            match fs::remove_dir(directory) {
                Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                _ => break,
            }
        }
    }
}

/// Waits until a descriptor is readable, or hangs up.
pub(crate) fn until_readable(descriptor: impl AsFd) -> Trial {
    let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
    match poll(&mut polled, Some(&PATIENCE)) {
        Ok(0) => fault("the descriptor to wait on does not become readable"),
        Ok(_) => Ok(()),
        Err(errno) => fault(errno),
    }
}
