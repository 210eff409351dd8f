//! The child's side: the container is built from inside, as a list of steps.
//!
//! [`steps`] decides purely which steps there are and in which order; [`Step::run`] does one. The order is the security
//! argument: what the kernel demands and what recent escapes taught stands beside each step.

pub(crate) mod cgroup_mount;
mod console;
mod copy_up;
pub(crate) mod devices;
mod mounts;
pub(crate) mod namespaces;
mod nodes;
mod own;
mod paths;
mod root;
mod sysctls;

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Error, Init, Result, Status};
use nucleus_sys::in_root::Root;
use nucleus_sys::last_stage::Role;
use nucleus_sys::mount::{DetachedMount, Propagation, Reach};
use nucleus_sys::namespace::{Namespace, NamespaceSet};
use nucleus_sys::procfs::ProcFs;
use nucleus_sys::socket::Socket;
use nucleus_sys::terminal::Pty;

use crate::cgroups::{self, Group, Version};
use crate::config::{self, Access, Configuration, Content, Labels, Mount, Point, Terminal};
use crate::fault::OrFail;
use crate::gate::{self, Message, Word};
use crate::hooks::{Callbacks, Moment};
use crate::joining::{Target, is_for_parent};
use crate::sources::Sources;
use crate::workload::{Given, Handover, labels};

use own::{Own, Site};

/// What the child gets from its parent, by being a copy of it.
pub(crate) struct Inside<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) sources: Sources,
    pub(crate) joins: Vec<Target>,
    pub(crate) groups: &'a [Group],
    /// Both ends of the start FIFO.
    pub(crate) start: OwnedFd,
    /// Both ends of the FIFO by which `start` learns what becomes of the workload.
    pub(crate) started: Option<OwnedFd>,
    pub(crate) callbacks: Option<&'a Callbacks>,
    /// Writing end of the failure pipe.
    pub(crate) errors: OwnedFd,
    pub(crate) given: Given<'a>,
    /// Variables of the workload that stand in no document.
    pub(crate) secrets: Option<BorrowedFd<'a>>,
    /// The container's id.
    pub(crate) id: &'a str,
}

