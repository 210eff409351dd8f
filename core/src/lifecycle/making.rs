//! Making a container, up to the point where only its start is missing: the same for a container in the foreground and for
//! one that an engine will start.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{
    Client, ContainerId, ContainerRequest, CreateReply, CreateRequest, Error, ErrorCode, ExitStatus,
    NetworkWish, Process, Reply, RestoreRequest, Result, SCHEMA, SandboxRequest, Then, WaitRequest,
};

use rustix::stdio::{stderr, stdin, stdout};

use super::container::{ContainerDirectory, Taken};
use super::gc;
use super::mount_points;
use super::networking::{self, Networking};
use super::places;
use super::process;
use super::record::{RECORD_SCHEMA, Record, Supervision};
use super::restore::Restoration;
use super::state_root::StateRoot;
use super::timestamp;
use super::undo::undo;
use super::workload::{Place, Source, Workload};
use crate::bundle::Bundle;
use crate::bundle::MountPoints;
use crate::plugins::{Kept, Registry, keep};

/// A container that needs to be started at most.
#[derive(Debug)]
pub(super) struct Made {
    /// Its first process.
    pub(super) pid: u32,
    /// Becomes readable when it has ended.
    pub(super) wait: OwnedFd,
    /// Tells that its program could not be executed.
    pub(super) failure: Option<OwnedFd>,
    /// The outer side of its terminal.
    pub(super) console: Option<OwnedFd>,
    /// Whether it has been started already.
    pub(super) started: bool,
    /// What was opened for it. The last to close a mount that hangs nowhere waits for an RCU grace period (`namespace_unlock`
    /// in the kernel's `fs/namespace.c`): that shall not be the process on its way to the workload.
    pub(super) opened: Option<Bundle>,
}

impl Made {
    /// How the process ended; waits until it has.
    ///
    /// # Errors
    /// The backend's.
    pub(super) fn wait(&self, client: &Client, container: ContainerRequest) -> Result<ExitStatus> {
        let mut descriptors = vec![self.wait.as_fd()];
        descriptors.extend(self.failure.as_ref().map(AsFd::as_fd));
        let request = WaitRequest {
            schema: SCHEMA,
            id: container.id,
            directory: container.directory,
            wait: 0,
            failure: self.failure.as_ref().map(|_| 1),
        };
        client.wait(&request, &descriptors)
    }
}

/// Where a container's processes come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beginning<'a> {
    /// Its program is started.
    Program,
    /// They come out of a checkpoint.
    Checkpoint(&'a Restoration),
}

/// What is being made, and for whom.
pub(super) struct Making<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) taken: &'a mut Taken,
    pub(super) root: &'a StateRoot,
    /// What the workload holds beside its standard descriptors.
    pub(super) extra: &'a [OwnedFd],
    pub(super) supervision: Supervision,
    pub(super) beginning: Beginning<'a>,
    /// Whether the workload may be started as soon as it can.
    pub(super) then: Then,
    pub(super) warn: &'a dyn Fn(&str),
}

