//! What a hook must do.

use nucleus_abi::{ErrorCode, HookPoint, HookReply, HookRequest, Kind, ReportRequest, SCHEMA};
use serde_json::json;

use super::process::count;
use crate::subject::{Subject, Trial, must, refused};

const POINTS: [HookPoint; 5] =
    [HookPoint::Plan, HookPoint::Created, HookPoint::Started, HookPoint::Stopped, HookPoint::Deleted];

pub(super) fn describes(subject: &Subject) -> Trial {
    let description = subject.client.description();
    must(description.kind == Kind::Hook, "it says that it is no hook")?;
    must(!description.id.is_empty() && !description.version.is_empty(), "it has no name or no version")?;
    let (oldest, newest) = description.schemas;
    must(
        (oldest..=newest).contains(&SCHEMA),
        format!("it reads schemas {oldest} to {newest}, and not {SCHEMA}"),
    )
}

fn event(subject: &Subject, point: HookPoint) -> Trial<HookReply> {
    let profile = json!({"apiVersion": "nucleus/v1", "backend": "auto", "workload": {"command": ["true"]}});
    let request = HookRequest {
        schema: SCHEMA,
        point,
        id: "kit".parse()?,
        options: subject.options.clone(),
        profile,
        environment: std::collections::BTreeMap::new(),
        time: "2026-01-31T23:59:59Z".to_owned(),
        container: None,
    };
    Ok(subject.client.event(&request)?)
}

pub(super) fn points(subject: &Subject) -> Trial {
    for point in POINTS {
        let reply = event(subject, point)?;
        must(reply.veto.as_deref() != Some(""), format!("at {point:?} it vetoes without a reason"))?;
        must(
            point == HookPoint::Plan || reply.patches.is_empty(),
            format!("at {point:?} it proposes changes"),
        )?;
    }
    Ok(())
}

pub(super) fn twice(subject: &Subject) -> Trial {
    for point in POINTS {
        let (first, second) = (event(subject, point)?, event(subject, point)?);
        must(first == second, format!("at {point:?} it answers in two ways"))?;
    }
    Ok(())
}

pub(super) fn foreign_verb(subject: &Subject) -> Trial {
    let request = ReportRequest { schema: SCHEMA, asked: Vec::new(), options: json!(null), memory: None };
    let error = refused("`report`", subject.client.report(&request))?;
    must(
        error.code == ErrorCode::NotSupported,
        format!("its code is `{}`, not `not-supported`", error.code.name()),
    )
}

pub(super) fn threads_and_descriptors(subject: &Subject) -> Trial {
    event(subject, HookPoint::Created)?;
    let before = count("/proc/self/fd");
    for _ in 0..3 {
        event(subject, HookPoint::Started)?;
    }
    let after = count("/proc/self/fd");
    must(after == before, format!("three events cost {} descriptors", after.abs_diff(before)))?;
    let threads = count("/proc/self/task");
    must(threads == 1, format!("{threads} threads after events"))
}