/// One step of building the container.
#[derive(Debug, Clone, Copy)]
enum Step<'c> {
    /// Become non-dumpable: from here on nobody in the container's namespaces can look into us (CVE-2016-9962).
    Hide,
    /// Wait until the id maps are written; before, every id is the overflow id.
    AwaitMaps,
    /// Become root of the user namespace.
    BecomeRoot,
    /// Enter a namespace that exists.
    Join(&'c Target),
    /// Leave the caller's session and its keys behind.
    NewSession,
    /// Host and domain name.
    Name,
    /// The loopback interface of a new network namespace.
    Loopback,
    /// Cut the mount namespace off the host's, so that nothing we mount is seen there.
    Isolate,
    /// Attach the root file system.
    AttachRoot,
    /// Refuse an image whose `/dev`, `/proc` or `/sys` is a link (CVE-2019-16884 and its family).
    RefuseLinks,
    /// Our own `/dev`, where the configuration mounts none.
    MountDev,
    /// The standard nodes and links in `/dev`.
    PopulateDev,
    /// One entry of `mounts`.
    Mount(&'c Mount),
    /// Nodes of `linux.devices`, in a `/dev` of ours.
    Devices,
    /// Nodes of `linux.devices`, in a `/dev` of the host's.
    CheckDevices,
    /// A terminal, and `/dev/console` on it.
    Terminal(Terminal),
    /// Masked and read-only paths.
    Cover,
    /// Enter the groups of cgroup v1 when they are made and limited; in one of v2 we were born.
    EnterGroups,
    /// Wait until the network is in place, and the core says "go".
    AwaitGo,
    /// The cgroup namespace: its root is where the process stands when it is made (`cgroup_namespaces(7)`).
    CgroupNamespace,
    /// Kernel parameters, when the network is there.
    Sysctls,
    /// Ask for the labels of security modules, while the host's procfs is there. Programs that we call get them too, thus as
    /// late as possible.
    Label,
    /// Hooks of the runtime's side: told outside that all is mounted, and waited for.
    AwaitHooks,
    /// The createContainer hooks, while the host's programs can still be found.
    CallHooks,
    /// Each tmpfs that shall be read-only becomes so, by its descriptor, after the places for mounts were made in it.
    SealMemory,
    /// So does the root, after what hooks write to it (`ldconfig`).
    SealRoot,
    /// The new root becomes the only one.
    Pivot,
    /// The propagation of the root, and whether of all mounts, where it is more than what they were made with.
    Propagate(Propagation, Reach),
}

/// The steps of a container, in order.
fn steps<'c>(configuration: &'c Configuration, joins: &'c [Target], groups: &[Group]) -> Vec<Step<'c>> {
    let namespaces = &configuration.namespaces;
    let own = |set| namespaces.new.contains(set);
    let labelled = configuration.process.labels != Labels::default();
    let mut steps = vec![Step::Hide];
    if own(NamespaceSet::USER) {
        steps.extend([Step::AwaitMaps, Step::BecomeRoot]);
    }
    for target in joins.iter().filter(|target| !is_for_parent(target.kind, namespaces)) {
        if target.kind == Namespace::Mount && labelled {
            steps.push(Step::Label);
        }
        steps.push(Step::Join(target));
    }
    steps.extend([Step::NewSession, Step::Name]);
    if own(NamespaceSet::NETWORK) {
        steps.push(Step::Loopback);
    }
    let mut late = Vec::new();
    if groups.iter().any(|group| group.version() == Version::V1) {
        late.push(Step::EnterGroups);
    }
    late.push(Step::AwaitGo);
    if own(NamespaceSet::CGROUP) {
        late.push(Step::CgroupNamespace);
    }
    if namespaces.own_mounts() {
        build(configuration, &mut steps, &mut late);
    }
    steps.append(&mut late);
    steps.push(Step::Sysctls);
    let hooks = &configuration.hooks;
    if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() {
        steps.push(Step::AwaitHooks);
    }
    if !hooks.create_container.is_empty() {
        steps.push(Step::CallHooks);
    }
    if configuration.mounts.iter().any(Mount::seals) {
        steps.push(Step::SealMemory);
    }
    if let Some(root) = &configuration.root {
        if labelled {
            steps.push(Step::Label);
        }
        if root.access == Access::ReadOnly {
            steps.push(Step::SealRoot);
        }
        steps.push(Step::Pivot);
        steps.extend(late_propagation(root));
    }
    steps
}

/// Private and slave the mounts are made already.
fn late_propagation<'c>(root: &config::Root) -> Option<Step<'c>> {
    let (propagation, reach) = root.propagation;
    matches!(propagation, Propagation::Shared | Propagation::Unbindable)
        .then_some(Step::Propagate(propagation, reach))
}

/// The cgroups, which our parent makes while we mount, go before the first mount that shows them, else they stay for the end.
fn build<'c>(configuration: &'c Configuration, steps: &mut Vec<Step<'c>>, late: &mut Vec<Step<'c>>) {
    steps.extend([Step::Isolate, Step::AttachRoot, Step::RefuseLinks]);
    let is_dev = |mount: &&Mount| devices::is_dev(&mount.target);
    if !configuration.mounts.iter().any(|mount| is_dev(&mount)) {
        steps.extend([Step::MountDev, Step::PopulateDev]);
    }
    for mount in &configuration.mounts {
        if matches!(mount.content, Content::Cgroup) {
            steps.append(late);
        }
        steps.push(Step::Mount(mount));
        // A `/dev` of the host's is left as it is.
        if is_dev(&mount) && mount.is_memory() {
            steps.push(Step::PopulateDev);
        }
    }
    if !configuration.devices.is_empty() {
        let hosts_dev = configuration.mounts.iter().any(|mount| is_dev(&mount) && !mount.is_memory());
        steps.push(if hosts_dev { Step::CheckDevices } else { Step::Devices });
    }
    steps.extend(configuration.process.terminal.map(Step::Terminal));
    steps.push(Step::Cover);
}

/// What is known and held while the container is being built.
struct Build<'a> {
    configuration: &'a Configuration,
    gate: Socket,
    groups: &'a [Group],
    id: &'a str,
    callbacks: Option<&'a Callbacks>,
    detached_root: Option<DetachedMount>,
    binds: std::collections::BTreeMap<usize, crate::sources::Bind>,
    root: Option<OwnedFd>,
    own: Own,
    /// The attached `/dev/null` of the container.
    null: Option<OwnedFd>,
    /// Mounts to be made read-only at the end.
    unsealed: Vec<OwnedFd>,
    pty: Option<Pty>,
}

