//! Another process in a container.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use nucleus_abi::{
    Beyond, ContainerRequest, ErrorCode, ExecRequest, ExitStatus, SignalTarget, Status, WaitRequest,
    WhenPaused,
};
use serde_json::{Value, json};

use crate::container::{Container, bundle, until_readable};
use crate::subject::{Stop, Subject, Trial, fault, must, optional, until};

struct Executed {
    status: ExitStatus,
    output: String,
}

fn execute(container: &Container<'_>, arguments: &Value) -> Trial<Executed> {
    let (mut output, stdout) = std::io::pipe()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let mut process = container.bundle.config["process"].clone();
    process["args"] = arguments.clone();
    let raw = |value: &Value| serde_json::value::to_raw_value(value).map_err(std::io::Error::other);
    let ContainerRequest { schema, id, directory } = container.request();
    let document = ExecRequest {
        schema,
        id,
        directory,
        config: raw(&container.bundle.config)?,
        beyond: Beyond::default(),
        process: raw(&process)?,
        cgroup: None,
        cgroups: BTreeMap::new(),
        stdio: [0, 1, 1],
        extra: Vec::new(),
        when_paused: WhenPaused::Refuse,
        shortfall: nucleus_abi::Shortfall::Refuse,
    };
    let reply = optional(container.subject.client.exec(&document, &[null.as_fd(), stdout.as_fd()]))?;
    drop(stdout);
    let Some(wait) = reply.descriptors.get(reply.document.wait) else {
        return fault("`exec` names a descriptor that it does not send");
    };
    until_readable(wait)?;
    let mut lent = vec![wait.as_fd()];
    let failure = reply.document.failure.and_then(|index| reply.descriptors.get(index));
    lent.extend(failure.map(AsFd::as_fd));
    let ContainerRequest { schema, id, directory } = container.request();
    let request = WaitRequest { schema, id, directory, wait: 0, failure: failure.map(|_| 1) };
    let status = container.subject.client.wait(&request, &lent)?;
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    Ok(Executed { status, output: text.trim_end().to_owned() })
}

/// With a container that runs, and goes afterwards whatever comes of it.
fn in_container(subject: &Subject, act: impl FnOnce(&Container<'_>) -> Trial) -> Trial {
    let container = Container::started(subject, bundle(subject, "host", "sleep 60")?)?;
    let acted = until("`running`", || Ok(container.state()?.status == Status::Running))
        .and_then(|()| act(&container));
    container.signal(9, SignalTarget::First)?;
    container.wait()?;
    container.delete()?;
    acted
}

pub(super) fn exec(subject: &Subject) -> Trial {
    in_container(subject, |container| {
        let done = execute(container, &json!(["/bin/sh", "-c", "hostname; exit 5"]))?;
        must(
            done.status == ExitStatus::Exited { code: 5 },
            format!("`exit 5` is told as {:?}", done.status),
        )?;
        must(done.output == "kit", format!("its host name is {:?}, not the container's", done.output))?;
        must(container.state()?.status == Status::Running, "the container ended with it")
    })
}

pub(super) fn missing_program(subject: &Subject) -> Trial {
    in_container(subject, |container| match execute(container, &json!(["/no/such/program"])) {
        Ok(Executed { status: ExitStatus::NotExecuted { errno: 2 } | ExitStatus::Unknown, .. }) => Ok(()),
        Ok(done) => fault(format!("it is told as {:?}, as if it had run", done.status)),
        Err(Stop::Fault(why))
            if why.contains("/no/such/program") || why.contains(ErrorCode::CommandNotFound.name()) =>
        {
            Ok(())
        }
        Err(stop) => Err(stop),
    })
}
