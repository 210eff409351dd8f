//! The container's groups in the cgroup hierarchies (cgroups(7)): found, made, limited, filled.
//!
//! Written as plain file operations: the named crate takes seven times as long. The core chose the place and removes
//! the directories afterwards; which hierarchies get one follows from the limits.

mod freezer;
mod group;
mod late;
mod layout;
mod members;
mod oom;
mod place;
mod stats;
mod v1;
mod v2;

use std::path::PathBuf;

use nucleus_abi::{CgroupPlacement, Error, ErrorCode, Hierarchies, Result};

use crate::config::Limits;
use crate::fault::unsupported;

pub(crate) use freezer::{Freezer, is_frozen, let_die};
pub(crate) use group::{Group, Made, Version, enter};
pub(crate) use late::{add as add_late, possible as possible_later};
pub(crate) use layout::Layout;
pub(crate) use members::{kill_all, kill_at_once, open_members, pids};
pub(crate) use oom::watch_memory;
pub(crate) use stats::stats;
pub(crate) use v2::obstacle;

/// A controller, by its name in cgroup v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Cpuset,
    Pids,
    Io,
}

impl Controller {
    pub(crate) const ALL: [Self; 5] = [Self::Memory, Self::Cpu, Self::Cpuset, Self::Pids, Self::Io];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Cpuset => "cpuset",
            Self::Pids => "pids",
            Self::Io => "io",
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
}

impl Setting {
    fn new(controller: Controller, file: &str, value: impl std::fmt::Display) -> Self {
        Self { controller, choices: vec![(file.to_owned(), value.to_string())] }
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

/// Finds out which groups the container needs. Changes nothing.
pub(crate) fn groups(
    placement: Option<&CgroupPlacement>,
    limits: &Limits,
    kill_by: KillBy,
) -> Result<Vec<Group>> {
    let needed = needed(limits);
    let Some(placement) = placement else {
        return match needed.first() {
            None => Ok(Vec::new()),
            Some(_) => {
                Err(unsupported("linux.resources", "limits need a cgroup, and the container has none"))
            }
        };
    };
    place::check(&placement.path)?;
    let layout = Layout::of_host();
    let mut groups = match placement.hierarchies {
        Hierarchies::Needed => Vec::new(),
        Hierarchies::All => place::everywhere(&layout, &placement.path),
    };
    for controller in needed {
        let hierarchy = layout.find(controller)?;
        match groups.iter_mut().find(|group| group.is_in(&hierarchy)) {
            Some(group) => group.add(controller),
            None => groups.push(Group::new(hierarchy, &placement.path, Some(controller))),
        }
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
    }
    Ok(groups)
}

/// The groups' directories.
pub(crate) fn directories(groups: &[Group]) -> Vec<PathBuf> {
    groups.iter().map(|group| group.directory().to_owned()).collect()
}

fn needed(limits: &Limits) -> Vec<Controller> {
    let asks = |controller: Controller| {
        let prefix = format!("{}.", controller.name());
        limits.unified.keys().any(|file| file.starts_with(&prefix)) || v1::asks(limits, controller)
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