/// What the last stage needs beyond the gate.
struct Pipes {
    start: OwnedFd,
    started: Option<OwnedFd>,
    errors: OwnedFd,
}

/// Why the child leaves without having become the workload.
enum Leave {
    /// Nobody is there any more at the other end of the gate.
    Abandoned,
    /// A step failed.
    Failed(Box<Error>),
}

impl From<Error> for Leave {
    fn from(error: Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// The child's life. Returns the status to exit with, if it does not become the workload.
pub(crate) fn run(inside: Inside<'_>, gate: Socket) -> i32 {
    let Inside {
        configuration,
        sources,
        joins,
        groups,
        start,
        started,
        callbacks,
        errors,
        given,
        secrets,
        id,
    } = inside;
    let mut build = Build {
        configuration,
        gate,
        groups,
        id,
        callbacks,
        detached_root: sources.root,
        binds: sources.binds,
        root: None,
        own: Own::default(),
        null: None,
        unsealed: Vec::new(),
        pty: None,
    };
    let Err(leave) = build.life(&joins, &given, secrets, Pipes { start, started, errors });
    if let Leave::Failed(error) = leave {
        // If nobody listens any more, nobody is there to tell.
        let _ = gate::send(&build.gate, &Message::Failed(*error), &[]);
    }
    1
}

impl<'a> Build<'a> {
    fn life(
        &mut self,
        joins: &'a [Target],
        given: &Given<'_>,
        secrets: Option<BorrowedFd<'_>>,
        pipes: Pipes,
    ) -> std::result::Result<Infallible, Leave> {
        given.keep_clear(&mut self.gate)?;
        self.all(joins)?;
        let handover = Handover {
            process: &self.configuration.process,
            each_process: &self.configuration.each_process,
            seccomp: self.configuration.seccomp.as_ref(),
            landlock: self.configuration.landlock.as_deref(),
            role: match self.configuration.init {
                Init::Workload => Role::Workload,
                Init::Reaper => Role::Init,
            },
            pty: self.pty.take(),
            given,
            secrets,
            start: Some(pipes.start),
            report: pipes.started,
            hooks: match self.callbacks {
                Some(callbacks) => callbacks.of_last_stage(std::process::id())?,
                None => None,
            },
            errors: pipes.errors,
        };
        handover.become_last_stage(&self.gate).map_err(Leave::from)
    }

    fn all(&mut self, joins: &'a [Target]) -> std::result::Result<(), Leave> {
        // Modes are given exactly where files are made; the workload's own mask is set at the end.
        nucleus_sys::process::set_umask(nucleus_sys::Mode::empty());
        steps(self.configuration, joins, self.groups).into_iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: Step<'a>) -> std::result::Result<(), Leave> {
        match step {
            Step::AwaitMaps => return self.hear(Word::Mapped).map(drop),
            Step::AwaitGo => return self.hear(Word::Go).map(drop),
            Step::EnterGroups => return self.enter_groups(),
            Step::AwaitHooks => return self.await_hooks(),
            Step::CallHooks => self.call_hooks(),
            Step::Hide => namespaces::hide(),
            Step::BecomeRoot => namespaces::become_root(),
            Step::Join(target) => target.join(),
            Step::NewSession => namespaces::new_session(
                self.id,
                self.configuration.keyring,
                self.configuration.seccomp.as_ref(),
            ),
            Step::Name => namespaces::name(self.configuration),
            Step::Loopback => namespaces::loopback(),
            Step::Isolate => root::isolate(),
            Step::AttachRoot => self.attach_root(),
            Step::RefuseLinks => root::refuse_links(self.root()),
            Step::MountDev => self.mount_dev(),
            Step::PopulateDev => self.populate_dev(),
            Step::Mount(mount) => self.mount(mount),
            Step::Devices => nodes::add(self.root(), &self.configuration.devices),
            Step::CheckDevices => nodes::check(self.root(), &self.configuration.devices),
            Step::Terminal(terminal) => self.make_terminal(terminal),
            Step::Cover => self.cover(),
            Step::SealMemory => mounts::seal(&self.unsealed),
            Step::SealRoot => root::seal(self.root_fd()),
            Step::CgroupNamespace => namespaces::cgroup(),
            Step::Sysctls => sysctls::write(&self.configuration.sysctls),
            Step::Label => self.label(),
            Step::Pivot => root::pivot(self.root_fd()),
            Step::Propagate(propagation, reach) => root::propagate(self.root_fd(), propagation, reach),
        }
        .map_err(Leave::from)
    }

    fn hear(&self, word: Word) -> std::result::Result<Vec<OwnedFd>, Leave> {
        gate::hear(&self.gate, word)?.ok_or(Leave::Abandoned)
    }

    fn label(&self) -> Result<()> {
        let proc = ProcFs::open().or_fail("open the host's procfs", "/proc")?;
        labels::ask_for(&proc, &self.configuration.process.labels)
    }

    fn enter_groups(&self) -> std::result::Result<(), Leave> {
        let doors = self.hear(Word::Enter)?;
        doors.iter().try_for_each(|door| cgroups::enter(door.as_fd())).map_err(Leave::from)
    }

    fn await_hooks(&self) -> std::result::Result<(), Leave> {
        gate::send(&self.gate, &Message::Mounted, &[])?;
        self.hear(Word::Pivot).map(drop)
    }

    fn call_hooks(&self) -> Result<()> {
        let Some(callbacks) = self.callbacks else { return Ok(()) };
        // `std::process::id` is the id in our own pid namespace: the container's.
        let moment = Moment { status: Status::Creating, pid: Some(std::process::id()) };
        match &self.root {
            Some(root) => callbacks.call_in(Point::CreateContainer, moment, root.as_fd()),
            None => callbacks.call(Point::CreateContainer, moment),
        }
    }

    fn root_fd(&self) -> BorrowedFd<'_> {
        self.root.as_ref().expect("the root is attached before anything is done in it").as_fd()
    }

    fn root(&self) -> Root<'_> {
        Root::new(self.root_fd())
    }

