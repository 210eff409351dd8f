//! `restore`: a new container whose processes come out of images.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nucleus_abi::{
    CreateReply, Descriptors, Effect, Error, ErrorCode, Ledger, Process, Reply, RestoreRequest, Result,
    SandboxRequest, Status,
};
use nucleus_sys::clone::Clone3;
use nucleus_sys::namespace::Namespace;
use nucleus_sys::pidfd::PidFd;
use nucleus_sys::{Mode, OFlags, Pid};

use super::criu::{self, Criu, Notice, Ready, Verb, Worker};
use super::files::Giver;
use super::manifest::Manifest;
use super::protobuf::Message;
use super::stage::{self, Stage};
use super::{DIRECTORY, Directories, NETWORK, can_be_held, common, labels};
use crate::cgroups::{self, Group, KillBy, Scope, Version};
use crate::config::{Configuration, Point};
use crate::fault::OrFail;
use crate::gate::{self, Word};
use crate::hooks::{Callbacks, Moment};
use crate::joining::Target;
use crate::record::Record;
use crate::workload::scheduling;
use crate::{identity, sandbox, sources, targets};

const STEP: &str = "make the container's processes of the checkpoint";
const LOG: &str = "restore.log";

/// Makes it.
pub(crate) fn restore(request: &RestoreRequest, descriptors: Descriptors<'_>) -> Result<Reply<CreateReply>> {
    let wanted = &request.sandbox;
    let configuration = Configuration::parse(wanted.config.get(), &wanted.beyond)?;
    can_be_held(&configuration)?;
    labels::check(request)?;
    let criu = Criu::find(request.images.program.as_deref())?;
    let directories = Directories::of(&request.images, descriptors)?;
    let manifest = Manifest::read(directories.images)?;
    manifest.check(&configuration)?;
    let kill_by = sandbox::kill_by(&configuration);
    let groups = cgroups::groups(wanted.cgroup.as_ref(), &configuration.limits, kill_by)?;
    let mut ledger = sandbox::ledger(wanted, descriptors)?;
    sandbox::record_groups(&mut ledger, &groups)?;
    let callbacks = sandbox::callbacks(&configuration, wanted);
    let joins = targets::open(&configuration, wanted, descriptors)?;
    let given = Inherited::find(&manifest, &joins, wanted, descriptors)?;
    let directory = wanted.directory.join("restore");
    rustix::fs::mkdir(&directory, Mode::from(0o700)).or_fail(STEP, directory.display())?;
    let sources = sources::open(&configuration, &joins, wanted, descriptors)?;
    let stage = Stage {
        directory: &directory,
        configuration: &configuration,
        groups: &groups,
        external: &manifest.mounts,
        places: &manifest.places,
        id: wanted.id.as_str(),
    };
    let unified = sandbox::make_unified(&groups)?;
    if let Some((group, owner)) = unified.as_ref().zip(cgroups::owner(&configuration)) {
        cgroups::delegate(group, owner)?;
    }
    let clone = Clone3 { cgroup: unified.as_ref().map(cgroups::Made::directory), ..Clone3::default() };
    let worker = criu.start(
        STEP,
        clone,
        &directories.all(),
        &given.descriptors(),
        |gate| stage.build(sources, gate),
        |program| stage::own_tmp(&[program, &directory]),
    )?;
    // If we are killed and it does not end of itself, whoever removes the container ends it: it traces the processes.
    let process = identity::of(worker.pid()).or_fail(STEP, worker.pid().as_raw_nonzero())?;
    ledger.record(&Effect::Process(process)).or_fail("write the ledger", &wanted.id)?;
    equip(&worker, &configuration, &groups, wanted, &mut ledger)?;
    let worker = worker.ready(STEP)?;
    let options = options(request, &configuration, &manifest, &given, &directory, &directories, &worker)?;
    let mut made = Made { ledger, callbacks: callbacks.as_ref(), process: None, console: None };
    let reply = worker
        .converse(STEP, Verb::Restore, &options, |notice| made.hear(notice))
        .map_err(|error| criu::quote(error.on(&wanted.id), directories.logs(), LOG))?;
    worker.end(STEP)?;
    let (pidfd, process) = made.first(&reply)?;
    let later = cgroups::possible_later(wanted.cgroup.as_ref(), &groups);
    let record = Record::new(process, kill_by == KillBy::PidNamespace, cgroups::directories(&groups), later);
    let unit = Scope::of(wanted.cgroup.as_ref()).map(|scope| scope.unit().to_owned());
    let console = made.console.take();
    Record { unit, callbacks, ..record }.write(&wanted.directory)?;
    rustix::fs::rmdir(&directory).or_fail(STEP, directory.display())?;
    let document = CreateReply {
        pid: Some(process.pid),
        wait: 0,
        failure: None,
        console: console.as_ref().map(|_| 1),
        warnings: configuration.warnings,
        started: true,
    };
    let pidfd = pidfd.as_fd().try_clone_to_owned().or_fail("duplicate a pidfd", &wanted.id)?;
    Ok(Reply { document, descriptors: [pidfd].into_iter().chain(console).collect() })
}

