//! The container's groups in the cgroup hierarchies (cgroups(7)): found, made, limited, filled.
//!
//! Written as plain file operations: the named crate takes seven times as long. The core chose the place and removes
//! the directories afterwards; which hierarchies get one follows from the limits.

mod change;
mod delegation;
mod devices;
mod entrance;
mod freezer;
mod group;
mod late;
mod layout;
mod members;
mod oom;
mod place;
mod stats;
mod systemd;
mod v1;
mod v2;

use std::path::{Path, PathBuf};

use nucleus_abi::{CgroupManager, CgroupPlacement, Error, ErrorCode, Hierarchies, Result};

use crate::config::{DeviceRule, Limits};
use crate::fault::unsupported;

pub(crate) use change::change;
pub(crate) use delegation::{delegate, owner};
pub(crate) use devices::available as device_programs;
pub(crate) use entrance::{Below, Entrance, unified_of};
pub(crate) use freezer::{Freezer, is_frozen, let_die};
pub(crate) use group::{Group, Made, Version, enter, put};
pub(crate) use late::{add as add_late, possible as possible_later};
pub(crate) use layout::Layout;
pub(crate) use members::{kill_all, kill_at_once, open_members, pids};
pub(crate) use oom::watch_memory;
pub(crate) use stats::stats;
pub(crate) use systemd::{Scope, stop as stop_scope};
pub(crate) use v2::obstacle;

/// A controller, by its name in cgroup v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Cpuset,
    Pids,
    Io,
    Hugetlb,
    Rdma,
    /// Of v2 alone, for `unified`.
    Misc,
    /// Of v1 alone.
    NetClass,
    /// Of v1 alone.
    NetPriority,
    /// Of v1 alone: v2 has programs in its place.
    Devices,
}

impl Controller {
    pub(crate) const ALL: [Self; 11] = [
        Self::Memory,
        Self::Cpu,
        Self::Cpuset,
        Self::Pids,
        Self::Io,
        Self::Hugetlb,
        Self::Rdma,
        Self::Misc,
        Self::NetClass,
        Self::NetPriority,
        Self::Devices,
    ];

    /// Whether cgroup v2 has it too.
    pub(crate) const fn is_in_v2(self) -> bool {
        !matches!(self, Self::NetClass | Self::NetPriority | Self::Devices)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Cpuset => "cpuset",
            Self::Pids => "pids",
            Self::Io => "io",
            Self::Hugetlb => "hugetlb",
            Self::Rdma => "rdma",
            Self::Misc => "misc",
            Self::NetClass => "net_cls",
            Self::NetPriority => "net_prio",
            Self::Devices => "devices",
        }
    }

    pub(crate) const fn name_in(self, version: Version) -> &'static str {
        match version {
            Version::V1 => self.v1_name(),
            Version::V2 => self.name(),
        }
    }

    pub(crate) const fn v1_name(self) -> &'static str {
        match self {
            Self::Io => "blkio",
            other => other.name(),
        }
    }
}

/// A value for the first of some files that the kernel has; different names came with different releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) controller: Controller,
    pub(crate) choices: Vec<(String, String)>,
    /// What it means that the kernel has none of the files.
    pub(crate) without: Without,
}

/// What a missing file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Without {
    /// The limit cannot be enforced.
    Refused,
    /// Nothing: what the file would limit does not exist, or is limited elsewhere too.
    Ignored,
}

impl Setting {
    fn new(controller: Controller, file: &str, value: impl std::fmt::Display) -> Self {
        Self { controller, choices: vec![(file.to_owned(), value.to_string())], without: Without::Refused }
    }

    fn if_there(mut self) -> Self {
        self.without = Without::Ignored;
        self
    }

    fn or(mut self, file: &str, value: impl std::fmt::Display) -> Self {
        self.choices.push((file.to_owned(), value.to_string()));
        self
    }
}

/// How all processes of the container can be found when it has to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KillBy {
    /// It has a pid namespace: ending the first process ends all.
    PidNamespace,
    /// Only a group of its own tells its processes from others.
    Cgroup,
}

