//! The one road from a checked plan to an exit status, and the way back, which is the same after success, failure and
//! crash: the ledger is undone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nucleus_abi::{
    Beyond, CgroupManager, CgroupPlacement, ContainerId, ContainerRequest, CreateReply, CreateRequest, Error,
    ErrorCode, ExitStatus, Hierarchies, Ledger, Process, Reply, Result, SCHEMA, SandboxRequest,
    SignalRequest, SignalTarget, WaitRequest,
};
use nucleus_sys::signal::Signal;

use super::cgroup_path;
use super::container::ContainerDirectory;
use super::examine::Examined;
use super::foreground::{Console, Foreground};
use super::gc;
use super::owners;
use super::process;
use super::record::{RECORD_SCHEMA, Record, Supervision};
use super::state_root::StateRoot;
use super::undo::undo;
use crate::bundle::{Bundle, materialise};
use crate::plugins::Registry;

/// Runs a container in the foreground: to its end, and until nothing is left of it.
///
/// # Errors
/// What kept the workload from running, or what could not be removed after it; in the second case with the workload's
/// own status in the cause.
///
/// `warn` hears of what was asked for and is left out, before the workload starts.
pub fn run(
    examined: &Examined,
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    warn: &dyn Fn(&str),
) -> Result<ExitStatus> {
    // From here on a signal must not kill us: what has been made would stay.
    let foreground = Foreground::begin()?;
    root.ensure()?;
    let (directory, ledger) = take_id(id, root, registry)?;
    let result = Run {
        examined,
        directory: &directory,
        ledger: &ledger,
        foreground: &foreground,
        root,
        registry,
        warn,
    }
    .to_the_end();
    let teardown = tear_down(examined, directory, root, registry);
    match (result, teardown) {
        (Ok(status), Ok(())) => Ok(status),
        (Ok(status), Err(error)) => Err(error.hint(format!("the workload itself ended: {status:?}"))),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(more)) => Err(error.and([more])),
    }
}

/// Takes an id. What a crash left under it is removed first; what is still somebody's is not touched.
fn take_id(id: &ContainerId, root: &StateRoot, registry: &Registry) -> Result<(ContainerDirectory, Ledger)> {
    match ContainerDirectory::create(root, id) {
        Err(error) if error.code == ErrorCode::ContainerExists && gc::is_abandoned(root, id) => {
            match gc::remove(root, registry, id) {
                // Somebody else, who wanted the id too, was quicker to remove it.
                Err(error) if error.code == ErrorCode::ContainerNotFound => {}
                removed => removed?,
            }
            ContainerDirectory::create(root, id)
        }
        result => result,
    }
}

fn tear_down(
    examined: &Examined,
    directory: ContainerDirectory,
    root: &StateRoot,
    registry: &Registry,
) -> Result<()> {
    let request =
        ContainerRequest { schema: SCHEMA, id: directory.id().clone(), directory: directory.backend() };
    let farewell = examined.client.delete(&request);
    undo(directory, root, registry, Some(&examined.plan.backend.value))?;
    farewell.map(|_| ())
}

struct Run<'a> {
    examined: &'a Examined,
    directory: &'a ContainerDirectory,
    ledger: &'a Ledger,
    foreground: &'a Foreground,
    root: &'a StateRoot,
    registry: &'a Registry,
    warn: &'a dyn Fn(&str),
}

