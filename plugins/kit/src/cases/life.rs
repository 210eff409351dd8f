//! A container's life.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nucleus_abi::{ErrorCode, ExitStatus, SignalTarget, Status};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::container::{Container, Sandbox, bundle, end, request, until_readable};
use crate::subject::{Stop, Subject, Trial, fault, must, until};

/// How a maker says that the plugin lacks what it takes.
const LACKING: &str = "lacking: ";

fn exited(code: u8) -> ExitStatus {
    ExitStatus::Exited { code }
}

pub(super) fn exit_codes(subject: &Subject) -> Trial {
    for code in [0, 1, 7, 100, 125] {
        let ended = Container::run(subject, bundle(subject, &format!("c{code}"), &format!("exit {code}"))?)?;
        must(ended.status == exited(code), format!("`exit {code}` is told as {:?}", ended.status))?;
    }
    Ok(())
}

pub(super) fn streams(subject: &Subject) -> Trial {
    let script = "read line; echo \"out: $line\"; echo err >&2; cat >/dev/null";
    let container = Container::started(subject, bundle(subject, "streams", script)?)?;
    let ended = container.with_input("hello\n")?;
    must(ended.status == exited(0) && ended.output == "out: hello\nerr", format!("{ended:?}"))
}

pub(super) fn states(subject: &Subject) -> Trial {
    let container = Container::new(subject, bundle(subject, "states", "read line")?)?;
    let is = |status: Status| -> Trial<bool> { Ok(container.state()?.status == status) };
    must(is(Status::Created)?, format!("after `create` it is {:?}", container.state()?.status))?;
    container.start()?;
    until("`running` after `start`", || is(Status::Running))?;
    let state = container.state()?;
    if let (Some(created), Some(running)) = (container.reply.pid, state.pid) {
        must(created == running, format!("`create` says process {created}, `state` {running}"))?;
    }
    container.signal(9, SignalTarget::First)?;
    container.wait()?;
    until("`stopped` after the end", || is(Status::Stopped))?;
    container.delete()
}

/// When the core dies between `sandbox` and `create`, nothing may stay.
pub(super) fn gate(subject: &Subject) -> Trial {
    let sandbox = Sandbox::new(subject, bundle(subject, "gate", "echo it ran > /tmp/ran; sleep 60")?)?;
    let pid = i32::try_from(sandbox.pid).ok().and_then(Pid::from_raw);
    let Some(pid) = pid else { return fault(format!("`sandbox` names process {}", sandbox.pid)) };
    let pidfd = pidfd_open(pid, PidfdFlags::empty())
        .map_err(|errno| Stop::Fault(format!("the process that waits: {errno}")))?;
    let directory = sandbox.bundle.directory.clone();
    drop(sandbox);
    until_readable(&pidfd)
        .map_err(|_| Stop::Fault("the process that waits at the gate outlives it".into()))?;
    end(subject, &directory)
}

pub(super) fn missing_program(subject: &Subject) -> Trial {
    let bundle =
        bundle(subject, "missing", "")?.set("/process/args", serde_json::json!(["/no/such/program"]));
    let failed = Container::new(subject, bundle).and_then(|container| match container.start() {
        Ok(()) => container.finish().map(|ended| ended.status),
        Err(error) => {
            container.delete()?;
            must(error.code == ErrorCode::CommandNotFound, &error)?;
            Ok(ExitStatus::NotExecuted { errno: 2 })
        }
    });
    match failed {
        Ok(ExitStatus::NotExecuted { errno: 2 } | ExitStatus::Unknown) => Ok(()),
        Ok(status) => fault(format!("it is told as {status:?}, as if it had run")),
        Err(Stop::Fault(why)) if why.contains("/no/such/program") => Ok(()),
        Err(stop) => Err(stop),
    }
}

pub(super) fn deleted_twice(subject: &Subject) -> Trial {
    let container = Container::started(subject, bundle(subject, "twice", "true")?)?;
    container.wait()?;
    container.delete()?;
    container.delete()
}

pub(super) fn deleted_running(subject: &Subject) -> Trial {
    let container = Container::started(subject, bundle(subject, "running", "sleep 60")?)?;
    container.delete()
}

pub(super) fn deleted_half_made(subject: &Subject) -> Trial {
    let sandbox = Sandbox::new(subject, bundle(subject, "half", "sleep 60")?)?;
    end(subject, &sandbox.bundle.directory)
}

pub(super) fn deleted_unknown(subject: &Subject) -> Trial {
    let directory = subject.scratch().join("nobody");
    fs::create_dir_all(directory.join("state"))?;
    subject.client.delete(&request(subject, &directory))?;
    Ok(())
}

pub(super) fn other_processes(subject: &Subject) -> Trial {
    let container = Container::new(subject, bundle(subject, "elsewhere", "sleep 60")?)?;
    let status = Subject::another_process("verbs", &container.bundle.directory).status()?;
    let ended = container.wait();
    container.delete()?;
    must(status.success(), "`state`, `start` or `signal` fails in a process that has not made it")?;
    let ended = ended?;
    must(ended != exited(0), format!("it was killed, and is told as {ended:?}"))
}

