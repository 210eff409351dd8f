//! Telling hooks of a container that exists.

use std::path::Path;

use nucleus_abi::{
    ContainerId, Error, ErrorCode, ExitStatus, HookContainer, HookPoint, HookReply, HookRequest, Kind,
    Result, SCHEMA,
};

use super::super::record::Record;
use super::super::timestamp;
use super::Hooks;
use crate::plugins::Lookup;
use crate::plugins::process::Terms;
use crate::profile::{Hook, OnFailure};

/// The file in a container's directory which says that its hooks have been told of its end.
const TOLD: &str = "stopped-told";

/// A container, as its hooks hear of it.
#[derive(Debug)]
pub(in crate::lifecycle) struct Telling {
    hooks: Hooks,
    id: ContainerId,
    container: HookContainer,
}

impl Telling {
    /// Of the container of a record; `None` where it has no hooks.
    pub(in crate::lifecycle) fn of(record: &Record) -> Option<Self> {
        let hooks = record.hooks.clone()?;
        let container = HookContainer {
            backend: record.backend.clone(),
            bundle: record.bundle.clone(),
            rootfs: record.rootfs.clone(),
            annotations: record.annotations.clone(),
            pid: record.process.map(|process| process.pid),
            owner: record.owner.map(|process| process.pid),
            exit: None,
        };
        Some(Self { hooks, id: record.id.clone(), container })
    }

    /// Of the container in a directory; `None` where it has no hooks, or no record.
    ///
    /// # Errors
    /// `record-unreadable`.
    pub(in crate::lifecycle) fn at(directory: &Path) -> Result<Option<Self>> {
        Ok(Record::read(directory)?.as_ref().and_then(Self::of))
    }

    /// Tells of a point that a hook can refuse.
    ///
    /// # Errors
    /// A veto, or the failure of a hook that must not fail.
    pub(in crate::lifecycle) fn ask(&self, point: HookPoint, warn: &dyn Fn(&str)) -> Result<()> {
        for hook in self.hooks.list.iter().filter(|hook| hook.hears(point)) {
            match self.one(hook, point) {
                Ok(HookReply { veto: None, .. }) => {}
                Ok(HookReply { veto: Some(reason), .. }) => return Err(vetoed(hook, point, &reason)),
                Err(error) if hook.on_failure == OnFailure::Warn => warn(&error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells that the workload has ended.
    pub(in crate::lifecycle) fn stopped(&mut self, exit: Option<ExitStatus>, warn: &dyn Fn(&str)) {
        self.container.exit = exit;
        self.container.pid = None;
        self.inform(HookPoint::Stopped, warn);
    }

    /// The same, but only once for the container in `directory`, whoever comes first.
    pub(in crate::lifecycle) fn stopped_once(
        &mut self,
        directory: &Path,
        exit: Option<ExitStatus>,
        warn: &dyn Fn(&str),
    ) {
        let told = directory.join(TOLD);
        if told.exists() {
            return;
        }
        self.stopped(exit, warn);
        if let Err(error) = std::fs::write(&told, "") {
            tracing::debug!(%error, "hooks may be told twice of the container's end");
        }
    }

    /// Tells that nothing is left.
    pub(in crate::lifecycle) fn deleted(&self, warn: &dyn Fn(&str)) {
        self.inform(HookPoint::Deleted, warn);
    }

    /// Tells of a point at which nothing is left to refuse.
    fn inform(&self, point: HookPoint, warn: &dyn Fn(&str)) {
        for hook in self.hooks.list.iter().filter(|hook| hook.hears(point)) {
            match self.one(hook, point) {
                Ok(HookReply { veto: None, .. }) => {}
                Ok(HookReply { veto: Some(reason), .. }) => warn(&vetoed(hook, point, &reason).to_string()),
                Err(error) => warn(&error.to_string()),
            }
        }
    }

    fn one(&self, hook: &Hook, point: HookPoint) -> Result<HookReply> {
        let request = HookRequest {
            schema: SCHEMA,
            point,
            id: self.id.clone(),
            options: options(hook),
            profile: serde_json::Value::Null,
            environment: environment(hook),
            time: timestamp::now(),
            container: Some(self.container.clone()),
        };
        ask(&self.hooks, hook, &request)
    }
}

/// Asks one hook, in a process that ends with its answer.
pub(super) fn ask(hooks: &Hooks, hook: &Hook, request: &HookRequest) -> Result<HookReply> {
    let terms = Terms { kind: Kind::Hook, patience: Some(hook.patience()) };
    Lookup::new(Some(&hooks.plugins))?.hook(hook.plugin.as_str(), terms)?.event(request)
}

pub(super) fn options(hook: &Hook) -> serde_json::Value {
    hook.options.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The variables that the profile lets it have. One that is not there, or no text, is left out.
pub(super) fn environment(hook: &Hook) -> std::collections::BTreeMap<String, String> {
    let names = hook.environment.iter().map(crate::profile::values::EnvName::as_str);
    names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

pub(super) fn vetoed(hook: &Hook, point: HookPoint, reason: &str) -> Error {
    Error::new(ErrorCode::HookFailed, format!("go on at `{}`", point.name()))
        .on(format!("hook `{}`", hook.plugin))
        .because(format!("it refuses: {reason}"))
}