impl Run<'_> {
    fn to_the_end(&self) -> Result<ExitStatus> {
        let cgroup = cgroup_path::new(self.directory.id()).map_err(|error| {
            Error::new(ErrorCode::SystemCall, "choose the container's cgroup").because(error)
        })?;
        let bundle = materialise(&self.examined.plan, &cgroup, self.directory.bundle())?;
        let (gate, pid) = self.sandbox(bundle, cgroup)?;
        // Written while the backend builds the container, which takes longer.
        self.record(pid, self.examined.warnings())?;
        let mut created = self.create(&gate)?;
        drop(gate);
        let mut descriptors: Vec<Option<OwnedFd>> = created.descriptors.drain(..).map(Some).collect();
        let mut take = |index| Reply::<CreateReply>::take(&mut descriptors, index);
        let wait = take(created.document.wait)?;
        let failure = created.document.failure.map(&mut take).transpose()?;
        let console = created.document.console.map(&mut take).transpose()?;
        self.record_warnings(pid, &created.document.warnings)?;
        let console = console.as_ref().map(Console::take).transpose()?;
        self.examined.client.start(&self.container())?;
        // The workload runs by now: whatever earlier runs left behind is removed at no cost to its start.
        owners::sweep(self.root, self.registry);
        self.foreground.until_ended(wait.as_fd(), console.as_ref(), |signal| self.forward(signal))?;
        drop(console);
        self.wait(&wait, failure.as_ref())
    }

    fn container(&self) -> ContainerRequest {
        ContainerRequest {
            schema: SCHEMA,
            id: self.directory.id().clone(),
            directory: self.directory.backend(),
        }
    }

    /// Calls `sandbox` with the bundle, whose descriptors are closed on return, and returns the gate and the process
    /// that waits at it.
    fn sandbox(&self, bundle: Bundle, cgroup: PathBuf) -> Result<(OwnedFd, u32)> {
        self.make_backend_directory()?;
        let plan = &self.examined.plan;
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let mut descriptors: Vec<BorrowedFd<'_>> =
            vec![stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), self.ledger.as_fd()];
        let rootfs = bundle.rootfs.as_ref().map(|rootfs| {
            descriptors.push(rootfs.as_fd());
            descriptors.len() - 1
        });
        let mut mount_sources = std::collections::BTreeMap::new();
        for (mount, source) in &bundle.sources {
            mount_sources.insert(*mount, descriptors.len());
            descriptors.push(source.as_fd());
        }
        let request = SandboxRequest {
            schema: SCHEMA,
            id: self.directory.id().clone(),
            directory: self.directory.backend(),
            bundle: bundle.path,
            config: bundle.config,
            options: plan.options.clone(),
            // The backend makes a group where a limit needs one, or where nothing else tells the container's processes.
            cgroup: Some(CgroupPlacement {
                path: cgroup,
                hierarchies: Hierarchies::Needed,
                manager: CgroupManager::Cgroupfs,
            }),
            beyond: Beyond { landlock: plan.security.landlock.value.clone(), init: plan.process.init.value },
            ledger: 3,
            rootfs,
            mount_sources,
            stdio: [0, 1, 2],
            extra: Vec::new(),
        };
        let reply = self.examined.client.sandbox(&request, &descriptors)?;
        let mut returned: Vec<Option<OwnedFd>> = reply.descriptors.into_iter().map(Some).collect();
        Ok((Reply::<()>::take(&mut returned, reply.document.gate)?, reply.document.pid))
    }

    fn make_backend_directory(&self) -> Result<()> {
        let path = self.directory.backend();
        std::fs::create_dir(&path).map_err(|error| {
            Error::new(ErrorCode::SystemCall, "make the backend's directory")
                .on(path.display())
                .because(error)
        })
    }

    fn create(&self, gate: &OwnedFd) -> Result<Reply<CreateReply>> {
        let request = CreateRequest {
            schema: SCHEMA,
            id: self.directory.id().clone(),
            directory: self.directory.backend(),
            gate: 0,
        };
        self.examined.client.create(&request, &[gate.as_fd()])
    }

    /// What `create` had to leave out is told, and stays in the record.
    fn record_warnings(&self, pid: u32, left_out: &[String]) -> Result<()> {
        if left_out.is_empty() {
            return Ok(());
        }
        for warning in left_out {
            (self.warn)(warning);
        }
        self.record(pid, self.examined.warnings().into_iter().chain(left_out.iter().cloned()).collect())
    }

    fn record(&self, pid: u32, warnings: Vec<String>) -> Result<()> {
        let description = self.examined.client.description();
        let process = process::start_time(pid).ok().map(|start_time| Process { pid, start_time });
        let plan = serde_json::to_value(&self.examined.rows).map_err(|error| {
            Error::new(ErrorCode::SystemCall, "write the container's record").because(error)
        })?;
        Record {
            schema: RECORD_SCHEMA,
            id: self.directory.id().clone(),
            creator_uid: rustix::process::getuid().as_raw(),
            backend: description.id.clone(),
            backend_version: description.version.clone(),
            bundle: self.directory.bundle(),
            process,
            supervision: Supervision::Owner,
            warnings,
            plan,
        }
        .write(self.directory.path())
    }

    /// A workload that has just ended cannot take a signal any more; that is no failure of ours.
    fn forward(&self, signal: Signal) {
        let request = SignalRequest {
            schema: SCHEMA,
            id: self.directory.id().clone(),
            directory: self.directory.backend(),
            signal: signal.number(),
            target: SignalTarget::First,
        };
        if let Err(error) = self.examined.client.signal(&request) {
            tracing::debug!(%error, "the signal was not forwarded");
        }
    }

    fn wait(&self, wait: &OwnedFd, failure: Option<&OwnedFd>) -> Result<ExitStatus> {
        let mut descriptors = vec![wait.as_fd()];
        descriptors.extend(failure.map(AsFd::as_fd));
        let request = WaitRequest {
            schema: SCHEMA,
            id: self.directory.id().clone(),
            directory: self.directory.backend(),
            wait: 0,
            failure: failure.map(|_| 1),
        };
        self.examined.client.wait(&request, &descriptors)
    }
}
