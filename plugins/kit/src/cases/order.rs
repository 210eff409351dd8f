//! Verbs in the wrong order, and about the wrong containers: orderly refusals.

use std::fs;

use nucleus_abi::{ContainerRequest, SignalRequest, SignalTarget, Status, UpdateRequest};

use crate::container::{Container, bundle, request};
use crate::subject::{Subject, Trial, must, refused, until};

pub(super) fn start_twice(subject: &Subject) -> Trial {
    let container = Container::started(subject, bundle(subject, "started", "read line; exit 3")?)?;
    until("`running`", || Ok(container.state()?.status == Status::Running))?;
    refused("a second `start`", container.start())?;
    must(container.state()?.status == Status::Running, "a refused `start` harms the container")?;
    container.signal(9, SignalTarget::First)?;
    container.wait()?;
    refused("`start` after the end", container.start())?;
    container.delete()
}

pub(super) fn unknown_container(subject: &Subject) -> Trial {
    let directory = subject.scratch().join("nobody");
    fs::create_dir_all(directory.join("state"))?;
    every_verb_is_refused(subject, &request(subject, &directory))
}

pub(super) fn ended_container(subject: &Subject) -> Trial {
    let container = Container::started(subject, bundle(subject, "ended", "true")?)?;
    container.wait()?;
    until("`stopped`", || Ok(container.state()?.status == Status::Stopped))?;
    let request = container.request();
    refused("`start`", container.start())?;
    refused("`signal`", container.signal(15, SignalTarget::First))?;
    refused("`pause`", subject.client.pause(&request))?;
    refused("`resume`", subject.client.resume(&request))?;
    container.delete()
}

fn every_verb_is_refused(subject: &Subject, request: &ContainerRequest) -> Trial {
    let client = &subject.client;
    let ContainerRequest { schema, id, directory } = request.clone();
    let signal = SignalRequest { schema, id, directory, signal: 9, target: SignalTarget::All };
    refused("`start`", client.start(request))?;
    refused("`signal`", client.signal(&signal))?;
    refused("`pause`", client.pause(request))?;
    refused("`resume`", client.resume(request))?;
    if let Ok(processes) = client.processes(request) {
        must(processes.pids.is_empty(), "`processes` invents processes")?;
    }
    refused("`stats`", client.stats(request))?;
    let ContainerRequest { schema, id, directory } = request.clone();
    let resources = serde_json::value::to_raw_value(&serde_json::json!({})).map_err(std::io::Error::other)?;
    refused("`update`", client.update(&UpdateRequest { schema, id, directory, resources, intel_rdt: None }))?;
    // It may say that nothing is there, or that nothing runs; it must not invent a container.
    if let Ok(state) = client.state(request) {
        must(state.status == Status::Stopped && state.pid.is_none(), format!("`state` says {state:?}"))?;
    }
    Ok(())
}
