//! `sandbox`: stages what the container takes from the host. The runtime itself is called by `create`.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nucleus_abi::{
    CgroupManager, DescriptorIndex, Descriptors, Effect, Error, ErrorCode, Keyring, Ledger, Process, Reply,
    Result, SandboxReply, SandboxRequest,
};
use nucleus_linux::fault::{OrFail, unsupported};
use nucleus_linux::{groups, identity};
use nucleus_sys::clone::{self, Child, Clone3};
use nucleus_sys::mount::DetachedMount;
use nucleus_sys::namespace::NamespaceSet;
use nucleus_sys::process;
use nucleus_sys::signal::Signal;

use crate::bundle::Bundle;
use crate::call::{Command, Handles, null};
use crate::config::{Places, Rewritten, rewrite, root_on};
use crate::console;
use crate::gate;
use crate::monitor;
use crate::place::Place;
use crate::record::Record;
use crate::runtime::{ExitSource, HostAccess, Runtime};
use crate::stager::{self, Stager};
use crate::staging;

/// [`nucleus_abi::Backend::sandbox`]. The process that it returns is not the container's: there is none before `create`.
///
/// # Errors
/// `config-invalid` and `not-supported`, naming the field; what the host refuses.
pub fn sandbox(
    runtime: &Runtime,
    request: &SandboxRequest,
    descriptors: Descriptors<'_>,
) -> Result<Reply<SandboxReply>> {
    refuse_secret_environment(request)?;
    refuse_what_it_lacks(runtime, request)?;
    let place = Place::of(&request.directory);
    let stage = place.stage();
    let mut rewritten = rewrite(
        request.config.get(),
        Places { stage: &stage, cgroup: cgroupfs_path(request), root: runtime.root, tmpfs: runtime.tmpfs },
    )?;
    rewritten.join_on_stage(staging::namespaces(request).map(|(kind, _)| kind));
    let cgroups = cgroups(request)?;
    make(&place)?;
    let bundle = Bundle::of(runtime, &place, &request.id, &rewritten.config)?;
    let gates = gate::Ends::make(request.id.as_str())?;
    let log = log(runtime, &gates)?;
    let mounts = staging::prepare(&rewritten, request, descriptors, log)?;
    let mut ledger = ledger(request, descriptors)?;
    if !cgroups.is_empty() {
        let effect = Effect::Cgroup { directories: cgroups.clone() };
        ledger.record(&effect).or_fail("write the ledger", "the container's cgroups")?;
    }
    // The container's first process loses its parent when `create` is done, and only its next one learns how it ended.
    process::become_subreaper().or_fail("become the container's parent", &request.id)?;
    let streams = Streams::open(request, &rewritten, &place, descriptors)?;
    let creation = streams.creation(runtime, request, (&place, &bundle), &rewritten)?;
    let stager = Stager {
        staged: mounts,
        stage: &rewritten.stage,
        hidden: &runtime.hidden,
        sealed: runtime.to_seal(),
        only: (runtime.host == HostAccess::ReadOnly && rewritten.host == HostAccess::ReadOnly)
            .then_some(place.path()),
        command: &creation,
        handles: streams.handles(),
        ledger: self::ledger(request, descriptors)?,
        bundle: &bundle,
        extra: request.extra.len(),
    };
    let child = spawn(stager, &gates)?;
    let gate = gates.outer_only();
    let process = identity::of(child.pid).or_fail("read a process's start time", "the staging process");
    let recorded = process.and_then(|process| {
        ledger.record(&Effect::Process(process)).or_fail("write the ledger", &request.id)?;
        let record = record(runtime, process, (&rewritten, &stage), cgroups);
        Record { bundle: bundle.elsewhere().map(Path::to_owned), ..record }.write(&place)?;
        Ok(process)
    });
    match recorded {
        Ok(process) => Ok(Reply {
            document: SandboxReply { pid: process.pid, gate: 0, network: None },
            descriptors: vec![gate.into()],
        }),
        Err(error) => {
            let _ = child.pidfd.send_signal(Signal::KILL);
            let _ = child.pidfd.wait();
            Err(error)
        }
    }
}

/// Where the monitor writes how the workload ended: `create` gets it through the gate, and hands it to `wait`.
fn log(runtime: &Runtime, gates: &gate::Ends) -> Result<Option<DetachedMount>> {
    match runtime.exits {
        ExitSource::Process => Ok(None),
        ExitSource::Monitor => {
            let log = monitor::make()?;
            gates.leave(log.as_fd())?;
            Ok(Some(log))
        }
    }
}

/// What the specification's command line has and this runtime has not.
fn refuse_what_it_lacks(runtime: &Runtime, request: &SandboxRequest) -> Result<()> {
    if request.extra.is_empty() || runtime.has("--preserve-fds") {
        return Ok(());
    }
    Err(Error::new(ErrorCode::NotSupported, "hand descriptors to the workload")
        .on("--preserve-fds")
        .because(format!("{} passes none on", runtime.name))
        .hint("socket activation and sd_notify by descriptor need another backend"))
}

