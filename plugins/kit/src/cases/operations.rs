//! Verbs that a backend may lack.

use nucleus_abi::{FeaturesRequest, SCHEMA, SignalTarget, Status};

use crate::container::{Container, bundle};
use crate::subject::{Subject, Trial, must, optional, refused, until};

/// With a container that runs, and goes afterwards whatever comes of it.
fn in_container(subject: &Subject, act: impl FnOnce(&Container<'_>) -> Trial) -> Trial {
    let container = Container::started(subject, bundle(subject, "busy", "sleep 60 & wait")?)?;
    let acted = until("`running`", || Ok(container.state()?.status == Status::Running))
        .and_then(|()| act(&container));
    let ended = container.signal(9, SignalTarget::All).or_else(|_| container.signal(9, SignalTarget::First));
    ended?;
    container.wait()?;
    container.delete()?;
    acted
}

pub(super) fn processes(subject: &Subject) -> Trial {
    in_container(subject, |container| {
        let list = || optional(subject.client.processes(&container.request()));
        list()?;
        until("both processes", || Ok(list()?.pids.len() >= 2))?;
        let pids = list()?.pids;
        must(pids.is_sorted(), format!("{pids:?} are not in order"))?;
        let first = container.state()?.pid;
        must(
            first.is_none_or(|first| pids.contains(&first)),
            format!("{pids:?} lack the first process {first:?}"),
        )
    })
}

pub(super) fn pause(subject: &Subject) -> Trial {
    in_container(subject, |container| {
        let request = container.request();
        optional(subject.client.pause(&request))?;
        must(container.state()?.status == Status::Paused, "after `pause` it is not paused")?;
        subject.client.pause(&request)?;
        subject.client.resume(&request)?;
        must(container.state()?.status == Status::Running, "after `resume` it does not run")?;
        refused("a second `resume`", subject.client.resume(&request)).map(drop)
    })
}

pub(super) fn stats(subject: &Subject) -> Trial {
    in_container(subject, |container| optional(subject.client.stats(&container.request())).map(drop))
}

pub(super) fn features(subject: &Subject) -> Trial {
    let request = FeaturesRequest { schema: SCHEMA, options: subject.options.clone() };
    let features = optional(subject.client.features(&request))?.features;
    must(features["ociVersionMin"].is_string(), "no `ociVersionMin`, as features.md has it")
}