/// Does for criu what `sandbox` does for the process that becomes the workload: those that it makes inherit it.
fn equip(
    worker: &Worker,
    configuration: &Configuration,
    groups: &[Group],
    wanted: &SandboxRequest,
    ledger: &mut Ledger,
) -> Result<()> {
    if let Some(scope) = Scope::of(wanted.cgroup.as_ref()) {
        scope.start(&wanted.id, worker.pid(), &cgroups::settings(groups))?;
    }
    let mut doors = Vec::new();
    for group in groups.iter().filter(|group| !group.can_be_born_in()) {
        let made = group.make()?;
        if group.version() == Version::V1 {
            doors.push(made.door()?);
        }
    }
    if let Some(class) = sandbox::class_of_service(configuration, wanted, ledger)? {
        class.enter(worker.pid().as_raw_nonzero().get().cast_unsigned())?;
    }
    gate::tell(worker.gate(), Word::Enter, &doors.iter().map(AsFd::as_fd).collect::<Vec<_>>())?;
    scheduling::schedule(Some(worker.pid()), &configuration.process)
}

/// Descriptors that criu holds for the processes.
struct Inherited<'a> {
    /// criu's name for each.
    list: Vec<(String, Descriptor<'a>)>,
}

enum Descriptor<'a> {
    Callers(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl<'a> Inherited<'a> {
    fn find(
        manifest: &Manifest,
        joins: &'a [Target],
        wanted: &SandboxRequest,
        descriptors: Descriptors<'a>,
    ) -> Result<Self> {
        let mut list = Vec::new();
        for (name, giver) in &manifest.files {
            list.push((
                name.clone(),
                match giver {
                    Giver::Standard(number) => {
                        let index = wanted.stdio.get(usize::from(*number)).copied().unwrap_or(usize::MAX);
                        let callers = descriptors.get(index)?;
                        refuse_other_kind(name, *number, callers)?;
                        Descriptor::Callers(callers)
                    }
                    Giver::Null => {
                        let flags = OFlags::RDWR | OFlags::CLOEXEC;
                        let null = rustix::fs::open("/dev/null", flags, Mode::empty());
                        Descriptor::Opened(null.or_fail(STEP, "/dev/null")?)
                    }
                },
            ));
        }
        let network = joins.iter().find(|target| target.kind == Namespace::Network);
        list.extend(network.map(|target| (NETWORK.to_owned(), Descriptor::Callers(target.file.as_fd()))));
        Ok(Self { list })
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.list.iter().map(|(_, descriptor)| descriptor.as_fd()).collect()
    }
}

impl AsFd for Descriptor<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Callers(borrowed) => *borrowed,
            Self::Opened(owned) => owned.as_fd(),
        }
    }
}

/// criu goes on at the old place of a file: what takes its place must have places too.
fn refuse_other_kind(name: &str, number: u8, file: BorrowedFd<'_>) -> Result<()> {
    if !name.starts_with("file[") || rustix::fs::tell(file).is_ok() {
        return Ok(());
    }
    Err(Error::new(ErrorCode::HostUnfit, STEP)
        .on(format!("standard descriptor {number}"))
        .because("it was a file when the checkpoint was made, and is none now")
        .hint("redirect it to a file"))
}

