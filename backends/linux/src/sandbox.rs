//! The parent's side of `sandbox`: one clone3 makes all, and the ledger knows of it.
//!
//! The child begins to build at once, while we make its cgroups: it waits only where it needs what we do (its id maps,
//! its cgroups). What it builds is seen by nobody before `create`, and dies with it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nucleus_abi::{
    Descriptors, Effect, Error, Ledger, NetworkWish, Process, Reply, Result, SandboxReply, SandboxRequest,
};
use nucleus_sys::Pid;
use nucleus_sys::calls;
use nucleus_sys::clone::{Child, Clone3};
use nucleus_sys::id_map::SetGroups;
use nucleus_sys::namespace::{Namespace, NamespaceSet};
use nucleus_sys::procfs::{ProcBase, ProcFs};
use nucleus_sys::socket::Socket;

use crate::cgroups::{self, Group, KillBy, Scope, Version};
use crate::config::Configuration;
use crate::fault::{OrFail, lacks, system};
use crate::gate::{self, Message, Word};
use crate::hooks::{Callbacks, Subject, started};
use crate::init::{self, Inside};
use crate::joining::ForTheChild;
use crate::record::Record;
use crate::unfinished::Unfinished;
use crate::workload::{Given, rights, scheduling, secrets};
use crate::{identity, intermediate, net_devices, resctrl, sources, start, targets};

/// Makes the sandbox.
pub(crate) fn sandbox(request: &SandboxRequest, descriptors: Descriptors<'_>) -> Result<Reply<SandboxReply>> {
    let configuration = Configuration::parse(request.config.get(), &request.beyond)?;
    // What is missing of mounts shows itself at the first of them; without these the container could not be ended.
    if let Some(call) = calls::missing(&calls::PROCESS) {
        return Err(lacks("make a container", call));
    }
    let kill_by = kill_by(&configuration);
    let groups = cgroups::groups(request.cgroup.as_ref(), &configuration.limits, kill_by)?;
    let mut ledger = ledger(request, descriptors)?;
    let later = cgroups::possible_later(request.cgroup.as_ref(), &groups);
    record_groups(&mut ledger, &groups)?;
    let gates = gate::Ends::make(request.id.as_str())?;
    let (failure, errors) = std::io::pipe().or_fail("make a pipe", request.id.as_str())?;
    let unified = make_unified(&groups)?;
    if let Some((group, owner)) = unified.as_ref().zip(cgroups::owner(&configuration)) {
        cgroups::delegate(group, owner)?;
    }
    let callbacks = callbacks(&configuration, request);
    let class = class_of_service(&configuration, request, &mut ledger)?;
    let joins = targets::open(&configuration, request, descriptors)?;
    let network = net_devices::joined(&configuration.net_devices, &joins)?;
    let inside = Inside {
        configuration: &configuration,
        sources: sources::open(&configuration, &joins, request, descriptors)?,
        joins,
        groups: &groups,
        start: start::make(&request.directory)?,
        started: started(callbacks.as_ref(), request)?,
        callbacks: callbacks.as_ref(),
        errors: errors.into(),
        given: Given::find(request.stdio, &request.extra, descriptors)?,
        secrets: secrets::find(request.secret_environment, descriptors)?,
        id: request.id.as_str(),
    };
    let child = Unfinished::new(clone(inside, &gates, unified.as_ref().map(cgroups::Made::directory))?);
    let child_pid = child.get().pid;
    let (outer, inner) = gates.both();
    let scope = Scope::of(request.cgroup.as_ref());
    if let Some(scope) = scope {
        scope.start(&request.id, child.get().pid, &cgroups::settings(&groups))?;
    }
    let process = equip(child.get(), &configuration, &groups, network, &outer)?;
    class.as_ref().map_or(Ok(()), |class| class.enter(process.pid))?;
    ledger.record(&Effect::Process(process)).or_fail("write the ledger", request.id.as_str())?;
    let record = Record::new(process, kill_by == KillBy::PidNamespace, cgroups::directories(&groups), later);
    let unit = scope.map(|scope| scope.unit().to_owned());
    Record { unit, class: class.and_then(resctrl::Place::own), callbacks, ..record }
        .write(&request.directory)?;
    hand_over(&inner, process, configuration.warnings, child, failure.as_fd())?;
    let network = match request.network {
        NetworkWish::Leave => None,
        NetworkWish::Attach => Some(net_devices::network(child_pid)?),
    };
    let document = SandboxReply { pid: process.pid, gate: 0, network: network.as_ref().map(|_| 1) };
    Ok(Reply { document, descriptors: [OwnedFd::from(outer)].into_iter().chain(network).collect() })
}