impl Making<'_> {
    /// Makes it.
    pub(super) fn make(mut self) -> Result<Made> {
        let mut network = self.reserve()?;
        let directory = &self.taken.directory;
        let of_others = || mount_points::of_others(self.root, directory.id());
        let mut notes = MountPoints { ledger: &mut self.taken.ledger, of_others: &of_others };
        let given = network.as_mut().map(Networking::given).unwrap_or_default();
        let workload = self.source.workload(directory.id(), &directory.bundle(), &mut notes, given)?;
        for warning in &workload.bundle.warnings {
            (self.warn)(warning);
        }
        make_backend_directory(directory)?;
        // Before the backend makes anything: what it makes, its own copy must be able to undo.
        let plugin = keep(self.source.client(), directory.path())?;
        if let Place::Engines(placement) = &workload.cgroup {
            places::occupy(self.root, directory.id(), &mut self.taken.ledger, &placement.path)?;
        }
        if let Beginning::Checkpoint(restoration) = self.beginning {
            return self.restore(restoration, workload, plugin);
        }
        let Sandbox { gate, pid, namespace } = self.sandbox(&workload, network.as_ref())?;
        if let (Some(network), Some(namespace)) = (&network, namespace) {
            network.attach(namespace.as_fd(), self.root, &mut self.taken.ledger)?;
        }
        // Written while the backend builds the container, which takes longer.
        let mut record = self.record(&workload, pid, plugin);
        record.write(self.taken.directory.path())?;
        let created = self.create(&gate)?;
        drop(gate);
        self.record_process(&mut record, created.document.pid)?;
        self.record_warnings(&mut record, &created.document.warnings)?;
        made(created, pid, workload.bundle)
    }

    /// `restore` in place of `sandbox` and `create`.
    fn restore(self, restoration: &Restoration, workload: Workload, plugin: Option<Kept>) -> Result<Made> {
        let directories = restoration.open(self.source.client(), &workload)?;
        let (sandbox, mut descriptors) = self.request(&workload);
        let images = directories.request(&restoration.place.how, descriptors.len());
        descriptors.extend(directories.descriptors());
        let request = RestoreRequest {
            schema: SCHEMA,
            sandbox,
            lsm_profile: restoration.lsm_profile.clone(),
            lsm_mount_context: restoration.lsm_mount_context.clone(),
            images,
        };
        let restored = self.source.client().restore(&request, &descriptors)?;
        let nameless = || Error::new(ErrorCode::NotSupported, "restore the container");
        let pid = restored.document.pid.ok_or_else(nameless)?;
        let mut record = self.record(&workload, pid, plugin);
        record.write(self.taken.directory.path())?;
        self.record_warnings(&mut record, &restored.document.warnings)?;
        made(restored, pid, workload.bundle)
    }

    /// Takes the container's place in its network, where it has one.
    fn reserve(&mut self) -> Result<Option<Networking>> {
        let Some(wanted) = self.source.network() else { return Ok(None) };
        if let Beginning::Checkpoint(_) = self.beginning {
            return Err(networking::no_restore(&wanted));
        }
        Networking::begin(&wanted, self.root, &mut *self.taken).map(Some)
    }

    /// Calls `sandbox`.
    fn sandbox(&self, workload: &Workload, network: Option<&Networking>) -> Result<Sandbox> {
        let (request, descriptors) = self.request(workload);
        let wish = network.map_or(NetworkWish::Leave, Networking::wish);
        let request = SandboxRequest { network: wish, ..request };
        let reply = self.source.client().sandbox(&request, &descriptors)?;
        let mut returned: Vec<Option<OwnedFd>> = reply.descriptors.into_iter().map(Some).collect();
        let mut take = |index| Reply::<()>::take(&mut returned, index);
        let gate = take(reply.document.gate)?;
        let namespace = match (wish, reply.document.network) {
            (NetworkWish::Leave, _) => None,
            (NetworkWish::Attach, Some(index)) => Some(take(index)?),
            // Nothing must run in a network that nobody attached.
            (NetworkWish::Attach, None) => return Err(networking::no_namespace(self.source.client())),
        };
        Ok(Sandbox { gate, pid: reply.document.pid, namespace })
    }

    /// What a backend is told of the container, and what goes with it.
    fn request<'w>(&'w self, workload: &'w Workload) -> (SandboxRequest, Vec<BorrowedFd<'w>>) {
        let bundle = &workload.bundle;
        let mut descriptors: Vec<BorrowedFd<'w>> =
            vec![stdin(), stdout(), stderr(), self.taken.ledger.as_fd()];
        let mut add = |descriptor| {
            descriptors.push(descriptor);
            descriptors.len() - 1
        };
        let rootfs = bundle.rootfs.as_ref().map(|rootfs| add(rootfs.as_fd()));
        let mount_sources: BTreeMap<_, _> =
            bundle.sources.iter().map(|(mount, source)| (*mount, add(source.as_fd()))).collect();
        let namespaces = bundle.namespaces.iter();
        let namespaces = namespaces.map(|(kind, namespace)| (kind.clone(), add(namespace.as_fd()))).collect();
        let secret_environment = bundle.secret_environment.as_ref().map(|file| add(file.as_fd()));
        let extra = self.extra.iter().map(|descriptor| add(descriptor.as_fd())).collect();
        let directory = &self.taken.directory;
        let request = SandboxRequest {
            schema: SCHEMA,
            id: directory.id().clone(),
            directory: directory.backend(),
            bundle: bundle.path.clone(),
            config: bundle.config.clone(),
            options: workload.options.clone(),
            cgroup: Some(workload.cgroup.placement().clone()),
            beyond: workload.beyond.clone(),
            memory: Some(self.root.memory()),
            ledger: 3,
            rootfs,
            mount_sources,
            namespaces,
            secret_environment,
            stdio: [0, 1, 2],
            extra,
            network: NetworkWish::Leave,
        };
        (request, descriptors)
    }

    fn create(&self, gate: &OwnedFd) -> Result<Reply<CreateReply>> {
        let directory = &self.taken.directory;
        let request = CreateRequest {
            schema: SCHEMA,
            id: directory.id().clone(),
            directory: directory.backend(),
            gate: 0,
            then: self.then,
        };
        self.source.client().create(&request, &[gate.as_fd()])
    }

    /// The first process need not be the one that `sandbox` made: it may have waited for another to be made.
    fn record_process(&self, record: &mut Record, made: Option<u32>) -> Result<()> {
        let Some(pid) = made.filter(|pid| record.process.is_some_and(|waiting| waiting.pid != *pid)) else {
            return Ok(());
        };
        record.process = identity(pid);
        record.write(self.taken.directory.path())
    }

    /// What `create` had to leave out is told, and stays in the record.
    fn record_warnings(&self, record: &mut Record, left_out: &[String]) -> Result<()> {
        if left_out.is_empty() {
            return Ok(());
        }
        for warning in left_out {
            (self.warn)(warning);
        }
        record.warnings.extend_from_slice(left_out);
        record.write(self.taken.directory.path())
    }

    fn record(&self, workload: &Workload, pid: u32, plugin: Option<Kept>) -> Record {
        let description = self.source.client().description();
        let facts = workload.facts.clone();
        Record {
            schema: RECORD_SCHEMA,
            id: self.taken.directory.id().clone(),
            creator_uid: rustix::process::getuid().as_raw(),
            owner: Some(self.taken.owner),
            backend: description.id.clone(),
            backend_version: description.version.clone(),
            plugin,
            oci_version: facts.oci_version,
            bundle: facts.bundle,
            rootfs: facts.rootfs,
            annotations: facts.annotations,
            created: timestamp::now(),
            process: identity(pid),
            supervision: self.supervision,
            cgroup: Some(workload.cgroup.placement().clone()),
            beyond: workload.beyond.clone(),
            warnings: facts.warnings,
            plan: facts.plan,
            held: facts.held,
            hooks: facts.hooks,
        }
    }
}

