//! `checkpoint` and `restore`: a container's processes as files, and back, by criu (criu.org).
//!
//! ```text
//! checkpoint: mounts and descriptors of the host found → manifest → criu writes the rest of the processes
//! restore:    manifest against configuration → groups → criu in a mount namespace of its own, in which root and mounts are
//!             prepared → namespaces, hooks → processes
//! ```
//! criu asks us at each point whether to go on, and undoes what it did when nobody answers: if we are killed, a container
//! that was to be written goes on, and one that was to be made is gone.

mod criu;
mod files;
mod labels;
mod manifest;
mod mounts;
mod protobuf;
mod restore;
mod stage;

use std::os::fd::{AsFd, BorrowedFd};

use nucleus_abi::{
    Afterwards, CheckpointRequest, Descriptors, Done, Error, ErrorCode, Extra, Images, ManageCgroups, Result,
};
use nucleus_sys::clone::Clone3;
use nucleus_sys::in_root::Root;
use nucleus_sys::namespace::{Namespace, NamespaceSet};
use nucleus_sys::procfs::{ProcBase, ProcFs};
use nucleus_sys::{OFlags, Pid};
use rustix::event::Timespec;

use crate::cgroups::Freezer;
use crate::config::Configuration;
use crate::fault::{OrFail, unsupported};
use crate::record::Record;
use crate::{cgroups, members, running, start};

use criu::{Criu, Verb};
use manifest::Manifest;
use protobuf::Message;

pub(crate) use restore::restore;

/// Whether there is a criu where it is looked for. Whether it works here is seen when it is called.
pub(crate) fn is_possible() -> bool {
    Criu::is_there()
}

const STEP: &str = "write the container's processes into files";
const LOG: &str = "dump.log";

pub(crate) fn checkpoint(request: &CheckpointRequest, descriptors: Descriptors<'_>) -> Result<Done> {
    let record = running::record(&request.directory, &request.id, STEP)?;
    let configuration = Configuration::parse(request.config.get(), &request.beyond)?;
    can_be_held(&configuration)?;
    // What it holds until then is ours, and criu would write it too.
    if !start::until_executed(&request.directory, Timespec { tv_sec: 5, tv_nsec: 0 })? {
        return Err(Error::new(ErrorCode::WrongState, STEP)
            .on(&request.id)
            .because("its program has been started, and is not executed yet"));
    }
    let criu = Criu::find(request.images.program.as_deref())?;
    let directories = Directories::of(&request.images, descriptors)?;
    let first = Pid::from_raw(record.process.pid.cast_signed())
        .ok_or_else(|| Error::new(ErrorCode::RecordUnreadable, STEP).on(&request.id))?;
    let was_frozen = cgroups::is_frozen(&record.cgroups)?;
    let written = write(request, &record, &configuration, &criu, first, &directories);
    // criu freezes it for as long as it works, and thaws it in any case; one that was killed leaves it frozen.
    let thawed = match Freezer::of(&record.cgroups) {
        Some(freezer) if !was_frozen && freezer.is_frozen()? => freezer.thaw(),
        _ => Ok(()),
    };
    match (written, thawed) {
        (Err(error), Err(more)) => Err(error.and([more])),
        (written, thawed) => written.and(thawed).map(|()| Done::default()),
    }
}

fn write(
    request: &CheckpointRequest,
    record: &Record,
    configuration: &Configuration,
    criu: &Criu,
    first: Pid,
    directories: &Directories<'_>,
) -> Result<()> {
    let proc = ProcFs::open().or_fail("open the host's procfs", "/proc")?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let root = proc.open_magic_link(ProcBase::Process(first), "", "root", flags);
    let root = root.or_fail(STEP, "the container's root")?;
    let mountinfo = proc.read_to_string(ProcBase::Process(first), "mountinfo").or_fail(STEP, "mountinfo")?;
    let found = mounts::external(configuration, &mountinfo, Root::new(root.as_fd()))?;
    let processes: Vec<Pid> = members::open(record)?.into_iter().map(|(pid, _)| pid).collect();
    files::refuse_strangers(first, &processes, &request.id)?;
    let manifest =
        Manifest::new(found.external, found.on_root, files::foreign(first, &processes, &found.ids)?);
    let verb = match request.afterwards {
        Afterwards::GoOnAfterMemory => Verb::PreDump,
        Afterwards::GoOn | Afterwards::Stop => Verb::Dump,
    };
    manifest.write(directories.images)?;
    let options = options(request, record, configuration, &manifest, first, directories)?;
    let worker =
        criu.start(STEP, Clone3::default(), &directories.all(), &[], |_| Ok(()), |_| Ok(()))?.ready(STEP)?;
    let reply = worker.converse(STEP, verb, &options, |_| Ok(()));
    let subject = match &request.page_server {
        Some(server) => format!("{} to the page server {}:{}", request.id, server.address, server.port),
        None => request.id.to_string(),
    };
    reply.map_err(|error| criu::quote(error.on(subject), directories.logs(), LOG))?;
    worker.end(STEP)
}