/// The directories of a group in every hierarchy of the host.
pub(crate) fn directories_everywhere(path: &Path) -> Result<Vec<PathBuf>> {
    place::check(path)?;
    Ok(directories(&place::everywhere(&Layout::of_host(), path)))
}

/// Finds out which groups the container needs. Changes nothing.
pub(crate) fn groups(
    placement: Option<&CgroupPlacement>,
    limits: &Limits,
    kill_by: KillBy,
) -> Result<Vec<Group>> {
    let needed = needed(limits);
    let Some(placement) = placement else {
        return match (needed.first(), limits.devices.as_slice()) {
            (None, []) => Ok(Vec::new()),
            _ => Err(unsupported("linux.resources", "limits need a cgroup, and the container has none")),
        };
    };
    place::check(&placement.path)?;
    let layout = Layout::of_host();
    let mut groups = match placement.hierarchies {
        Hierarchies::Needed => Vec::new(),
        Hierarchies::All => place::everywhere(&layout, &placement.path),
    };
    for controller in needed {
        group_in(&mut groups, layout.find(controller)?, &placement.path).add(controller);
    }
    if let Some(rules) = device_rules(placement, limits) {
        group_in(&mut groups, layout.find_devices()?, &placement.path).restrict_devices(rules);
    }
    if groups.is_empty() {
        groups.extend(layout.bare(kill_by)?.map(|hierarchy| Group::new(hierarchy, &placement.path, None)));
    }
    for group in &mut groups {
        group.set(limits)?;
    }
    refuse_unapplied_files(limits, &groups)?;
    for group in &mut groups {
        match placement.hierarchies {
            Hierarchies::Needed => group.refuse_existing()?,
            Hierarchies::All => group.take_over()?,
        }
        if placement.manager != CgroupManager::Cgroupfs {
            group.leave_to_systemd();
        }
    }
    Ok(groups)
}

/// What is to be set in all groups together.
pub(crate) fn settings(groups: &[Group]) -> Vec<Setting> {
    groups.iter().flat_map(Group::settings).cloned().collect()
}

fn group_in<'g>(groups: &'g mut Vec<Group>, hierarchy: layout::Hierarchy, place: &Path) -> &'g mut Group {
    match groups.iter().position(|group| group.is_in(&hierarchy)) {
        Some(index) => &mut groups[index],
        None => groups.push_mut(Group::new(hierarchy, place, None)),
    }
}

/// An engine's container has rules even if it names none: its mounts may hold device nodes. In one of the operator's, `/dev`
/// is ours and everything else `nodev`, so that without rules there is nothing to act on.
fn device_rules(placement: &CgroupPlacement, limits: &Limits) -> Option<Vec<DeviceRule>> {
    match placement.hierarchies {
        Hierarchies::Needed if limits.devices.is_empty() => None,
        _ => Some(devices::complete(&limits.devices)),
    }
}

/// The groups' directories.
pub(crate) fn directories(groups: &[Group]) -> Vec<PathBuf> {
    groups.iter().map(|group| group.directory().to_owned()).collect()
}

fn needed(limits: &Limits) -> Vec<Controller> {
    let asks = |controller: Controller| {
        limits.unified.keys().any(|file| file.split('.').next() == Some(controller.name()))
            || v1::asks(limits, controller)
    };
    Controller::ALL.into_iter().filter(|controller| asks(*controller)).collect()
}

/// Files of v2 that no group of v2 takes would be lost in silence.
fn refuse_unapplied_files(limits: &Limits, groups: &[Group]) -> Result<()> {
    let applied = |file: &&String| groups.iter().any(|group| group.takes(file));
    match limits.unified.keys().find(|file| !applied(file)) {
        None => Ok(()),
        Some(file) => Err(Error::new(ErrorCode::HostUnfit, "set a file of cgroup v2")
            .on(format!("config.json: linux.resources.unified[{file:?}]"))
            .because("its controller is not in a cgroup v2 hierarchy of this host")
            .hint("use the field of `resources` for it, or boot with systemd.unified_cgroup_hierarchy=1")),
    }
}