/// `None` without hooks and without an agent: then nothing of it costs anything.
pub(crate) fn callbacks(configuration: &Configuration, request: &SandboxRequest) -> Option<Callbacks> {
    let subject = || Subject {
        oci_version: configuration.oci_version.clone(),
        id: request.id.to_string(),
        bundle: request.bundle.clone(),
        annotations: configuration.annotations.clone(),
    };
    let hooks = &configuration.hooks;
    let has_agent = configuration.seccomp.as_ref().is_some_and(|program| program.agent.is_some());
    (has_agent || !hooks.are_none()).then(|| Callbacks { hooks: hooks.clone(), subject: subject() })
}

fn started(callbacks: Option<&Callbacks>, request: &SandboxRequest) -> Result<Option<OwnedFd>> {
    let followed = callbacks.filter(|callbacks| callbacks.follow_the_start());
    followed.map(|_| started::make(&request.directory)).transpose()
}

pub(crate) fn kill_by(configuration: &Configuration) -> KillBy {
    // In a joined pid namespace the first process is not the one whose end ends all.
    if configuration.namespaces.new.contains(NamespaceSet::PID) {
        KillBy::PidNamespace
    } else {
        KillBy::Cgroup
    }
}

pub(crate) fn ledger(request: &SandboxRequest, descriptors: Descriptors<'_>) -> Result<Ledger> {
    let ledger = descriptors.get(request.ledger)?.try_clone_to_owned();
    Ok(Ledger::new(File::from(ledger.or_fail("duplicate the ledger", request.id.as_str())?)))
}

pub(crate) fn record_groups(ledger: &mut Ledger, groups: &[Group]) -> Result<()> {
    let directories = cgroups::directories(groups);
    if directories.is_empty() {
        return Ok(());
    }
    let effect = Effect::Cgroup { directories };
    ledger.record(&effect).or_fail("write the ledger", "the container's cgroups")
}

pub(crate) fn class_of_service<'c>(
    configuration: &'c Configuration,
    request: &SandboxRequest,
    ledger: &mut Ledger,
) -> Result<Option<resctrl::Place<'c>>> {
    let Some(wanted) = &configuration.intel_rdt else { return Ok(None) };
    let place = resctrl::Place::find(wanted, request.id.as_str())?;
    if let Some(effect) = place.effect(wanted) {
        ledger.record(&effect).or_fail("write the ledger", "linux.intelRdt")?;
    }
    Ok(Some(place))
}

/// The group of cgroup v2 comes first: the child is born in it.
pub(crate) fn make_unified(groups: &[Group]) -> Result<Option<cgroups::Made>> {
    groups.iter().find(|group| group.can_be_born_in()).map(Group::make).transpose()
}

fn clone(inside: Inside<'_>, gates: &gate::Ends, cgroup: Option<BorrowedFd<'_>>) -> Result<Child> {
    let wanted = &inside.configuration.namespaces;
    let mut namespaces = wanted.new - NamespaceSet::CGROUP;
    if !wanted.offsets.is_empty() {
        namespaces -= NamespaceSet::TIME;
    }
    if let Some(user) = inside.joins.iter().position(|target| target.kind == Namespace::User) {
        return intermediate::clone(inside, user, namespaces, cgroup, || gates.inner_only());
    }
    let entered = ForTheChild::enter(&inside.joins, wanted)?;
    let args = Clone3 { namespaces, cgroup, ..Clone3::default() };
    let child = nucleus_sys::clone::spawn(args, move || init::run(inside, gates.inner_only()));
    drop(entered);
    child.map_err(|error| clone_failed(&error, namespaces))
}

