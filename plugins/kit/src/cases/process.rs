//! What a backend does to the process that calls it.

use nucleus_abi::{
    Capability, CheckOptionsRequest, ErrorCode, HookPoint, HookRequest, Kind, ReportRequest, SCHEMA,
};
use serde_json::{Value, json};

use crate::container::{Container, bundle};
use crate::subject::{Subject, Trial, fault, must, refused};

pub(super) fn describes(subject: &Subject) -> Trial {
    let description = subject.client.description();
    must(description.kind == Kind::Backend, "it says that it is no backend")?;
    must(!description.id.is_empty() && !description.version.is_empty(), "it has no name or no version")?;
    let (oldest, newest) = description.schemas;
    must(
        (oldest..=newest).contains(&SCHEMA),
        format!("it reads schemas {oldest} to {newest}, and not {SCHEMA}"),
    )
}

pub(crate) fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

/// The core forks: a thread of the plugin's would be lost in the child, with the locks that it holds.
pub(super) fn threads_and_descriptors(subject: &Subject) -> Trial {
    report(subject, &Capability::ALL)?;
    let threads = count("/proc/self/task");
    must(threads == 1, format!("{threads} threads before `sandbox`"))?;
    // Once before, so that what is opened for good is open.
    Container::run(subject, bundle(subject, "first", "true")?)?;
    let before = count("/proc/self/fd");
    Container::run(subject, bundle(subject, "second", "true")?)?;
    let after = count("/proc/self/fd");
    must(after == before, format!("a life costs {} descriptors", after.abs_diff(before)))?;
    let threads = count("/proc/self/task");
    must(threads == 1, format!("{threads} threads after a life"))
}

pub(super) fn unknown_options(subject: &Subject) -> Trial {
    let options = json!({"no-backend-has-this-option": true});
    let error = refused(
        "an option that nobody has",
        subject.client.check_options(&CheckOptionsRequest { schema: SCHEMA, options }),
    )?;
    must(
        error.code == ErrorCode::ProfileInvalid,
        format!("its code is `{}`, not `profile-invalid`", error.code.name()),
    )?;
    if subject.options == Value::Null {
        subject.client.check_options(&CheckOptionsRequest { schema: SCHEMA, options: Value::Null })?;
    }
    Ok(())
}

pub(super) fn foreign_verb(subject: &Subject) -> Trial {
    let request = HookRequest {
        schema: SCHEMA,
        point: HookPoint::Started,
        id: "kit".parse()?,
        options: Value::Null,
        profile: Value::Null,
        environment: std::collections::BTreeMap::new(),
        time: "2026-01-31T23:59:59Z".to_owned(),
        container: None,
    };
    let error = refused("`event`", subject.client.event(&request))?;
    must(
        error.code == ErrorCode::NotSupported,
        format!("its code is `{}`, not `not-supported`", error.code.name()),
    )
}

/// The answers to some entries.
pub(super) fn report(subject: &Subject, asked: &[Capability]) -> Trial<nucleus_abi::CapabilityReport> {
    let request = ReportRequest {
        schema: SCHEMA,
        asked: asked.to_vec(),
        options: subject.options.clone(),
        memory: None,
    };
    let report = subject.client.report(&request)?;
    if let Some(entry) = report.entries.keys().find(|entry| !asked.contains(entry)) {
        return fault(format!("it answers `{entry}`, which was not asked"));
    }
    Ok(report)
}