/// The verbs that come from another process: `state`, `start`, `state`, `signal`.
pub(super) fn verbs_elsewhere(subject: &Subject, container: &Path) -> Trial {
    let request = request(subject, container);
    must(subject.client.state(&request)?.status == Status::Created, "it is not `created`")?;
    subject.client.start(&request)?;
    until("`running`", || Ok(subject.client.state(&request)?.status == Status::Running))?;
    let nucleus_abi::ContainerRequest { schema, id, directory } = request;
    let signal = nucleus_abi::SignalRequest { schema, id, directory, signal: 9, target: SignalTarget::First };
    subject.client.signal(&signal)?;
    Ok(())
}

/// The maker is killed at once after `start`; another process deletes.
pub(super) fn killed_maker(subject: &Subject) -> Trial {
    let directory = subject.scratch().join("orphan");
    let mut maker = Subject::another_process("make", &directory).spawn()?;
    let ready = directory.join("ready");
    let made = until("a container", || Ok(ready.exists() || maker_has_ended(&directory)));
    maker.kill()?;
    maker.wait()?;
    made?;
    match fs::read_to_string(directory.join("failed")) {
        Ok(why) if why.starts_with(LACKING) => Err(Stop::Lacking(why[LACKING.len()..].to_owned())),
        Ok(why) => fault(why),
        Err(_) => end(subject, &directory),
    }
}

fn maker_has_ended(directory: &Path) -> bool {
    directory.join("failed").exists()
}

pub(super) fn make_and_hang(subject: &Subject, directory: &Path) -> Trial {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let container = Container::started(subject, bundle(subject, name, "sleep 60")?);
    let container = match container {
        Ok(container) => container,
        Err(stop) => {
            fs::create_dir_all(directory)?;
            let why = match &stop {
                Stop::Fault(why) => why.clone(),
                Stop::Lacking(why) => format!("{LACKING}{why}"),
            };
            fs::write(directory.join("failed.new"), why)?;
            fs::rename(directory.join("failed.new"), directory.join("failed"))?;
            return Err(stop);
        }
    };
    fs::write(directory.join("ready"), "")?;
    container.wait().map(drop)
}

pub(super) fn concurrent(subject: &Subject) -> Trial {
    let names = ["one", "two", "three"];
    let made = names
        .map(|name| Container::started(subject, bundle(subject, name, &format!("read line; echo {name}"))?));
    let [one, two, three] = made;
    let (one, two, three) = (one?, two?, three?);
    // In another order than they were made in.
    for (container, name) in [(two, "two"), (three, "three"), (one, "one")] {
        let ended = container.with_input("\n")?;
        must(ended.output == name && ended.status == exited(0), format!("{name}: {ended:?}"))?;
    }
    Ok(())
}

pub(super) fn untouched_rootfs(subject: &Subject) -> Trial {
    let bundle = bundle(subject, "untouched", "echo x > /tmp/file; true")?;
    let rootfs = bundle.rootfs();
    let before = tree(&rootfs)?;
    Container::run(subject, bundle)?;
    let after = tree(&rootfs)?;
    let changed: Vec<String> = after
        .iter()
        .filter(|(path, entry)| before.get(*path) != Some(*entry))
        .map(|(path, _)| path.display().to_string())
        .collect();
    must(changed.is_empty() && before.len() == after.len(), format!("changed: {}", changed.join(", ")))
}

type Entry = (u64, u32, Option<SystemTime>);

fn tree(directory: &Path) -> std::io::Result<BTreeMap<PathBuf, Entry>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() {
            found.append(&mut tree(&path)?);
        }
        found.insert(path, (metadata.ino(), metadata.mode(), metadata.modified().ok()));
    }
    Ok(found)
}

pub(super) fn signals(subject: &Subject) -> Trial {
    let script = "trap 'echo caught; exit 9' TERM; echo ready > /data/ready; while :; do sleep 0.02; done";
    let bundle = bundle(subject, "signals", script)?.with_data(&["rbind", "rw"])?;
    let ready = bundle.data().join("ready");
    let container = Container::started(subject, bundle)?;
    until("the workload", || Ok(ready.exists()))?;
    container.signal(Signal::TERM.as_raw(), SignalTarget::First)?;
    let ended = container.finish()?;
    must(ended.status == exited(9) && ended.output == "caught", format!("{ended:?}"))
}

/// What a monitor makes of a signal is not how the workload ended.
pub(super) fn killed(subject: &Subject) -> Trial {
    for target in [SignalTarget::First, SignalTarget::All] {
        let container =
            Container::started(subject, bundle(subject, &format!("{target:?}").to_lowercase(), "sleep 60")?)?;
        until("`running`", || Ok(container.state()?.status == Status::Running))?;
        container.signal(9, target)?;
        let status = container.finish()?.status;
        let true_to_it = matches!(status, ExitStatus::Signalled { signal: 9 } | ExitStatus::Unknown);
        must(true_to_it, format!("SIGKILL ({target:?}) is told as {status:?}"))?;
    }
    Ok(())
}