fn clone_failed(error: &std::io::Error, namespaces: NamespaceSet) -> Error {
    let names: Vec<_> = namespaces.iter_names().map(|(name, _)| name.to_lowercase()).collect();
    let failed = system("start the container's first process", error);
    match error.kind() {
        std::io::ErrorKind::ResourceBusy => failed.hint(
            "a thread holds locks that the container's process would inherit: a plugin or library started it",
        ),
        _ if failed.hint.is_none() && !names.is_empty() => {
            failed.on(format!("namespaces {}", names.join(", ")))
        }
        _ => failed,
    }
}

/// Does what only the parent can do for the child.
fn equip(
    child: &Child,
    configuration: &Configuration,
    groups: &[Group],
    network: Option<OwnedFd>,
    gate: &Socket,
) -> Result<Process> {
    if configuration.namespaces.foreign_user() {
        rights::raise_limits(Some(child.pid), &configuration.process)?;
    }
    let adjustment = configuration.process.oom_score_adj;
    if adjustment.is_some() || configuration.namespaces.ids.is_some() {
        let proc = ProcFs::open().or_fail("open the host's procfs", "/proc")?;
        adjustment.map_or(Ok(()), |value| adjust_oom_score(&proc, child.pid, value))?;
        if let Some(maps) = &configuration.namespaces.ids {
            nucleus_sys::id_map::write_maps(&proc, child.pid, &maps.users, &maps.groups, SetGroups::Allow)
                .or_fail("write the id maps of the user namespace", "uid_map and gid_map")?;
            gate::tell(gate, Word::Mapped, &[])?;
        }
    }
    give_devices(child, configuration, network)?;
    let mut doors = Vec::new();
    for group in groups.iter().filter(|group| !group.can_be_born_in()) {
        let made = group.make()?;
        if group.version() == Version::V1 {
            doors.push(made.door()?);
        }
    }
    // Only inside does the kernel say no to the policy itself: outside it would be given, and the way in barred (EINVAL).
    if configuration.process.schedule.is_some() {
        doors.iter().try_for_each(|door| cgroups::put(door.as_fd(), child.pid))?;
    }
    scheduling::schedule(Some(child.pid), &configuration.process)?;
    if !doors.is_empty() {
        gate::tell(gate, Word::Enter, &doors.iter().map(AsFd::as_fd).collect::<Vec<_>>())?;
    }
    identity::of(child.pid)
        .or_fail("read the start time of the container's first process", child.pid.as_raw_nonzero())
}

/// `joined` is the network namespace that devices go to, where it is joined.
fn give_devices(child: &Child, configuration: &Configuration, joined: Option<OwnedFd>) -> Result<()> {
    if configuration.net_devices.is_empty() {
        return Ok(());
    }
    let network = joined.map_or_else(|| net_devices::network(child.pid), Ok)?;
    net_devices::give(&configuration.net_devices, network.as_fd())
}

fn adjust_oom_score(proc: &ProcFs, process: Pid, value: i32) -> Result<()> {
    proc.write(ProcBase::Process(process), "oom_score_adj", value.to_string().as_bytes())
        .or_fail("adjust the out-of-memory score", value)
}

/// Puts what `create` needs into the gate itself, so that it need not look for the process by its id.
fn hand_over(
    inner: &Socket,
    process: Process,
    warnings: Vec<String>,
    child: Unfinished,
    failure: BorrowedFd<'_>,
) -> Result<()> {
    let message = Message::Process { pid: process.pid, warnings };
    gate::send(inner, &message, &[child.get().pidfd.as_fd(), failure])?;
    drop(child.finish());
    Ok(())
}