/// What `sandbox` made.
struct Sandbox {
    gate: OwnedFd,
    /// The process that waits at the gate.
    pid: u32,
    /// Its network namespace, if it is to be attached.
    namespace: Option<OwnedFd>,
}

fn made(created: Reply<CreateReply>, pid: u32, opened: Bundle) -> Result<Made> {
    let mut descriptors: Vec<Option<OwnedFd>> = created.descriptors.into_iter().map(Some).collect();
    let mut take = |index| Reply::<CreateReply>::take(&mut descriptors, index);
    Ok(Made {
        pid: created.document.pid.unwrap_or(pid),
        wait: take(created.document.wait)?,
        failure: created.document.failure.map(&mut take).transpose()?,
        console: created.document.console.map(&mut take).transpose()?,
        started: created.document.started,
        opened: Some(opened),
    })
}

fn identity(pid: u32) -> Option<Process> {
    process::start_time(pid).ok().map(|start_time| Process { pid, start_time })
}

fn make_backend_directory(directory: &ContainerDirectory) -> Result<()> {
    let path = directory.backend();
    std::fs::create_dir(&path).map_err(|error| {
        Error::new(ErrorCode::SystemCall, "make the backend's directory").on(path.display()).because(error)
    })
}

/// Takes an id. What a crash left under it is removed first; what is still somebody's is not touched.
pub(super) fn take_id(id: &ContainerId, root: &StateRoot, registry: &Registry) -> Result<Taken> {
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

/// Removes a container of ours with all that was made for it.
pub(super) fn tear_down(
    client: &Client,
    directory: ContainerDirectory,
    root: &StateRoot,
) -> Result<Vec<String>> {
    let farewell = client.delete(&request(&directory));
    undo(directory, root, Some(client))?;
    farewell.map(|done| done.warnings)
}

/// The request of a verb that only names the container.
pub(super) fn request(directory: &ContainerDirectory) -> ContainerRequest {
    ContainerRequest { schema: SCHEMA, id: directory.id().clone(), directory: directory.backend() }
}
