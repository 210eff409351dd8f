//! The workload's first process.

use std::collections::BTreeMap;

use nucleus_abi::Init;

use super::Resolver;
use crate::plan::decided::Decided;
use crate::plan::defaults;
use crate::plan::types::{EnvPlan, Identity, ProcessPlan, RlimitPlan, Terminal, UserPlan};
use crate::profile::values::{GroupRef, Rlimit, RlimitName, UserRef, UserSpec};
use crate::profile::{self, Origin};

const DEFAULT: Origin = Origin::BuiltIn("default");

impl Resolver<'_> {
    pub(super) fn process(&mut self) -> ProcessPlan {
        let workload = &self.profile.workload;
        let terminal = self.terminal();
        ProcessPlan {
            command: self.decided("/workload/command", workload.command.clone()),
            user: self.decided("/workload/user", user(&workload.user)),
            additional_groups: self.decided(
                "/workload/additionalGroups",
                workload.additional_groups.iter().map(|group| group.as_u32()).collect(),
            ),
            umask: self.decided("/workload/umask", workload.umask.bits()),
            env: self.env(terminal.value),
            cwd: self.decided("/workload/cwd", workload.cwd.as_path().to_owned()),
            terminal,
            init: self.decided("/workload/init", if workload.init { Init::Reaper } else { Init::Workload }),
            rlimits: self.rlimits(),
            oom_score_adj: workload
                .oom_score_adj
                .and_then(|score| i32::try_from(score.get()).ok())
                .map(|score| self.decided("/workload/oomScoreAdj", score)),
            hostname: self.hostname(),
            domainname: workload
                .domainname
                .as_ref()
                .map(|name| self.decided("/workload/domainname", name.as_str().to_owned())),
        }
    }

    fn terminal(&self) -> Decided<Terminal> {
        let terminal = match self.profile.workload.terminal {
            profile::Terminal::Always => Terminal::Own,
            profile::Terminal::Auto if self.facts.terminal && self.profile.namespaces.mount.is_none() => {
                Terminal::Own
            }
            profile::Terminal::Auto | profile::Terminal::Never => Terminal::Inherited,
        };
        self.decided("/workload/terminal", terminal)
    }

    /// A workload that asks for no host name gets one that says nothing of the host. In a joined UTS namespace the name is
    /// its owner's.
    fn hostname(&mut self) -> Option<Decided<String>> {
        let joined = self.profile.namespaces.uts.is_some();
        match &self.profile.workload.hostname {
            Some(_) if joined => {
                self.mistake(
                    "/workload/hostname",
                    "the UTS namespace is joined, and its name is its owner's",
                    "remove `workload.hostname` or `namespaces.uts`",
                );
                None
            }
            Some(name) => Some(self.decided("/workload/hostname", name.as_str().to_owned())),
            None if joined => None,
            None => Some(Decided::new("nucleus".to_owned(), DEFAULT)),
        }
    }

    fn env(&mut self, terminal: Terminal) -> BTreeMap<String, Decided<EnvPlan>> {
        let home = match self.profile.workload.user.user {
            UserRef::Id(id) if id.as_u32() == 0 => "/root",
            _ => "/",
        };
        let default = |name: &str, value: &str| {
            (name.to_owned(), Decided::new(EnvPlan::Given(value.to_owned()), DEFAULT))
        };
        let mut env = BTreeMap::from([default("HOME", home), default("PATH", defaults::PATH)]);
        if terminal == Terminal::Own {
            env.extend([default("TERM", defaults::TERM)]);
        }
        for (index, name) in self.profile.workload.env_from.iter().enumerate() {
            let pointer = format!("/workload/envFrom/{index}");
            match self.facts.env.get(name.as_str()) {
                Some(value) => {
                    env.insert(
                        name.as_str().to_owned(),
                        self.decided(&pointer, EnvPlan::Inherited(value.clone())),
                    );
                }
                None => self.mistake(
                    &pointer,
                    format!("the variable `{name}` is not set in the environment of nucleus"),
                    "set it, or give it a value under `workload.env`",
                ),
            }
        }
        for (name, value) in &self.profile.workload.env {
            let pointer = format!("/workload/env/{name}");
            env.insert(name.as_str().to_owned(), self.decided(&pointer, EnvPlan::Given(value.clone())));
        }
        env
    }

    fn rlimits(&self) -> BTreeMap<String, Decided<RlimitPlan>> {
        let limits = self.profile.workload.rlimits.iter();
        let pointer = |name: &RlimitName| format!("/workload/rlimits/{name}");
        limits
            .map(|(name, limit)| (name.posix_name(), self.decided(&pointer(name), rlimit(*limit))))
            .collect()
    }
}

fn rlimit(limit: Rlimit) -> RlimitPlan {
    RlimitPlan { soft: limit.soft.get(), hard: limit.hard.get() }
}

pub(super) fn user(spec: &UserSpec) -> UserPlan {
    UserPlan {
        user: match &spec.user {
            UserRef::Id(id) => Identity::Id(id.as_u32()),
            UserRef::Name(name) => Identity::Name(name.clone()),
        },
        group: spec.group.as_ref().map(|group| match group {
            GroupRef::Id(id) => Identity::Id(id.as_u32()),
            GroupRef::Name(name) => Identity::Name(name.clone()),
        }),
    }
}
