//! The capability report.

use nucleus_abi::{Capability, Verdict};

use super::process::report;
use crate::subject::{Stop, Subject, Trial, must};

pub(super) fn answers(subject: &Subject) -> Trial {
    let all = report(subject, &Capability::ALL)?;
    for capability in Capability::ALL {
        let one = report(subject, &[capability])?;
        must(
            one.verdict(capability) == all.verdict(capability),
            format!("`{capability}` is answered in two ways"),
        )?;
        let words = match all.verdict(capability) {
            Verdict::Yes { by } => by,
            Verdict::No { reason } => reason,
        };
        must(!words.trim().is_empty(), format!("`{capability}` is answered without a reason"))?;
    }
    let none = report(subject, &[])?;
    must(none.entries.is_empty(), "nothing was asked, and it answers")
}

/// Lacking, unless the backend says yes to an entry.
pub(super) fn only_if(subject: &Subject, capability: Capability) -> Trial {
    match report(subject, &[capability])?.verdict(capability) {
        Verdict::Yes { .. } => Ok(()),
        Verdict::No { reason } => Err(Stop::Lacking(format!("`{capability}`: {reason}"))),
    }
}