fn record(
    runtime: &Runtime,
    stager: Process,
    (rewritten, stage): (&Rewritten, &Path),
    cgroups: Vec<PathBuf>,
) -> Record {
    Record {
        cgroups,
        program: rewritten.program.clone(),
        terminal: rewritten.terminal,
        size: rewritten.size,
        own_network: rewritten.own_network,
        filtered: rewritten.filtered,
        after: rewritten.after,
        stage: (rewritten.stage != stage).then(|| rewritten.stage.clone()),
        ..Record::new(runtime.clone(), stager)
    }
}

fn refuse_secret_environment(request: &SandboxRequest) -> Result<()> {
    if request.secret_environment.is_none() {
        return Ok(());
    }
    Err(unsupported(
        "secrets[].env",
        "an OCI runtime takes variables from nowhere but the config.json that lies on disk",
    ))
}

/// With systemd the document's own words name slice and scope.
fn cgroupfs_path(request: &SandboxRequest) -> Option<&Path> {
    let placement = request.cgroup.as_ref()?;
    (placement.manager == CgroupManager::Cgroupfs).then_some(&placement.path)
}

/// An OCI runtime makes a group in every hierarchy, whether it is needed or not.
fn cgroups(request: &SandboxRequest) -> Result<Vec<PathBuf>> {
    request.cgroup.as_ref().map_or(Ok(Vec::new()), |placement| groups::everywhere(&placement.path))
}

fn make(place: &Place) -> Result<()> {
    let path = place.path();
    DirBuilder::new().mode(0o700).create(path).or_fail("make the engine's directory", path.display())?;
    // The root's path must be there for later calls too (runc changes to it), though nothing is mounted on it then.
    let root = root_on(&place.stage());
    fs::create_dir_all(&root).or_fail("make the stage", root.display())
}

fn ledger(request: &SandboxRequest, descriptors: Descriptors<'_>) -> Result<Ledger> {
    let ledger = descriptors.get(request.ledger)?.try_clone_to_owned();
    Ok(Ledger::new(File::from(ledger.or_fail("duplicate the ledger", &request.id)?)))
}

fn spawn(stager: Stager<'_>, gates: &gate::Ends) -> Result<Child> {
    let namespaces = NamespaceSet::MOUNT;
    clone::spawn(Clone3 { namespaces, ..Clone3::default() }, move || stager::run(stager, gates.inner_only()))
        .or_fail("start the staging process", "a mount namespace")
}

/// What `create` and the container hold.
struct Streams<'a> {
    standard: [BorrowedFd<'a>; 3],
    extra: Vec<BorrowedFd<'a>>,
    /// With a terminal: an empty input and output, and a file for the runtime's complaints.
    instead: Option<(OwnedFd, File)>,
    /// With a terminal: the directory of the socket that it goes through.
    directory: Option<OwnedFd>,
}

impl<'a> Streams<'a> {
    fn open(
        request: &SandboxRequest,
        rewritten: &Rewritten,
        place: &Place,
        descriptors: Descriptors<'a>,
    ) -> Result<Self> {
        let get = |index: &DescriptorIndex| descriptors.get(*index);
        let [input, output, error] = &request.stdio;
        let stderr = || File::create(place.stderr()).or_fail("make a file", place.stderr().display());
        Ok(Self {
            standard: [get(input)?, get(output)?, get(error)?],
            extra: request.extra.iter().map(get).collect::<Result<_>>()?,
            instead: if rewritten.terminal { Some((null()?, stderr()?)) } else { None },
            directory: rewritten
                .terminal
                .then(|| console::directory(place))
                .transpose()?
                .map(|directory| {
                    process::out_of_the_way(directory.as_fd(), request.extra.len())
                        .or_fail("make room for the workload's descriptors", request.extra.len())
                })
                .transpose()?,
        })
    }

    fn handles(&self) -> Handles<'_> {
        let standard = match &self.instead {
            Some((null, stderr)) => [null.as_fd(), null.as_fd(), stderr.as_fd()],
            None => self.standard,
        };
        let kept = self.directory.iter().map(AsFd::as_fd).collect();
        Handles { standard, extra: self.extra.clone(), kept }
    }

    /// `create --bundle … --pid-file … ID`.
    fn creation(
        &self,
        runtime: &Runtime,
        request: &SandboxRequest,
        (place, bundle): (&Place, &Bundle),
        rewritten: &Rewritten,
    ) -> Result<Command> {
        let mut words: Vec<OsString> =
            vec!["--bundle".into(), (&bundle.path).into(), "--pid-file".into(), place.pid_file().into()];
        if let Some(directory) = &self.directory {
            words.extend(["--console-socket".into(), console::path_in(directory, console::OF_CREATE).into()]);
        }
        if !self.extra.is_empty() {
            words.extend(["--preserve-fds".into(), self.extra.len().to_string().into()]);
        }
        if request.beyond.keyring == Keyring::Callers && runtime.has("--no-new-keyring") {
            words.push("--no-new-keyring".into());
        }
        words.push(request.id.as_str().into());
        debug_assert_eq!(rewritten.terminal, self.directory.is_some());
        let by_systemd = request.cgroup.as_ref().is_some_and(|it| it.manager != CgroupManager::Cgroupfs);
        let mut runtime = runtime.clone();
        runtime.arguments.extend(by_systemd.then(|| "--systemd-cgroup".to_owned()));
        if runtime.exits == ExitSource::Monitor {
            runtime.arguments.push(monitor::flag(&monitor::on(&rewritten.stage)));
        }
        Command::of(&runtime, place, &place.log(), "create", &words)
    }
}