    fn attach_root(&mut self) -> Result<()> {
        let detached = self.detached_root.take().expect("a container with its own mounts has a root");
        self.root = Some(root::attach(detached)?);
        Ok(())
    }

    fn mount_dev(&mut self) -> Result<()> {
        self.own.keep_dev(devices::mount_dev(self.root())?);
        Ok(())
    }

    fn site<'s>(&'s self, mount: &'s Mount) -> Site<'s> {
        self.own.site(self.root(), &mount.target)
    }

    fn populate_dev(&mut self) -> Result<()> {
        let dev = self.own.dev().expect("only a `/dev` of ours is filled");
        self.null = Some(devices::populate(dev.as_fd())?);
        Ok(())
    }

    fn mount(&mut self, mount: &Mount) -> Result<()> {
        match &mount.content {
            Content::Bind { .. } => {
                let bind =
                    self.binds.remove(&mount.index).expect("each bind mount was prepared by the parent");
                let made = mounts::bind(&self.site(mount), bind)?;
                self.own.keep(mount, made);
                Ok(())
            }
            Content::New(file_system) => {
                let namespaces = &self.configuration.namespaces;
                let made = mounts::file_system(&self.site(mount), mount, file_system, namespaces)?;
                if mount.seals() {
                    let unsealed = made.try_clone().or_fail("duplicate a descriptor", &mount.target)?;
                    self.unsealed.push(unsealed);
                }
                self.own.keep(mount, made);
                Ok(())
            }
            Content::Remount(data) => mounts::remount(&self.site(mount), mount, data),
            Content::Cgroup => cgroup_mount::mount(self.root(), mount, self.configuration, self.groups),
        }
    }

    fn make_terminal(&mut self, terminal: Terminal) -> Result<()> {
        self.pty = Some(console::make(self.root(), terminal)?);
        Ok(())
    }

    fn cover(&self) -> Result<()> {
        let mut null = paths::Null::new(self.null.as_ref());
        let site = |path| self.own.site(self.root(), path);
        paths::mask(site, &self.configuration.masked, &mut null)?;
        paths::make_readonly(site, &self.configuration.readonly)
    }
}

#[cfg(test)]
mod tests;