fn options(
    request: &RestoreRequest,
    configuration: &Configuration,
    manifest: &Manifest,
    given: &Inherited<'_>,
    directory: &Path,
    directories: &Directories<'_>,
    worker: &Ready,
) -> Result<Message> {
    let pair = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
    let groups = groups_of(worker.pid())?;
    let first = DIRECTORY + directories.all().len() as u64;
    let inherited = (first..).zip(&given.list);
    let shared = |kind| matches!(kind, Namespace::Ipc | Namespace::Uts);
    let shared = configuration.namespaces.joined.iter().filter(|joined| shared(joined.kind));
    let options = common(&request.images, directories, LOG)
        .text(13, &stage::root_path(directory).to_string_lossy())
        // The first process becomes our child, not criu's.
        .number(26, 1_u64)
        .number(6, 1_u64)
        .each(&manifest.mounts, |options, mount| {
            let path = stage::path_of(directory, mount);
            options.text(37, &format!("mnt[{}]:{}", mount.key, path.display()))
        })
        .each(&groups, |options, (controller, path)| options.message(25, &pair(controller, path)))
        .each(inherited, |options, (number, (name, _))| {
            options.message(27, &Message::default().text(1, name).number(2, number))
        })
        .each(shared, |options, joined| {
            options.message(39, &pair(joined.kind.proc_name(), &joined.path.to_string_lossy()))
        })
        .each(&request.lsm_profile, |options, profile| options.text(53, profile))
        .each(&request.lsm_mount_context, |options, context| options.text(55, context));
    Ok(options)
}

/// Where criu stands is where the processes shall stand: the groups in its images are put below.
fn groups_of(process: Pid) -> Result<Vec<(String, String)>> {
    let path = format!("/proc/{}/cgroup", process.as_raw_nonzero());
    let text = std::fs::read_to_string(&path).or_fail(STEP, &path)?;
    let line = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        Some((controllers.to_owned(), path.to_owned()))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// What comes into being while criu works.
struct Made<'a> {
    ledger: Ledger,
    callbacks: Option<&'a Callbacks>,
    process: Option<Process>,
    console: Option<OwnedFd>,
}

impl Made<'_> {
    fn hear(&mut self, notice: Notice) -> Result<()> {
        if let (Some(pid), None) = (notice.pid, self.process) {
            self.note(pid)?;
        }
        match notice.point.as_str() {
            "setup-namespaces" => self.call_hooks(),
            "orphan-pts-master" => {
                self.console = notice.descriptors.into_iter().next();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// It goes into the ledger before it runs.
    fn note(&mut self, pid: Pid) -> Result<()> {
        let process = identity::of(pid).or_fail(STEP, pid.as_raw_nonzero())?;
        self.process = Some(process);
        self.ledger.record(&Effect::Process(process)).or_fail("write the ledger", pid.as_raw_nonzero())
    }

    /// As runc has it: those that prepare namespaces are called, for these are new. The others concern the start of a
    /// program, which this is not.
    fn call_hooks(&self) -> Result<()> {
        let Some(callbacks) = self.callbacks else { return Ok(()) };
        let moment = Moment { status: Status::Creating, pid: self.process.map(|process| process.pid) };
        [Point::Prestart, Point::CreateRuntime]
            .into_iter()
            .try_for_each(|point| callbacks.call(point, moment))
    }

    fn first(&mut self, reply: &[u8]) -> Result<(PidFd, Process)> {
        let pid = criu::restored(reply).ok_or_else(|| {
            Error::new(ErrorCode::Protocol, STEP).because("criu does not say which process it has made")
        })?;
        // It is our child, which nobody else can reap.
        let pidfd = PidFd::open(pid).or_fail(STEP, pid.as_raw_nonzero())?;
        if self.process.is_none_or(|process| process.pid != pid.as_raw_nonzero().get().cast_unsigned()) {
            self.note(pid)?;
        }
        let process = self.process.ok_or_else(|| Error::new(ErrorCode::Protocol, STEP))?;
        Ok((pidfd, process))
    }
}
