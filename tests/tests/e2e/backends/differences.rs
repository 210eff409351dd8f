//! What a backend does otherwise, with the reason, and what it does in place of it.

use super::{Backend, Subject};

struct Difference {
    backend: Backend,
    case: &'static str,
    /// Why; printed when the case is run.
    reason: &'static str,
    instead: fn(&Subject),
}

const NO_PROGRAM: Difference = Difference {
    backend: Backend::Runc,
    case: "a file that is no program",
    reason: "the runtime finds out after its `start`, and tells nobody but the workload's standard error",
    instead: |subject| {
        let output = super::cases::run_no_program(subject).output();
        assert!(output.code() != Some(0), "{output}");
        assert!(output.stderr.to_lowercase().contains("exec format error"), "{output}");
    },
};

/// runc CVE-2026-41579.
const SWAPPED_DEV: Difference = Difference {
    backend: Backend::Runc,
    case: "a /dev that is swapped",
    reason: "the runtime makes names in /dev by path: who exchanges names in the image during a start chooses where",
    instead: super::escapes::swapped_dev_by_path,
};

const LATE_SIZE: Difference = Difference {
    backend: Backend::Crun,
    case: "exec on a terminal",
    reason: "crun 1.8 does not apply `consoleSize` in `exec`: the size comes when nucleus has the terminal",
    instead: |subject| {
        let script = "while [ \"$(stty size)\" = '0 0' ]; do sleep 0.02; done; stty size; exit 6";
        super::cases::exec_stty(subject, script);
    },
};

const DIFFERENCES: &[Difference] =
    &[NO_PROGRAM, Difference { backend: Backend::Crun, ..NO_PROGRAM }, SWAPPED_DEV, LATE_SIZE];

/// What is tried on a backend in place of a case.
pub(super) fn instead(backend: Backend, case: &str) -> Option<fn(&Subject)> {
    let found = DIFFERENCES.iter().find(|one| one.backend == backend && one.case == case)?;
    eprintln!("differs: {}", found.reason);
    Some(found.instead)
}

#[test]
fn every_difference_belongs_to_a_case() {
    for difference in DIFFERENCES {
        let mut cases = super::table::CASES.iter().chain(super::escapes::ESCAPES);
        assert!(cases.any(|(name, _)| *name == difference.case), "{}", difference.case);
    }
}
