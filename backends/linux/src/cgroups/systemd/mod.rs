//! systemd as the maker of a container's groups: a transient scope, spoken of over D-Bus.
//!
//! The scope is `Delegate`d, so that what is below belongs to the container, and forgotten by systemd when its last process
//! has ended, so that nothing is left of it after a crash either. A client of its own in place of a crate's: the dozen
//! messages below are all there is to say, and the ready-made ones bring a runtime or don't wait for systemd to be done.

mod bus;
mod message;
mod properties;

use nucleus_abi::{CgroupManager, CgroupPlacement, ContainerId, Error, ErrorCode, Result};
use nucleus_sys::Pid;

use bus::{Manager, Refusal};
use message::{Property, Value};

use super::Setting;
use crate::fault::explain;

/// A job for the unit that is there already gives way.
const MODE: &str = "replace";

/// A scope of systemd's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    slice: &'a str,
    unit: &'a str,
}

impl<'a> Scope<'a> {
    /// The one that the placement asks for; `None` where the backend makes the groups by itself.
    pub(crate) fn of(placement: Option<&'a CgroupPlacement>) -> Option<Self> {
        match &placement?.manager {
            CgroupManager::Cgroupfs => None,
            CgroupManager::Systemd { slice, unit } => Some(Scope { slice, unit }),
        }
    }

    /// The scope's name.
    pub(crate) fn unit(self) -> &'a str {
        self.unit
    }

    /// Makes the scope around a process, and waits until that stands in it.
    ///
    /// # Errors
    /// `host-unfit` when systemd cannot be reached; `container-exists` when the scope is another's; what systemd answers.
    pub(crate) fn start(self, id: &ContainerId, first: Pid, settings: &[Setting]) -> Result<()> {
        let step = "have systemd make the container's scope";
        let mut manager = Manager::connect().map_err(|refusal| self.failed(step, &refusal))?;
        let mut properties = self.properties(id, first);
        properties.extend(properties::of_settings(settings));
        let arguments =
            [Value::text(self.unit), Value::text(MODE), Value::Properties(properties), Value::NoUnits];
        let started = manager.run_job("StartTransientUnit", &arguments).or_else(|refusal| {
            // What failed before is kept by old releases until somebody looks at it.
            if refusal.is("UnitExists") && manager.ask("ResetFailedUnit", &[Value::text(self.unit)]).is_ok() {
                return manager.run_job("StartTransientUnit", &arguments);
            }
            Err(refusal)
        });
        started.map_err(|refusal| self.failed(step, &refusal))
    }

    fn properties(self, id: &ContainerId, first: Pid) -> Vec<Property> {
        let accounting = ["CPUAccounting", "MemoryAccounting", "IOAccounting", "TasksAccounting"];
        let mut properties = vec![
            ("Description", Value::text(format!("nucleus container {id}"))),
            ("Slice", Value::text(self.slice)),
            ("PIDs", Value::Words(vec![first.as_raw_nonzero().get().cast_unsigned()])),
            ("Delegate", Value::Truth(true)),
            ("DefaultDependencies", Value::Truth(false)),
            ("CollectMode", Value::text("inactive-or-failed")),
        ];
        properties.extend(accounting.map(|name| (name, Value::Truth(true))));
        properties
    }

    fn failed(self, step: &'static str, refusal: &Refusal) -> Error {
        failed(step, self.unit, refusal)
    }
}

/// Tells systemd of other limits. Until the next boot: the scope does not outlive it either.
///
/// # Errors
/// As for [`Scope::start`].
pub(super) fn change(unit: &str, settings: &[Setting]) -> Result<()> {
    let properties = properties::of_settings(settings);
    if properties.is_empty() {
        return Ok(());
    }
    let arguments = [Value::text(unit), Value::Truth(true), Value::Properties(properties)];
    let changed = Manager::connect().and_then(|mut manager| manager.ask("SetUnitProperties", &arguments));
    changed.map_err(|refusal| failed("tell systemd of the container's limits", unit, &refusal))
}

/// Ends the scope. One that is gone already, with its last process, is no error.
///
/// # Errors
/// `teardown`.
pub(crate) fn stop(unit: &str) -> Result<()> {
    let stopped = Manager::connect().and_then(|mut manager| {
        let stopped = manager.run_job("StopUnit", &[Value::text(unit), Value::text(MODE)]);
        // A scope whose processes were killed may count as failed; without an answer it is gone.
        let _ = manager.ask("ResetFailedUnit", &[Value::text(unit)]);
        stopped
    });
    match stopped {
        Err(refusal) if !refusal.is("NoSuchUnit") => Err(Error {
            code: ErrorCode::Teardown,
            ..failed("have systemd end the container's scope", unit, &refusal)
        }),
        _ => Ok(()),
    }
}

impl Refusal {
    /// Whether it is the manager's error of this name.
    fn is(&self, wanted: &str) -> bool {
        match self {
            Self::Broken(_) => false,
            Self::Answered { name, .. } => name.strip_prefix("org.freedesktop.systemd1.") == Some(wanted),
        }
    }
}

fn failed(step: &'static str, unit: &str, refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Broken(error) => Error::new(ErrorCode::HostUnfit, step)
            .on(unit)
            .because(format!("systemd's manager: {}", explain(error)))
            .hint("start the container without --systemd-cgroup where systemd does not run"),
        Refusal::Answered { text, .. } if refusal.is("UnitExists") => {
            Error::new(ErrorCode::ContainerExists, step)
                .on(unit)
                .because(text)
                .hint("another container has this scope: see `systemctl status` with its name")
        }
        Refusal::Answered { text, .. } => {
            Error::new(ErrorCode::SystemCall, step).on(unit).because(format!("systemd answers: {text}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_whose_they_are() {
        let answer = |name: &str| Refusal::Answered {
            name: format!("org.freedesktop.systemd1.{name}"),
            text: "Unit a.scope is there.".to_owned(),
        };
        assert!(answer("NoSuchUnit").is("NoSuchUnit"));
        let error = failed("have systemd make the container's scope", "a.scope", &answer("UnitExists"));
        assert_eq!(error.code, ErrorCode::ContainerExists);
        let error = failed("have systemd make the container's scope", "a.scope", &answer("Other"));
        assert!(error.to_string().contains("systemd answers: Unit a.scope is there."), "{error}");
        let gone = Refusal::Broken(std::io::Error::from_raw_os_error(libc::ENOENT));
        let error = failed("have systemd make the container's scope", "a.scope", &gone);
        assert!(error.hint.unwrap().contains("--systemd-cgroup"));
    }
}
