//! The check that nothing starts without: what the plan promises against what the backend can enforce here.

use std::collections::BTreeSet;

use nucleus_abi::{Capability, CapabilityReport, Error, ErrorCode, Verdict};
use serde::Serialize;

use super::rows::Row;
use super::types::Plan;

/// A line of the plan and what enforces it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedRow {
    /// The profile field.
    pub field: String,
    /// The effective value.
    pub value: String,
    /// Who decided it.
    pub origin: String,
    /// The vocabulary's entries that it needs.
    pub needs: Vec<Capability>,
    /// Who enforces it.
    pub enforcer: Enforcer,
}

/// Who enforces a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "who")]
pub enum Enforcer {
    /// The core, in what it hands to the backend.
    Core,
    /// The backend, by these means.
    Backend {
        /// The means.
        by: String,
    },
    /// Nobody: the backend cannot, for these reasons.
    Nobody {
        /// The reasons.
        reason: String,
    },
}

/// The capabilities that the lines need, each once.
pub fn needs(rows: &[Row]) -> Vec<Capability> {
    let needs: BTreeSet<Capability> = rows.iter().flat_map(|row| row.needs.iter().copied()).collect();
    needs.into_iter().collect()
}

/// What the plan itself takes back: a workload that may mount can mount over, remount and unmount what was mounted for it.
/// Landlock denies it all of that, whatever its capabilities (landlock(7)).
pub fn without_what_is_undermined(plan: &Plan, mut report: CapabilityReport) -> CapabilityReport {
    let security = &plan.security;
    let may_mount = security.capabilities.value.bounding.contains("CAP_SYS_ADMIN");
    if may_mount && security.landlock.value.is_none() {
        let origin = &security.capabilities.origin;
        let reason = format!(
            "the workload can undo it: CAP_SYS_ADMIN ({origin}) may mount, and `security.landlock` is off"
        );
        report.entries.extend(MOUNTED.map(|capability| (capability, Verdict::no(reason.clone()))));
    }
    report
}

/// Promises that are kept by mounts.
const MOUNTED: [Capability; 5] = [
    Capability::RootfsReadonly,
    Capability::VolumesReadonly,
    Capability::MountFlags,
    Capability::MaskedPaths,
    Capability::ReadonlyPaths,
];

/// Compares lines and report.
pub fn check(rows: Vec<Row>, report: &CapabilityReport) -> Vec<CheckedRow> {
    rows.into_iter().map(|row| check_row(row, report)).collect()
}

fn check_row(row: Row, report: &CapabilityReport) -> CheckedRow {
    let enforcer = enforcer(&row.needs, report);
    CheckedRow {
        field: row.field,
        value: row.value,
        origin: row.origin.to_string(),
        needs: row.needs,
        enforcer,
    }
}

fn enforcer(needs: &[Capability], report: &CapabilityReport) -> Enforcer {
    let (mut means, mut reasons) = (Vec::new(), Vec::new());
    for need in needs {
        match report.verdict(*need) {
            Verdict::Yes { by } => means.push(by),
            Verdict::No { reason } => reasons.push(format!("{need}: {reason}")),
        }
    }
    means.dedup();
    match (reasons.is_empty(), means.is_empty()) {
        (false, _) => Enforcer::Nobody { reason: reasons.join("; ") },
        (true, true) => Enforcer::Core,
        (true, false) => Enforcer::Backend { by: means.join("; ") },
    }
}

/// Whether a backend with this report can enforce all of it.
pub fn can_enforce(needs: &[Capability], report: &CapabilityReport) -> bool {
    needs.iter().all(|need| matches!(report.verdict(*need), Verdict::Yes { .. }))
}

/// What the backend cannot enforce, each as an error that names the profile's line. `able` are the backends of this
/// host that could enforce the whole plan.
pub fn refusals(rows: &[CheckedRow], backend: &str, able: &[String]) -> Vec<Error> {
    rows.iter()
        .filter_map(|row| match &row.enforcer {
            Enforcer::Nobody { reason } => Some(refusal(row, reason, backend, able)),
            Enforcer::Core | Enforcer::Backend { .. } => None,
        })
        .collect()
}

fn refusal(row: &CheckedRow, reason: &str, backend: &str, able: &[String]) -> Error {
    let hint = if able.is_empty() {
        "no backend on this host can: remove the line, mend the host, or accept the loss with `enforcement: permissive`"
            .to_owned()
    } else {
        format!("backends on this host that can: {}", able.join(", "))
    };
    Error::new(ErrorCode::CapabilityMissing, format!("enforce `{}: {}`", row.field, row.value))
        .on(&row.origin)
        .because(format!("`{backend}` cannot here: {reason}"))
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Origin;

    fn row(field: &str, needs: &[Capability]) -> Row {
        Row {
            field: field.into(),
            value: "256M".into(),
            origin: Origin::Flag("--memory".into()),
            needs: needs.to_vec(),
        }
    }

    fn report() -> CapabilityReport {
        CapabilityReport::of(&[Capability::Memory, Capability::Swap], |capability| match capability {
            Capability::Memory => Verdict::yes("memory.max"),
            _ => Verdict::no("the kernel does not account swap"),
        })
    }

    #[test]
    fn a_line_that_nobody_enforces_is_refused_by_its_origin_with_reason_and_remedy() {
        let rows = check(
            vec![row("resources.memory", &[Capability::Memory]), row("resources.swap", &[Capability::Swap])],
            &report(),
        );
        let refusals = refusals(&rows, "native", &["other".to_owned()]);
        assert_eq!(refusals.len(), 1);
        assert_eq!(
            refusals[0].to_string(),
            "cannot enforce `resources.swap: 256M`: --memory: `native` cannot here: swap: the kernel does not account swap"
        );
        assert_eq!(refusals[0].hint.as_deref(), Some("backends on this host that can: other"));
    }

    #[test]
    fn an_entry_that_the_backend_did_not_answer_is_refused() {
        let rows = check(vec![row("security.seccomp", &[Capability::Seccomp])], &report());
        assert_eq!(refusals(&rows, "native", &[]).len(), 1);
    }

    #[test]
    fn one_missing_entry_of_two_is_enough_to_refuse() {
        let rows = check(vec![row("x", &[Capability::Memory, Capability::Swap])], &report());
        assert!(matches!(rows[0].enforcer, Enforcer::Nobody { .. }));
    }

    #[test]
    fn each_need_is_asked_once() {
        let rows = [row("a", &[Capability::Tmpfs, Capability::MountFlags]), row("b", &[Capability::Tmpfs])];
        assert_eq!(needs(&rows), [Capability::MountFlags, Capability::Tmpfs]);
    }
}