fn options(
    request: &CheckpointRequest,
    record: &Record,
    configuration: &Configuration,
    manifest: &Manifest,
    first: Pid,
    directories: &Directories<'_>,
) -> Result<Message> {
    let keep_running = u64::from(request.afterwards != Afterwards::Stop);
    let mut options = common(&request.images, directories, LOG)
        .number(2, u64::from(first.as_raw_nonzero().get().cast_unsigned()))
        .number(3, keep_running)
        .each(&manifest.mounts, |options, mount| {
            options.text(37, &format!("mnt[{}]:{}", mount.place, mount.key))
        })
        .each(manifest.files.keys().filter(|name| name.starts_with("file[")), |options, name| {
            options.text(37, name)
        })
        .number(46, u64::from(request.skip_in_flight));
    if let Some(freezer) = Freezer::of(&record.cgroups) {
        options = options.text(44, &freezer.directory().to_string_lossy());
    }
    if let Some(server) = &request.page_server {
        let server = Message::default().text(1, &server.address).number(2, server.port);
        options = options.message(11, &server);
    }
    if request.afterwards == Afterwards::GoOnAfterMemory {
        options = options.number(15, 1_u64);
    }
    if let Some(parent) = &request.parent {
        options = options.text(14, parent).number(15, 1_u64);
    }
    if configuration.namespaces.joined.iter().any(|joined| joined.kind == Namespace::Network) {
        let path = format!("/proc/{}/ns/net", first.as_raw_nonzero());
        let inode = rustix::fs::stat(&path).or_fail(STEP, &path)?.st_ino;
        options = options.text(37, &format!("net[{inode}]:{NETWORK}"));
    }
    Ok(options)
}

/// The key of a network namespace that is not the container's own: runc's, so that its images look alike.
const NETWORK: &str = "extRootNetNS";

/// The number that criu has the directory of images under, followed by that for logs if there is one; 3 is its socket.
const DIRECTORY: u64 = 4;

/// What is asked for in both directions (`criu_opts`).
fn common(images: &Images, directories: &Directories<'_>, log: &str) -> Message {
    const NEW_NETWORK: u64 = 0x4000_0000;
    let extra = |extra| u64::from(images.extras.contains(&extra));
    let mut message = Message::default()
        .number(1, DIRECTORY)
        .number(4, extra(Extra::ExternalUnixSockets))
        .number(5, extra(Extra::TcpEstablished))
        .number(7, extra(Extra::ShellJob))
        .number(8, extra(Extra::FileLocks))
        .number(9, 4_u64)
        .text(10, log)
        .number(12, 1_u64)
        .number(16, extra(Extra::Deduplicate))
        .number(18, extra(Extra::LinkRemap))
        // A terminal whose outer side nobody of the container holds is made anew.
        .number(50, 1_u64);
    if directories.work.is_some() {
        message = message.number(17, DIRECTORY + 1);
    }
    if images.extras.contains(&Extra::EmptyNetwork) {
        message = message.number(38, NEW_NETWORK);
    }
    // 24 is what older releases read.
    let mode = match images.cgroups {
        None => 6_u64,
        Some(ManageCgroups::Ignore) => 0,
        Some(ManageCgroups::Soft) => 3,
        Some(ManageCgroups::Full) => 4,
        Some(ManageCgroups::Strict) => 5,
    };
    message.number(24, 1_u64).number(34, mode)
}

/// The directories of a request.
struct Directories<'a> {
    images: BorrowedFd<'a>,
    work: Option<BorrowedFd<'a>>,
}

impl<'a> Directories<'a> {
    fn of(images: &Images, descriptors: Descriptors<'a>) -> Result<Self> {
        let work = images.work.map(|work| descriptors.get(work)).transpose()?;
        Ok(Self { images: descriptors.get(images.directory)?, work })
    }

    /// What criu holds from [`DIRECTORY`] on.
    fn all(&self) -> Vec<BorrowedFd<'a>> {
        [Some(self.images), self.work].into_iter().flatten().collect()
    }

    /// Where criu writes its log.
    fn logs(&self) -> BorrowedFd<'a> {
        self.work.unwrap_or(self.images)
    }
}

/// Refuses a container that would be less confined when it is restored, or could not be.
///
/// # Errors
/// `not-supported`, naming the field.
fn can_be_held(configuration: &Configuration) -> Result<()> {
    let namespaces = &configuration.namespaces;
    let refuse = |field: &str, cause: &str| Err(unsupported(field, cause));
    if configuration.landlock.is_some() {
        return refuse(
            "security.landlock",
            "criu cannot restore Landlock rules, and processes without them would come back",
        )
        .map_err(|error| {
            error.hint("a container that shall be checkpointed needs `security: {landlock: off}`")
        });
    }
    if configuration.seccomp.as_ref().is_some_and(|program| program.agent.is_some()) {
        return refuse("linux.seccomp.listenerPath", "the agent's descriptor cannot be written into a file");
    }
    let cannot = |kind: Namespace| !matches!(kind, Namespace::Network | Namespace::Ipc | Namespace::Uts);
    if let Some(joined) = namespaces.joined.iter().find(|joined| cannot(joined.kind)) {
        let field = format!("linux.namespaces: {}", joined.kind.oci_name());
        return refuse(&field, "criu can join no such namespace of somebody else's");
    }
    if !namespaces.new.contains(NamespaceSet::PID) {
        return refuse(
            "linux.namespaces: pid",
            "the processes' ids may be taken on the host when they come back",
        );
    }
    if !configuration.net_devices.is_empty() {
        return refuse("linux.netDevices", "a device of the host cannot be written into a file");
    }
    Ok(())
}
